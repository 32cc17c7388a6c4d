"""What is due: missed work runs once, whoever asks and however often."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from backups.models import Job, Vault
from backups.policy.priority import pause_seconds
from backups.services.backups import backup_request
from backups.services.checks import checks_enqueue_due, samples_enqueue_due
from backups.services.copies import catch_ups_enqueue_due
from backups.services.documents import documents_enqueue_due
from backups.services.weddings import wedding_promise
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

BATCH = 200  # vaults per tick


def enqueue_due(*, clock: Clock = SYSTEM_CLOCK) -> list[Job]:
    """Queue backups of vaults whose time has come, and what their copies and folders need; return the jobs.

    A vault's next time is set by compare-and-set, in the transaction that queues the job: of two schedulers one wins,
    and a vault whose backups fail is tried again in its own rhythm, not at every tick.
    """
    now = clock.utcnow()
    due = Vault.unscoped.filter(next_due_at__lte=now, sources__isnull=False).distinct()
    jobs: list[Job] = []
    for vault in due.select_related("policy", "wedding", "organisation").order_by("next_due_at")[:BATCH]:
        pause = pause_seconds(wedding_promise(vault.wedding, clock=clock), vault.policy.interval_minutes)
        with transaction.atomic():
            waiting = Vault.unscoped.filter(pk=vault.pk, next_due_at=vault.next_due_at)
            if waiting.update(next_due_at=now + timedelta(seconds=pause)) == 1:
                jobs += backup_request(vault=vault, reason="scheduled", clock=clock)
    others = (catch_ups_enqueue_due, checks_enqueue_due, samples_enqueue_due, documents_enqueue_due)
    return jobs + [job for enqueue in others for job in enqueue(clock=clock)]
