"""Looks at all conditions that deserve an alert as long as they hold, raises what is new and resolves what is over.

Each family of alerts is one function that returns every wish that holds now; a live alert of the family without a wish
is over. So neither a lost event nor a restart leaves an alert behind.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import PurePosixPath
from uuid import UUID

from django.db.models import Count, F, Max, Min, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from backups.models import Copy, Job, Snapshot, Vault
from backups.policy.priority import is_fresh, pause_seconds
from backups.services.checks import CHECK_EVERY
from backups.services.weddings import wedding_promise
from backups.states import JOB_UNFINISHED, CopyState
from monitoring import conditions
from monitoring.health import SCHEDULER, parts_stuck
from monitoring.models import Alert
from monitoring.rules import SCHEDULER_SILENT, WORKERS_SILENT
from monitoring.services.alerts import alert_raise, alert_resolve
from monitoring.surroundings import is_urgent, urgent_at_location
from monitoring.wishes import Severity, Wish
from providers.models import Credential, Location
from providers.services.credentials import CREDENTIAL_AGE_MAX
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.clockwatch import clock_doubt
from wedbackup.core.models import Heartbeat
from wedbackup.core.moments import before
from wedbackup.core.silence import is_silent

log = logging.getLogger(__name__)

READING_GRACE = timedelta(days=2)  # for a reading that is late: a place that was away, a queue that was full
LOST_NAMED = 5  # in an alert


def conditions_watch(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Bring all alerts about conditions up to date; return how many hold.

    Raises, after all of them were seen to, what the first one raised that could not be.
    """
    holding = 0
    failed: list[Exception] = []
    for prefix, find in _FAMILIES.items():
        try:
            holding += family_keep(prefix, find(clock), clock=clock)
        except Exception as exc:  # one odd row must not silence the alerts of every other kind
            log.exception("the alerts %s cannot be kept true", prefix)
            failed.append(exc)
    if failed:
        raise failed[0]
    return holding


def family_keep(prefix: str, found: Iterable[Wish], *, clock: Clock) -> int:
    """Raise what holds of one family of alerts, resolve what holds no more, and return how many hold."""
    wishes = {wish.key: wish for wish in found}
    for wish in wishes.values():
        alert_raise(**asdict(wish), again=False, clock=clock)
    live = Alert.objects.filter(key__startswith=prefix).exclude(state=Alert.State.RESOLVED)
    for key in set(live.values_list("key", flat=True)) - set(wishes):
        alert_resolve(key, clock=clock)
    return len(wishes)


def _overdue_vaults(clock: Clock) -> Iterator[Wish]:
    now = clock.utcnow()
    unfinished = (
        Job.unscoped.filter(vault=OuterRef("pk"), kind=Job.Kind.BACKUP, state__in=JOB_UNFINISHED)
        .order_by()
        .values("vault")
    )
    vaults = (
        Vault.unscoped.filter(sources__isnull=False)
        .annotate(
            unfinished_since=Subquery(unfinished.annotate(since=Min("created_at")).values("since")),
            moved_at=Subquery(unfinished.annotate(moved=Max(Coalesce("progress_at", "started_at"))).values("moved")),
        )
        .filter(Q(next_due_at__lt=now) | Q(unfinished_since__lt=now))
        .select_related("wedding", "organisation", "policy")
        .distinct()
    )
    for vault in vaults:
        since = conditions.overdue_since(
            next_due_at=vault.next_due_at,
            pause_seconds=pause_seconds(wedding_promise(vault.wedding, clock=clock), vault.policy.interval_minutes),
            unfinished_since=vault.unfinished_since,
            last_progress_at=vault.moved_at,
            now=now,
        )
        if since is not None:
            urgent = is_urgent(vault.wedding, now)
            yield conditions.vault_overdue(vault.pk, str(vault), urgent, vault.organisation_id, vault.wedding_id, since)


