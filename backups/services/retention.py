"""What a vault keeps and what may go: the policy's rules applied to its snapshots, in two phases.

A snapshot that no rule keeps is marked (`expired_at`) and stays for GRACE; whatever keeps it again meanwhile takes the
mark away: another policy, a hold, a suspicion. Only what was marked for so long is forgotten, by a prune.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, timedelta

from django.db.models import Count, Max, Q

from backups.engine.upkeep.copies import Forgotten
from backups.models import Copy, ForgottenSnapshot, Job, Policy, Snapshot, Vault, Wedding
from backups.policy.contracts import contract_period
from backups.policy.retention import CLOCK_SKEW, Candidate, Rules, Span, Verdict, days_around, judge
from backups.services.jobs import job_enqueue
from backups.services.opening import copies_of, copy_key
from backups.states import CopyState
from providers.models import Location
from providers.registry import kind_named
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.clockwatch import clock_doubt
from wedbackup.core.moments import within

PRUNE_RANK = 90
PRUNE_EVERY = timedelta(days=1)
GRACE = timedelta(days=7)  # between a snapshot's being marked and its being forgotten


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules say of a vault's snapshots. verdicts: newest first.   frozen: why nothing goes at present, or "".

    ripe: ids that have been marked for GRACE and may be forgotten now.
    """

    verdicts: tuple[Verdict, ...]
    frozen: str
    ripe: tuple[str, ...]

    @property
    def going(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if not verdict.keep]


def rules_of(vault: Vault) -> Rules:
    """Return the rules that the vault's policy, class and wedding make together."""
    policy, wedding = vault.policy, vault.wedding
    years, reason = _long_kept(vault)
    return Rules(
        last=policy.keep_last,
        hourly=policy.keep_hourly,
        daily=policy.keep_daily,
        weekly=policy.keep_weekly,
        monthly=policy.keep_monthly,
        yearly=policy.keep_yearly,
        within=timedelta(days=policy.keep_within_days) if policy.keep_within_days else None,
        span=_wedding_days(policy, wedding) if wedding else None,
        monthly_years=years,
        monthly_reason=reason,
        minimum_copies=policy.copies_needed,
        zone=wedding.zone if wedding else UTC,
    )


def _wedding_days(policy: Policy, wedding: Wedding) -> Span:
    start, end = days_around(
        wedding.date, wedding.zone, before=policy.wedding_days_before, after=policy.wedding_days_after
    )
    return Span(start, end, timedelta(days=policy.keep_wedding_days), "of the days around the wedding")


def _long_kept(vault: Vault) -> tuple[int, str]:
    """Return for how many years the newest snapshot of each month stays, and why: for finals and for contracts."""
    policy = vault.policy
    if vault.protection_class == Vault.ProtectionClass.MEDIA:
        return policy.finals_years, f"photos and video are kept for {policy.finals_years} years"
    if vault.protection_class != Vault.ProtectionClass.DOCUMENTS:
        return 0, ""
    if policy.contract_years is not None:
        return policy.contract_years, f"contracts are kept for {policy.contract_years} years"
    period = contract_period(vault.wedding.jurisdiction if vault.wedding else "")
    # The periods begin with the end of the year in which the work was done.
    return period.years + 1, f"contracts are kept for {period.years} full years ({period.source})"


def retention_judge(vault: Vault, *, clock: Clock = SYSTEM_CLOCK) -> Judgement:
    """Apply the rules to all snapshots of `vault`; changes nothing."""
    frozen = _frozen(vault) or clock_doubt(clock=clock)
    proved = [copy.pk for copy in copies_of(vault) if _proves_now(copy)]
    copies = Count("confirmations", filter=Q(confirmations__copy__in=proved))
    newest_first = Snapshot._meta.ordering or ()  # named, because grouping drops it
    rows = Snapshot.unscoped.filter(vault=vault).annotate(proved=copies).order_by(*newest_first)
    fields = list(rows.values_list("restic_id", "taken_at", "proved", "hold", "suspicion", "expired_at"))
    candidates = [Candidate(name, at, count, hold, bool(doubt)) for name, at, count, hold, doubt, _ in fields]
    verdicts = judge(candidates, rules_of(vault), now=clock.utcnow(), frozen=frozen)
    since = {name: expired_at for name, _, _, _, _, expired_at in fields if expired_at is not None}
    latest = clock.utcnow() - GRACE
    ripe = [
        verdict.snapshot_id
        for verdict in verdicts
        if not verdict.keep and verdict.snapshot_id in since and since[verdict.snapshot_id] <= latest
    ]
    return Judgement(tuple(verdicts), frozen, tuple(ripe))


