"""`manage.py demo`: a realistic wedding with one person per role, and its first backup in the queue."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from backups.models import Policy
from backups.services.demo import LOGINS, Demo, demo_create, demo_exists
from backups.services.installation import EMBEDDED
from wedbackup.core.templatetags.words import number, size


class Command(BaseCommand):
    help = "Makes the demo wedding (300 files, about 500 MB), its vaults and log-ins, and queues its first backup."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--small", action="store_true", help="a few files only")
        parser.add_argument("--no-logins", action="store_true", help="do not print the log-ins, they are in a file too")

    def handle(self, *args: Any, **options: Any) -> None:
        if demo_exists():
            self.stdout.write(f"The demo wedding is there already; its log-ins are in {settings.HOME / LOGINS}.")
            return
        if not Policy.objects.filter(name=EMBEDDED).exists():
            raise CommandError("There are no policies and locations yet. Run `manage.py setup` first.")
        try:
            with _bar(self.stdout) as on_progress:
                demo = demo_create(small=options["small"], on_progress=on_progress)
        except ImportError as exc:
            raise CommandError("The demo needs more packages. Run: pip install -r requirements-demo.txt") from exc
        except OSError as exc:
            raise CommandError(f"The demo's files cannot be written ({exc.strerror}). Is the disk full?") from exc
        except KeyboardInterrupt as exc:
            raise CommandError("Stopped. Run it again: it begins where it makes sense.") from exc
        self._tell(demo, with_logins=not options["no_logins"])

    def _tell(self, demo: Demo, *, with_logins: bool) -> None:
        wedding = demo.wedding
        self.stdout.write(f"{wedding}, {wedding.date:%d %B %Y}, {wedding.venue}")
        self.stdout.write(f"{number(demo.files)} files, {size(demo.size_bytes)}; {len(demo.jobs)} backups are queued.")
        if not with_logins:
            return
        self.stdout.write("Log-ins (shown once, also in the file below):")
        for username, password in demo.logins:
            self.stdout.write(f"  {username:8}{password}")
        self.stdout.write(f"  {settings.HOME / LOGINS} (0600)")


@contextlib.contextmanager
def _bar(out: Any) -> Iterator[Callable[[int, int, int], None]]:
    """Yield a callback that draws the making of the files on a terminal."""
    if not out.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=out)) as bars:
        task = bars.add_task("Making the demo wedding", total=None)

        def draw(done: int, total: int, written: int) -> None:
            bars.update(task, completed=done, total=total, description=f"Making the demo wedding, {size(written)}")

        yield draw
