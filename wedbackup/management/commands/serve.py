"""`manage.py serve`: the whole product in one process."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.checks import ERROR
from django.core.management.base import BaseCommand, CommandError, CommandParser

from backups.services.demo import LOGINS
from backups.services.installation import FIRST_LOGIN
from backups.terminal import Follower
from wedbackup.core.checks import start_problems

HOST, PORT = "127.0.0.1", 8000


class Command(BaseCommand):
    """Starts web server, worker and scheduler, and stops them in good order."""

    help = "Run the site, the worker and the scheduler in one process. Ctrl-C stops it; running jobs are handed back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=HOST, help=f"address to listen on (default {HOST}: this machine only)")
        parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on (default {PORT})")
        parser.add_argument(
            "--follow", action="store_true", help="show the work under way here, then address and log-ins"
        )

    def handle(self, *args: Any, host: str, port: int, follow: bool, **options: Any) -> None:
        self._check_start()
        from wedbackup.server import EmbeddedServer, PortTaken, check_port

        try:
            check_port(host, port)
        except PortTaken as exc:
            raise CommandError(str(exc)) from exc
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        follower = Follower(sys.stdout, lambda followed: self._welcome(address, followed))

        def on_ready() -> None:
            self._say(f"wedbackup is running at {address}  (Ctrl-C stops it)")
            if follow:
                follower.start()

        def on_stop() -> None:
            follower.stop()
            self._say("Stopping: running jobs go back into the queue and continue at the next start.")

        server = EmbeddedServer(host, port, on_ready=on_ready, on_stop=on_stop)
        if not server.run():
            raise CommandError(f"Nothing can listen on {host}:{port}. Choose another port with --port.")
        self._say("Stopped.")

    def _welcome(self, address: str, followed: bool) -> None:
        """After the first backup: where to go, and as whom. Later starts name only the file."""
        for path in (settings.HOME / LOGINS, settings.HOME / FIRST_LOGIN):
            if path.exists():
                shown = f":\n{path.read_text()}(also in {path}, 0600)" if followed else f" are in {path}"
                self._say(f"Open {address}  The log-ins{shown}")

    def _check_start(self) -> None:
        problems = start_problems()
        serious = [problem for problem in problems if problem.level >= ERROR]
        for problem in problems:
            if problem not in serious:
                self.stderr.write(self.style.WARNING(f"{problem.msg} {problem.hint}"))
        if serious:
            raise CommandError("\n".join(f"{problem.msg} {problem.hint}" for problem in serious))

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
