"""Lock files that somebody left behind in a vault's copies are removed, because a person asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.exceptions import ValidationError

from backups.engine.format.lockfile import remove_abandoned
from backups.engine.format.repository import Repository
from backups.models import Job, Vault
from backups.services.opening import copies_of, copies_open
from backups.services.vaults import vault_config, vault_master
from backups.states import JobState
from providers.services.locations import PRUNE
from providers.stores.errors import StoreError
from wedbackup.core.audit import AuditTag, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User


@dataclass(frozen=True, slots=True)
class Unlocked:
    """What was found at one place. removed: how many locks went.   left: those that somebody may hold, in words.

    error: why the place could not be looked at, "" if it could.
    """

    place: str
    removed: int = 0
    left: tuple[str, ...] = ()
    error: str = ""


def vault_unlock(
    vault: Vault, *, by_force: bool = False, actor: User | str, clock: Clock = SYSTEM_CLOCK
) -> list[Unlocked]:
    """Remove the locks that nobody holds any more from every copy that answers; return what was found at each place.

    by_force: a person says that no other program works at these places: all but those of our own running work go.

    Raises ValidationError while a job of the vault runs, VaultSealed.
    """
    if Job.unscoped.filter(vault=vault, state=JobState.RUNNING).exists():
        raise ValidationError("Work on this vault is under way, and its lock is in use. Wait until it has ended.")
    master = vault_master(vault)
    config = vault_config(vault, master)
    found: list[Unlocked] = []
    with copies_open(copies_of(vault), purpose=PRUNE, clock=clock) as opened:
        for key, copy in opened.copies.items():
            name = copy.location.name
            if key in opened.errors:
                found.append(Unlocked(name, error=str(opened.errors[key])))
                continue
            repository = Repository(opened.stores[key], vault.prefix, master, config)
            try:
                done = remove_abandoned(repository, by_force=by_force, clock=clock)
            except StoreError as exc:
                found.append(Unlocked(name, error=str(exc)))
            else:
                found.append(Unlocked(name, len(done.removed), done.left))
    removed = {each.place: each.removed for each in found if each.removed}
    record(
        AuditTag.LOCKS_REMOVED,
        actor=actor,
        subject_type="vault",
        subject_id=vault.pk,
        organisation_id=vault.organisation_id,
        detail={"vault": str(vault), "removed": removed, "by_force": by_force},
        clock=clock,
    )
    return found
