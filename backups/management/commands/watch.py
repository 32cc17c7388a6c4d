"""`manage.py watch`: follow the work that is under way, wherever it runs, with live bars."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from backups.models import Job
from backups.states import JOB_UNFINISHED
from backups.terminal import sentence, watch


class Command(BaseCommand):
    help = "Shows the progress of all waiting and running jobs until they have ended. Ctrl-C ends only the watching."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        jobs = list(Job.unscoped.filter(state__in=JOB_UNFINISHED).order_by("priority", "created_at"))
        if not jobs:
            self.stdout.write("Nothing is waiting or running.")
            return
        try:
            for job in watch(jobs, out=self.stdout):
                self.stdout.write(sentence(job))
        except KeyboardInterrupt:
            self.stdout.write("No longer watching; the work goes on.")
