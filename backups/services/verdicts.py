"""Whether a wedding is safe, in words a person may rely on. Green is asked for by one rule only, here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import OuterRef, Prefetch, Subquery

from backups.models import Copy, Snapshot, Vault, Wedding
from backups.policy.priority import is_fresh
from backups.policy.redundancy import judge
from backups.services.acknowledgement import place_of
from backups.services.weddings import wedding_promise
from backups.states import CopyState
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.templatetags.words import ago_words

SAFE, ATTENTION, DANGER, EMPTY = "safe", "attention", "danger", "empty"
_BADNESS = {SAFE: 0, EMPTY: 1, ATTENTION: 2, DANGER: 3}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement.

    level:    "safe", "attention", "danger" or "empty".
    sentence: the whole in words.   reasons: what speaks against it; the first one is in the sentence.
    """

    level: str
    sentence: str
    reasons: tuple[str, ...] = ()

    @property
    def is_safe(self) -> bool:
        return self.level == SAFE


def wedding_verdict(wedding: Wedding, user: Any, *, clock: Clock = SYSTEM_CLOCK) -> Verdict:
    """Judge a wedding by the vaults that `user` may see of it; a vendor's verdict says nothing of other vendors'."""
    vaults = _with_facts(Vault.objects.visible_to(user).filter(wedding=wedding))
    return _of_wedding(list(vaults), clock)


def wedding_verdicts(weddings: Iterable[Wedding], user: Any, *, clock: Clock = SYSTEM_CLOCK) -> dict[Any, Verdict]:
    """Return the verdict of each wedding by its id, in a fixed number of queries."""
    weddings = list(weddings)
    by_wedding: dict[Any, list[Vault]] = {wedding.pk: [] for wedding in weddings}
    for vault in _with_facts(Vault.objects.visible_to(user).filter(wedding__in=weddings)):
        by_wedding[vault.wedding_id].append(vault)
    return {pk: _of_wedding(vaults, clock) for pk, vaults in by_wedding.items()}


def vault_verdict(vault: Vault, *, clock: Clock = SYSTEM_CLOCK) -> Verdict:
    """Judge one vault: its newest snapshot acknowledged, fresh and unsuspicious, its copies whole and far apart."""
    return _of_vault(_with_facts(Vault.unscoped.filter(pk=vault.pk)).get(), clock)


def overview_verdict(
    user: Any, *, alerts: int = 0, verdicts: Mapping[Any, Verdict] | None = None, clock: Clock = SYSTEM_CLOCK
) -> Verdict:
    """Judge everything that `user` may see.

    alerts:   how many open alerts wait for this person; counted by the caller, because monitoring is above backups.
    verdicts: of all weddings that `user` may see, for a caller that has them already.
    """
    if verdicts is None:
        verdicts = wedding_verdicts(Wedding.objects.visible_to(user), user, clock=clock)
    sentence = _overview_sentence(list(verdicts.values()))
    if alerts:
        sentence += " 1 alert needs you." if alerts == 1 else f" {alerts} alerts need you."
    level = max((verdict.level for verdict in verdicts.values()), key=_BADNESS.__getitem__, default=EMPTY)
    if alerts and level in {SAFE, EMPTY}:
        level = ATTENTION
    reasons = dict.fromkeys(reason for verdict in verdicts.values() for reason in verdict.reasons)
    return Verdict(level, sentence, tuple(reasons))


def _overview_sentence(verdicts: Sequence[Verdict]) -> str:
    total = len(verdicts)
    if total == 0:
        return "There are no weddings yet."
    counts = {level: sum(verdict.level == level for verdict in verdicts) for level in _BADNESS}
    if counts[SAFE] == total:
        return "The wedding is safe." if total == 1 else f"All {total} weddings are safe."
    parts = [
        f"{counts[level]} {words[0] if counts[level] == 1 else words[1]}"
        for level, words in (
            (DANGER, ("wedding is in danger", "weddings are in danger")),
            (ATTENTION, ("wedding needs attention", "weddings need attention")),
            (EMPTY, ("wedding has no backup yet", "weddings have no backup yet")),
            (SAFE, ("is safe", "are safe")),
        )
        if counts[level]
    ]
    return ", ".join(parts) + "."


