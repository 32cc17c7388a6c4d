"""Whether a wedding is safe, in words a person may rely on. Green is asked for by one rule only: `policy.verdict`.

Here its facts are read, and findings become sentences. Whoever shows that something is safe asks here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import OuterRef, Prefetch, Subquery

from backups.models import Copy, Snapshot, Vault, Wedding
from backups.policy.priority import is_fresh
from backups.policy.residency import residency_gap
from backups.policy.verdict import Cause, CopyFacts, Finding, Level, VaultFacts, findings_of
from backups.services.acknowledgement import domains_needed, place_of
from backups.services.weddings import wedding_promise
from providers.models import Location
from providers.registry import kind_named
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import ClockReading
from wedbackup.core.templatetags.words import ago_words

SAFE, ATTENTION, DANGER, EMPTY = map(str, (Level.SAFE, Level.ATTENTION, Level.DANGER, Level.EMPTY))
_BADNESS = {SAFE: 0, EMPTY: 1, ATTENTION: 2, DANGER: 3}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement.

    level:    "safe", "attention", "danger" or "empty".
    sentence: the whole in words.   reasons: what speaks against it; the first one is in the sentence.
    cause:    what the gravest finding is about, None where nothing was found.
    """

    level: str
    sentence: str
    reasons: tuple[str, ...] = ()
    cause: Cause | None = None

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
            clock_doubt=Subquery(ClockReading.objects.exclude(doubt="").values("doubt")[:1]),
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
        return Verdict(EMPTY, "Nothing is protected here yet: there is no vault.", cause=Cause.NOTHING_YET)
    verdicts = [_of_vault(vault, clock) for vault in vaults]
    worst = max(verdicts, key=lambda verdict: _BADNESS[verdict.level])
    level = worst.level
    if level == EMPTY and any(verdict.level != EMPTY for verdict in verdicts):
        level = ATTENTION
    reasons = tuple(dict.fromkeys(reason for verdict in verdicts for reason in verdict.reasons))
    first = worst.reasons[:1]
    sentence = {
        SAFE: "Safe: every copy is confirmed and fresh.",
        ATTENTION: "Needs attention.",
        DANGER: "In danger.",
        EMPTY: "Nothing is backed up yet.",
    }[level]
    if level in {ATTENTION, DANGER} and first:
        sentence = f"{sentence} {first[0]}"
        reasons = (*first, *(reason for reason in reasons if reason != first[0]))
    return Verdict(level, sentence, reasons, worst.cause)


def _of_vault(vault: Any, clock: Clock) -> Verdict:
    findings = findings_of(_facts(vault, clock), clock.utcnow())
    if not findings:
        return Verdict(SAFE, f"{vault.get_protection_class_display()}: safe.")
    worst: Finding = max(findings, key=lambda finding: _BADNESS[finding.level])
    reasons = tuple(dict.fromkeys([worst.sentence, *(finding.sentence for finding in findings)]))
    return Verdict(str(worst.level), worst.sentence, reasons, worst.cause)


def _facts(vault: Any, clock: Clock) -> VaultFacts:
    now, promise = clock.utcnow(), wedding_promise(vault.wedding, clock=clock)
    taken_at = vault.safe_taken_at or vault.newest_taken_at
    return VaultFacts(
        name=vault.get_protection_class_display(),
        has_snapshot=vault.newest_taken_at is not None,
        ever_safe=vault.safe_taken_at is not None,
        newest_safe=vault.newest_acknowledged_at is not None,
        age=ago_words(taken_at, now) if taken_at else "",
        fresh=taken_at is not None and is_fresh(taken_at, promise, vault.policy.interval_minutes, now),
        suspicion=vault.suspicion or vault.clock_doubt or "",
        copies_needed=vault.policy.copies_needed,
        domains_needed=domains_needed(vault.policy),
        copies=[_copy_facts(copy, vault, clock) for copy in vault.places],
    )


def _copy_facts(copy: Copy, vault: Any, clock: Clock) -> CopyFacts:
    location = copy.location
    return CopyFacts(
        place=place_of(location),
        state=copy.state,
        words=copy.get_state_display(),
        away=away_words(location, clock=clock),
        online=kind_named(location.kind).store_class().reads_at_once(location.options),
        read_at=copy.verified_at,
        since=max(vault.created_at, location.created_at),
        abroad=residency_gap(vault.wedding.jurisdiction, location.jurisdiction) if vault.wedding else "",
    )


def away_words(location: Location, *, clock: Clock = SYSTEM_CLOCK) -> str:
    """Return why a location cannot be reached now and since when, "" while it answers."""
    reason, since = location.away_since(clock.utcnow())
    return f"{reason} since {since:%d %b, %H:%M} UTC" if reason and since else reason
