"""The embedded shape: web server, worker and scheduler in one process.

Daphne has the main thread; Celery's worker and the scheduler have threads of their own. Stopping is the part that needs
care: running jobs are cancelled through their tokens and handed back to the queue, all within
STOP_SECONDS, and a second signal does not wait for that.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from celery.worker import WorkController
from celery.worker import state as worker_state
from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server
from django.conf import settings
from twisted.internet import reactor as twisted_reactor

from wedbackup import lifecycle, watchdog
from wedbackup.asgi import application
from wedbackup.celery import app
from wedbackup.core import live

log = logging.getLogger(__name__)
reactor: Any = twisted_reactor

STOP_SECONDS = 4.5  # [s] from the first signal to the end of the process, whatever hangs
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class PortTaken(Exception):
    """Nothing can listen there; the message says why and what to do."""


def check_port(host: str, port: int) -> None:
    """Raise PortTaken, with a sentence for a person, if nobody can listen on host:port now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except PermissionError as exc:
        raise PortTaken(f"Port {port} may not be used by this user. Choose one above 1023: --port 8000") from exc
    except OSError as exc:
        raise PortTaken(
            f"Nothing can listen on {host}:{port} ({os.strerror(exc.errno or 0)}). Another program, perhaps another "
            f"wedbackup, has that port: stop it, or choose another with --port {port + 1 if port < 65535 else 8000}."
        ) from exc


class EmbeddedServer:
    """One process that does everything, until a signal stops it.

    on_ready: is called once it listens; on_stop: when it begins to stop.
    """

    def __init__(self, host: str, port: int, *, on_ready: Callable[[], None], on_stop: Callable[[], None]) -> None:
        self._on_ready, self._on_stop = on_ready, on_stop
        self._web = Server(
            application=application,
            endpoints=build_endpoint_description_strings(host=host, port=port),
            signal_handlers=False,
            server_name="wedbackup",
            ready_callable=self._listening,
        )
        self._worker = WorkController(
            app=app,
            pool="threads",
            concurrency=settings.WORKER_CONCURRENCY,
            hostname=f"embedded-{os.getpid()}@{socket.gethostname()}",
            use_eventloop=False,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            ready_callback=self._worker_ready,
        )
        self._stopping = threading.Lock()

    def run(self) -> bool:
        """Serve until stopped; False if it could not listen."""
        live.register_loop(reactor._asyncioEventloop)
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        self._web.run()
        live.register_loop(None)
        return bool(self._web.listening_addresses)

    def _listening(self) -> None:
        reactor.callWhenRunning(self._start_threads)

    def _start_threads(self) -> None:
        if not self._web.listening_addresses:  # Daphne has said why, and stops
            return
        threading.Thread(target=self._worker.start, daemon=True, name="worker").start()
        watchdog.start()
        self._on_ready()

    @staticmethod
    def _worker_ready(consumer: Any) -> None:
        del consumer
        lifecycle.worker_started()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """First signal: stop in good order. Second: at once; the leases of a dead process are taken back at start."""
        del frame
        if not self._stopping.acquire(blocking=False):
            os._exit(128 + number)
        self._on_stop()
        threading.Thread(target=self._stop, daemon=True, name="stop").start()
        threading.Thread(target=self._stop_anyway, daemon=True, name="stop-anyway").start()

    def _stop(self) -> None:
        lifecycle.worker_stops().join()
        worker_state.should_stop = os.EX_OK
        reactor.callFromThread(self._web.stop)

    @staticmethod
    def _stop_anyway() -> None:
        """Something hangs, a request or a read from a dead disk: the jobs are handed back, so leave."""
        threading.Event().wait(STOP_SECONDS)
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(os.EX_OK)
