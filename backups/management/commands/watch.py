"""`manage.py watch`: follow the work that is under way, wherever it runs, with live bars."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from backups.terminal import sentence, unfinished_jobs, watch


class Command(BaseCommand):
    help = "Shows the progress of all waiting and running jobs until they have ended. Ctrl-C ends only the watching."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        jobs = unfinished_jobs()
        if not jobs:
            self.stdout.write("Nothing is waiting or running.")
            return
        try:
            for job in watch(jobs, out=self.stdout):
                self.stdout.write(sentence(job))
        except KeyboardInterrupt:
            self.stdout.write("No longer watching; the work goes on.")