def _unsafe_vaults(clock: Clock) -> Iterator[Wish]:
    """Vaults whose newest acknowledged snapshot is older than promised, although newer snapshots are made."""
    now = clock.utcnow()
    newest = Snapshot.unscoped.filter(vault=OuterRef("pk")).order_by("-number")
    safe = newest.filter(acknowledged_at__isnull=False)
    first = Snapshot.unscoped.filter(vault=OuterRef("pk")).order_by("number")
    vaults = (
        Vault.unscoped.defer("config_file", "key_file", "sealed_secret", "sealed_master")
        .annotate(
            newest_number=Subquery(newest.values("number")[:1]),
            safe_number=Subquery(safe.values("number")[:1]),
            safe_at=Subquery(safe.values("taken_at")[:1]),
            first_at=Subquery(first.values("taken_at")[:1]),
        )
        .filter(newest_number__isnull=False)
        .filter(Q(safe_number=None) | Q(safe_number__lt=F("newest_number")))
        .select_related("wedding", "organisation", "policy")
    )
    for vault in vaults:
        promise = wedding_promise(vault.wedding, clock=clock)
        if not is_fresh(vault.safe_at or vault.first_at, promise, vault.policy.interval_minutes, now):
            yield conditions.vault_unsafe(
                vault.pk,
                str(vault),
                is_urgent(vault.wedding, now),
                vault.organisation_id,
                vault.wedding_id,
                vault.safe_at,
            )


def _suspicious_vaults(clock: Clock) -> Iterator[Wish]:
    """Vaults whose newest state must not be trusted: a copy that comes back late, or a person, changes that or not."""
    now = clock.utcnow()
    vaults = Vault.unscoped.exclude(suspicion="").select_related("wedding", "organisation", "policy")
    for vault in vaults.defer("config_file", "key_file", "sealed_secret", "sealed_master"):
        yield conditions.vault_suspicious(
            vault.pk,
            str(vault),
            is_urgent(vault.wedding, now),
            vault.organisation_id,
            vault.wedding_id,
            vault.suspicion,
        )


def _failing_locations(clock: Clock) -> Iterator[Wish]:
    for location in Location.objects.filter(enabled=True):
        if location.is_failing:
            urgent = urgent_at_location(location.pk, clock.utcnow())
            yield conditions.location_down(location.pk, location.name, urgent, location.last_error)


def _damaged_copies(clock: Clock) -> Iterator[Wish]:
    del clock
    for location_id, name, count in _copies_by_location([CopyState.DAMAGED]):
        yield conditions.copies_damaged(location_id, name, count)


def _unread_copies(clock: Clock) -> Iterator[Wish]:
    """Copies that were not read in full although the time for it, and some more, has passed."""
    late = before("since", clock.utcnow(), CHECK_EVERY + READING_GRACE)
    since = Coalesce("verified_at", Min("confirmations__confirmed_at"))
    copies = Copy.unscoped.filter(location__enabled=True).annotate(since=since).filter(late)
    days = (CHECK_EVERY + READING_GRACE).days
    by_location = Counter((copy.location_id, copy.location.name) for copy in copies.select_related("location"))
    for (location_id, name), count in by_location.items():
        yield conditions.copies_unread(location_id, name, count, days)


def _lost_files(clock: Clock) -> Iterator[Wish]:
    del clock
    rows = Snapshot.unscoped.filter(lost_count__gt=0).select_related("vault__wedding", "vault__organisation")
    by_vault = defaultdict(list)
    for snapshot in rows:
        by_vault[snapshot.vault].append(snapshot)
    for vault, snapshots in by_vault.items():
        paths = sorted({path for snapshot in snapshots for path in snapshot.lost_files})
        newest = Snapshot.unscoped.filter(vault=vault).first()
        yield conditions.files_lost(
            vault.pk,
            str(vault),
            vault.organisation_id,
            vault.wedding_id,
            names=[PurePosixPath(path).name for path in paths[:LOST_NAMED]],
            count=max(len(paths), *(snapshot.lost_count for snapshot in snapshots)),
            in_newest=newest in snapshots,
        )