def _frozen(vault: Vault) -> str:
    """Say why nothing of the vault may go at present; "" where nothing speaks against it."""
    if vault.hold:
        return f"legal hold: {vault.hold}"
    if vault.suspicion:
        return vault.suspicion
    return _damage(vault)


def _damage(vault: Vault) -> str:
    """Name a damaged copy while the damage may be everywhere: until another copy was read in full since, and is whole.

    Till then an older version may be the last whole one, whatever was once confirmed of the newer.
    """
    copies = Copy.unscoped.filter(vault=vault).annotate(damage_at=Max("damaged_files__found_at"))
    damaged = [copy for copy in copies.select_related("location") if copy.damage_at or copy.state == CopyState.DAMAGED]
    if not damaged:
        return ""
    latest = max((copy.damage_at for copy in damaged if copy.damage_at), default=None)
    whole = copies.filter(state=CopyState.CURRENT, damage_at=None, verified_at__gt=latest) if latest else copies.none()
    if whole.exists():
        return ""
    return f"the copy at {damaged[0].location.name} is damaged, and no other was read in full since that was found"


def _proves_now(copy: Copy) -> bool:
    """Whether what was confirmed at this copy counts today: it is whole as far as it goes, and can be read."""
    capabilities = kind_named(copy.location.kind).store_class().capabilities
    answers = copy.location.enabled and copy.location.breaker != Location.Breaker.OPEN
    known = answers and copy.state in {CopyState.CURRENT, CopyState.BEHIND}
    return bool(known and capabilities.countable and capabilities.online)


def retention_mark(vault: Vault, *, clock: Clock = SYSTEM_CLOCK) -> Judgement:
    """Mark what no rule keeps, take the mark from what one keeps again, and return the judgement."""
    judgement = retention_judge(vault, clock=clock)
    going = {verdict.snapshot_id for verdict in judgement.going}
    marked = set(Snapshot.unscoped.filter(vault=vault, expired_at__isnull=False).values_list("restic_id", flat=True))
    rows, now = Snapshot.unscoped.filter(vault=vault), clock.utcnow()
    rows.filter(restic_id__in=going - marked).update(expired_at=now)
    rows.filter(restic_id__in=marked - going).update(expired_at=None)
    rows.filter(expired_at__gt=now + CLOCK_SKEW).update(expired_at=now)  # the clock was wrong: the week begins anew
    return judgement


def forgotten_among(vault: Vault, ids: Collection[str]) -> set[str]:
    """Return which of these snapshots were forgotten: none of them may come back.

    What the database has a row of was not, so that next to nothing is left to ask for.
    """
    unknown = set(ids).difference(Snapshot.unscoped.filter(vault=vault).values_list("restic_id", flat=True))
    if not unknown:
        return set()
    rows = ForgottenSnapshot.unscoped.filter(vault=vault, restic_id__in=unknown)
    return set(rows.values_list("restic_id", flat=True))


def newest_tombstone(vault: Vault) -> int:
    """Return the key of the newest tombstone, 0 if nothing was ever forgotten; keys grow, whatever the clock does."""
    return ForgottenSnapshot.unscoped.filter(vault=vault).aggregate(newest=Max("pk"))["newest"] or 0


def owing(vault: Vault) -> list[Copy]:
    """Return the copies at which something that was forgotten may still lie, because a prune missed them."""
    newest = newest_tombstone(vault)
    return [copy for copy in copies_of(vault) if copy.rid_of < newest]


def forgotten_of(vault: Vault) -> Forgotten:
    """Return what no copy of the vault may bring back, as the engine takes it; copies by `copy_key`."""
    unpruned = frozenset(copy_key(copy) for copy in owing(vault))
    return Forgotten(functools.partial(forgotten_among, vault), unpruned)


def prune_request(vault: Vault, *, clock: Clock = SYSTEM_CLOCK) -> Job | None:
    """Mark what expires; queue a prune if it has work to do and none was queued within PRUNE_EVERY.

    Work is: a snapshot whose grace has passed, or a copy that answers and still holds what was forgotten.
    """
    judgement = retention_mark(vault, clock=clock)
    recent = Job.unscoped.filter(
        within("created_at", clock.utcnow(), PRUNE_EVERY), vault=vault, kind=Job.Kind.PRUNE
    ).exists()
    has_work = judgement.ripe or any(_may_answer(copy) for copy in owing(vault))
    if recent or judgement.frozen or not has_work:
        return None
    return job_enqueue(
        kind=Job.Kind.PRUNE,
        organisation=vault.organisation,
        wedding=vault.wedding,
        vault=vault,
        priority=PRUNE_RANK,
        clock=clock,
    )


def _may_answer(copy: Copy) -> bool:
    location = copy.location
    return location.enabled and location.paused_at is None and location.breaker == Location.Breaker.CLOSED