def _with_facts(vaults: Any) -> Any:
    """Load what a judgement needs: facts of the newest snapshots, and the copies with their places."""
    newest = Snapshot.unscoped.filter(vault=OuterRef("pk")).order_by("-number")
    safe = newest.filter(acknowledged_at__isnull=False)
    return (
        vaults.defer("config_file", "key_file", "sealed_secret", "sealed_master")
        .annotate(
            newest_taken_at=Subquery(newest.values("taken_at")[:1]),
            newest_acknowledged_at=Subquery(newest.values("acknowledged_at")[:1]),
            safe_taken_at=Subquery(safe.values("taken_at")[:1]),
        )
        # Not joined: a hundred vaults share a few policies and locations, and making objects is what takes the time.
        .prefetch_related(
            "policy", "wedding", Prefetch("copies", Copy.unscoped.prefetch_related("location"), to_attr="places")
        )
    )


def _of_wedding(vaults: Sequence[Vault], clock: Clock) -> Verdict:
    if not vaults:
        return Verdict(EMPTY, "Nothing is protected here yet: there is no vault.")
    verdicts = [_of_vault(vault, clock) for vault in vaults]
    level = max((verdict.level for verdict in verdicts), key=_BADNESS.__getitem__)
    if level == EMPTY and any(verdict.level != EMPTY for verdict in verdicts):
        level = ATTENTION
    reasons = tuple(dict.fromkeys(reason for verdict in verdicts for reason in verdict.reasons))
    sentence = {
        SAFE: "Safe: every copy is confirmed and fresh.",
        ATTENTION: "Needs attention.",
        DANGER: "In danger.",
        EMPTY: "Nothing is backed up yet.",
    }[level]
    if level in {ATTENTION, DANGER} and reasons:
        sentence = f"{sentence} {reasons[0]}"
    return Verdict(level, sentence, reasons)


def _of_vault(vault: Any, clock: Clock) -> Verdict:
    name = vault.get_protection_class_display()
    if vault.newest_taken_at is None:
        return Verdict(EMPTY, f"{name}: not backed up yet.", (f"{name}: not backed up yet.",))
    findings = [*_snapshot_findings(vault, name, clock), *_copy_findings(vault, name)]
    if not findings:
        return Verdict(SAFE, f"{name}: safe.")
    level = max((level for level, _ in findings), key=_BADNESS.__getitem__)
    reasons = tuple(reason for _, reason in findings)
    return Verdict(level, reasons[0], reasons)


def _snapshot_findings(vault: Any, name: str, clock: Clock) -> list[tuple[str, str]]:
    """What speaks against the newest snapshot."""
    too_close = _too_close(vault)
    if vault.safe_taken_at is None and not too_close:
        return [(DANGER, f"{name}: no backup has reached enough places yet.")]
    found = []
    if vault.suspicion:
        found.append((ATTENTION, f"{name}: {vault.suspicion}"))
    if vault.newest_acknowledged_at is None:
        found.append((ATTENTION, too_close or f"{name}: the newest backup has not reached enough places yet."))
    promise = wedding_promise(vault.wedding, clock=clock)
    taken_at = vault.safe_taken_at or vault.newest_taken_at
    if not is_fresh(taken_at, promise, vault.policy.interval_minutes, clock.utcnow()):
        age = ago_words(taken_at, clock.utcnow())
        found.append((ATTENTION, f"{name}: the newest backup is from {age}."))
    return found


def _whole(vault: Any) -> list[Copy]:
    return [copy for copy in vault.places if copy.state == CopyState.CURRENT]


def _too_close(vault: Any) -> str:
    """Say what is missing where copies are enough, but not far enough apart; "" where that is not the trouble."""
    whole = _whole(vault)
    enough = len(whole) >= vault.policy.copies_needed
    return judge([place_of(copy.location) for copy in whole]).gap if enough else ""


def _copy_findings(vault: Any, name: str) -> list[tuple[str, str]]:
    """What speaks against the places: copies that are not whole, and places that are lost together."""
    whole = _whole(vault)
    found = [
        (ATTENTION, f"{name}: the copy at {copy.location.name} is {copy.get_state_display()}.")
        for copy in vault.places
        if copy.state not in {CopyState.CURRENT, CopyState.EMPTY}
    ]
    if not whole:
        found.append((DANGER, f"{name}: no complete copy is left."))
    else:
        gap = judge([place_of(copy.location) for copy in whole]).gap
        if gap:
            found.append((ATTENTION, gap))
    return found