def _copies_left_behind(clock: Clock) -> Iterator[Wish]:
    """Copies that miss snapshots although their location answers and nothing is catching up.

    While the location itself is down, its own alert says it all: one trouble, one alert.
    """
    settled = clock.utcnow() - conditions.SETTLED
    answering = [
        location.pk
        for location in Location.objects.filter(enabled=True)
        if not location.is_failing and (location.breaker_changed_at is None or location.breaker_changed_at < settled)
    ]
    at_work = Job.unscoped.filter(vault__isnull=False, state__in=JOB_UNFINISHED).values("vault")
    behind = [CopyState.BEHIND, CopyState.UNREACHABLE]
    rows = _copies_by_location(behind, Q(location__in=answering) & ~Q(vault__in=at_work))
    for location_id, name, count in rows:
        yield conditions.copies_behind(location_id, name, count)


def _copies_by_location(states: list[CopyState], narrowed: Q | None = None) -> list[tuple[UUID, str, int]]:
    copies = Copy.unscoped.filter(narrowed or Q(), state__in=states).order_by("location__name")
    return [*copies.values("location").annotate(count=Count("pk")).values_list("location", "location__name", "count")]


def _old_credentials(clock: Clock) -> Iterator[Wish]:
    """One wish for each location, whichever of its credentials is old; those that drain are old news."""
    old = Credential.objects.filter(
        state=Credential.State.CURRENT,
        created_at__lt=clock.utcnow() - CREDENTIAL_AGE_MAX,
        location__enabled=True,
    )
    by_location = defaultdict(list)
    for credential in old.select_related("location").order_by("-role"):
        by_location[credential.location].append(credential.get_role_display())
    for location, roles in by_location.items():
        yield conditions.credential_old(location.pk, location.name, roles, CREDENTIAL_AGE_MAX.days)


def _silent_scheduler(clock: Clock) -> Iterator[Wish]:
    """The scheduler's own silence is seen by whoever else reads, such as another scheduler."""
    beat = Heartbeat.objects.filter(name=SCHEDULER).first()
    if beat is not None and is_silent(beat, clock=clock):
        yield _silence(SCHEDULER_SILENT)


def _doubted_clock(clock: Clock) -> Iterator[Wish]:
    doubt = clock_doubt(clock=clock)
    if doubt:
        yield conditions.clock_doubted(doubt)


def _stuck_parts(clock: Clock) -> Iterator[Wish]:
    """Parts of the scheduler that wait for a disk or a line which does not answer."""
    for part in parts_stuck(clock=clock):
        yield conditions.part_stuck(part)


def _silent_workers(clock: Clock) -> Iterator[Wish]:
    """One worker that answers is enough; those that end in order take their heartbeat with them."""
    silent = [is_silent(beat, clock=clock) for beat in Heartbeat.objects.filter(name__startswith="worker ")]
    if silent and all(silent):
        yield _silence(WORKERS_SILENT)


def _silence(words: tuple[str, str, str, str]) -> Wish:
    key, title, text, what_to_do = words
    return Wish(key, Severity.CRITICAL, title, text, what_to_do)


_FAMILIES: dict[str, Callable[[Clock], Iterator[Wish]]] = {
    "vault.overdue:": _overdue_vaults,
    "vault.unsafe:": _unsafe_vaults,
    "snapshot.suspicious:": _suspicious_vaults,
    "location.down:": _failing_locations,
    "copies.damaged:": _damaged_copies,
    "copies.unread:": _unread_copies,
    "files.lost:": _lost_files,
    "copies.behind:": _copies_left_behind,
    "credential.old:": _old_credentials,
    SCHEDULER_SILENT[0]: _silent_scheduler,
    "part.stuck:": _stuck_parts,
    "clock.doubted": _doubted_clock,
    WORKERS_SILENT[0]: _silent_workers,
}
