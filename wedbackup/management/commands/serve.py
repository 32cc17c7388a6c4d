"""`manage.py serve`: the whole product in one process."""

from __future__ import annotations

from typing import Any

from django.core.checks import ERROR
from django.core.management.base import BaseCommand, CommandError, CommandParser

from wedbackup.core.checks import start_problems

HOST, PORT = "127.0.0.1", 8000


class Command(BaseCommand):
    """Starts web server, worker and scheduler, and stops them in good order."""

    help = "Run the site, the worker and the scheduler in one process. Ctrl-C stops it; running jobs are handed back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=HOST, help=f"address to listen on (default {HOST}: this machine only)")
        parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on (default {PORT})")

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        self._check_start()
        from wedbackup.server import EmbeddedServer, PortTaken, check_port

        try:
            check_port(host, port)
        except PortTaken as exc:
            raise CommandError(str(exc)) from exc
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        server = EmbeddedServer(
            host,
            port,
            on_ready=lambda: self._say(f"wedbackup is running at {address}  (Ctrl-C stops it)"),
            on_stop=lambda: self._say("Stopping: running jobs go back into the queue and continue at the next start."),
        )
        if not server.run():
            raise CommandError(f"Nothing can listen on {host}:{port}. Choose another port with --port.")
        self._say("Stopped.")

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
