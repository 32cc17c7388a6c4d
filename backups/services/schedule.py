"""What is due: missed work runs once, whoever asks and however often."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from backups.models import Job, Policy, Vault
from backups.policy.priority import DAY, PROMISES, REACH_DAYS, pause_seconds
from backups.services.backups import backup_request
from backups.services.checks import checks_enqueue_due, samples_enqueue_due
from backups.services.copies import catch_ups_enqueue_due
from backups.services.documents import documents_enqueue_due
from backups.services.weddings import wedding_promise
from wedbackup.core.clock import SLACK, SYSTEM_CLOCK, Clock, is_due

BATCH = 200  # vaults per tick


def enqueue_due(*, clock: Clock = SYSTEM_CLOCK) -> list[Job]:
    """Queue backups of vaults whose time has come, and what their copies and folders need; return the jobs.

    A vault's next time is set by compare-and-set, in the transaction that queues the job: of two schedulers one wins,
    and a vault whose backups fail is tried again in its own rhythm, not at every tick.
    """
    now = clock.utcnow()
    vaults = Vault.unscoped.filter(Q(next_due_at__lte=now) | _set_too_far(now), sources__isnull=False).distinct()
    jobs: list[Job] = []
    for vault in vaults.select_related("policy", "wedding", "organisation").order_by("next_due_at"):
        pause = pause_seconds(wedding_promise(vault.wedding, clock=clock), vault.policy.interval_minutes)
        assert vault.next_due_at is not None, "the query asks for it"
        if not is_due(vault.next_due_at, now, timedelta(seconds=pause)):
            continue
        if len(jobs) >= BATCH:
            break
        with transaction.atomic():
            waiting = Vault.unscoped.filter(pk=vault.pk, next_due_at=vault.next_due_at)
            if waiting.update(next_due_at=now + timedelta(seconds=pause)) == 1:
                jobs += backup_request(vault=vault, reason="scheduled", clock=clock)
    others = (catch_ups_enqueue_due, checks_enqueue_due, samples_enqueue_due, documents_enqueue_due)
    return jobs + [job for enqueue in others for job in enqueue(clock=clock)]


def _set_too_far(now: datetime) -> Q:
    """Match vaults whose next time lies further ahead than anybody would set it now.

    A clock that was ahead has set it, by a year perhaps, or the wedding was moved to an earlier day. The days are taken
    a little wide: the venue's zone has the last word, with `is_due`.
    """
    found = Q(next_due_at__gt=now + timedelta(seconds=DAY) + SLACK)
    for priority, days in REACH_DAYS.items():
        near = (now.date() - timedelta(days=days + 1), now.date() + timedelta(days=days + 1))
        latest = now + timedelta(seconds=PROMISES[priority].interval_seconds) + SLACK
        found |= Q(wedding__date__range=near, next_due_at__gt=latest)
    for minutes in Policy.objects.values_list("interval_minutes", flat=True).distinct().order_by():
        found |= Q(policy__interval_minutes=minutes, next_due_at__gt=now + timedelta(minutes=minutes) + SLACK)
    return found
