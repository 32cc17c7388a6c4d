"""What is damaged, file by file: noted wherever it is met, taken away only when it was proved to be over.

A copy with damage confirms nothing. It leaves that state when each of those files was put and verified again, or when
every byte of it was read and found whole; neither a catch-up nor a look at its structure does that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.db import transaction

from backups.models import Copy, DamagedFile, Job, Vault
from backups.services.checks import check_request
from backups.services.copystates import copy_degrade
from backups.states import CopyState
from wedbackup.core.clock import Clock

REASON_MAX = 300  # length of the column


def damage_found(copy: Copy, found: Mapping[str, str], *, clock: Clock) -> list[Job]:
    """Note damage that was met while something else was done, and queue the check that proves and repairs it.

    found: reasons by name of the file, relative to the vault. What is known already queues nothing again.
    """
    with transaction.atomic():
        if not damage_note(copy, found, clock=clock):
            return []
        return check_request([copy], read_data=True, clock=clock)


def damage_note(copy: Copy, found: Mapping[str, str], *, clock: Clock) -> int:
    """Note damaged files in the caller's transaction; return how many of them are news. The copy becomes DAMAGED."""
    if not found:
        return 0
    known = damaged_names(copy)
    now = clock.utcnow()
    new = [
        DamagedFile(copy=copy, name=name, reason=reason[:REASON_MAX], found_at=now)
        for name, reason in sorted(found.items())
        if name not in known
    ]
    DamagedFile.unscoped.bulk_create(new, ignore_conflicts=True)
    name, reason = min(found.items())
    count = len(known | found.keys())
    words = "1 file is" if count == 1 else f"{count} files are"
    copy_degrade(copy, CopyState.DAMAGED, f"{words} damaged or missing: {name}: {reason}", clock=clock)
    return len(new)


def damage_mended(copy: Copy, names: Collection[str]) -> None:
    """Strike files off that were put and verified again, were read and are whole, or are needed no more."""
    DamagedFile.unscoped.filter(copy=copy, name__in=list(names)).delete()


def damage_over(copy: Copy) -> None:
    """Strike everything off: every byte of the copy was read, and is whole."""
    DamagedFile.unscoped.filter(copy=copy).delete()


def damaged_names(copy: Copy) -> frozenset[str]:
    """Return the names of the copy's files that are known to be damaged or missing."""
    return frozenset(DamagedFile.unscoped.filter(copy=copy).values_list("name", flat=True))


def vault_damage(vault: Vault) -> frozenset[str]:
    """Return the names of all files of the vault that are known to be damaged at one copy or another."""
    return frozenset(DamagedFile.unscoped.filter(copy__vault=vault).values_list("name", flat=True))


def vault_is_damaged(vault: Vault) -> bool:
    """Whether damage is known at any copy of the vault."""
    return Copy.unscoped.filter(vault=vault, state=CopyState.DAMAGED).exists()
