"""The program of a worker process: batches come in on stdin, messages go out on stdout.

It is started as a fresh interpreter (`crew.py`), never forked from the threaded web process, and imports neither
Django nor the caller's main module. It ends by itself when its parent does, however that ends: the pipe closes.
"""

from __future__ import annotations

import gc
import os
import pickle
import queue
import signal
import sys
import threading
from typing import Any, BinaryIO

from backups.engine.backup.board import Board
from backups.engine.backup.claims import SharedClaims
from backups.engine.backup.fanout import FanOut
from backups.engine.backup.fileworker import OPEN_PACKS, FileWorker
from backups.engine.backup.messages import Message, WorkerFailed, WorkerFinished, WorkerSetup
from backups.engine.errors import Cancelled
from wedbackup.core import logs

CANCEL_SECONDS = 0.7  # for uploads under way, so that they leave no temporary file
_SWITCH_SECONDS = 0.001  # uploader threads must not wait long for the reading thread


class _Pipe:
    """Sends messages to the parent, from any thread. Without a parent there is nothing left to do: the process ends."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        raw = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with self._lock:
            try:
                self._out.write(raw)
                self._out.flush()
            except BrokenPipeError:
                os._exit(1)


def _take_orders(stream: BinaryIO, orders: queue.SimpleQueue[Any], board: Board) -> None:
    """Pass on what comes through the pipe. Its end means that the parent is gone: then so are we."""
    while True:
        try:
            orders.put(pickle.load(stream))  # noqa: S301 - the other end is our own parent
        except (EOFError, OSError, pickle.UnpicklingError):
            if not board.cancelled:
                os._exit(1)
            orders.put(None)
            return


def run(number: int, setup: WorkerSetup, orders: queue.SimpleQueue[Any], board: Board, pipe: _Pipe) -> None:
    """Work until the order None; reports WorkerFinished, or WorkerFailed with the reason."""
    fan_out = FanOut(setup.destinations, setup.prefix, board, pipe.send, open_packs=OPEN_PACKS)
    worker = FileWorker(
        number,
        master=setup.master,
        polynomial=setup.polynomial,
        level=setup.level,
        roots=setup.roots,
        board=board,
        claims=SharedClaims(setup.claims_fd),
        fan_out=fan_out,
        report=pipe.send,
        spool=setup.spool,
    )
    try:
        while (batch := orders.get()) is not None:
            worker.run(batch)
        if board.cancelled:
            raise Cancelled("cancelled on request")
        worker.flush()
        fan_out.finish()
        pipe.send(WorkerFinished(number))
    except Cancelled:
        fan_out.abandon(CANCEL_SECONDS)
    except Exception as exc:
        fan_out.abandon(CANCEL_SECONDS)
        pipe.send(WorkerFailed(number, f"{type(exc).__name__}: {exc}"))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole terminal; our parent decides
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print must not end up among the messages
    logs.configure_worker_process()
    stream = sys.stdin.buffer
    try:
        number, setup = pickle.load(stream)  # noqa: S301 - the other end is our own parent
    except (EOFError, pickle.UnpicklingError):  # it was killed before it had told us anything
        os._exit(1)
    board = Board(setup.board_fd)
    orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_take_orders, args=(stream, orders, board), daemon=True).start()
    # Nothing here makes cycles worth collecting, and a collection walks every object.
    gc.disable()
    sys.setswitchinterval(_SWITCH_SECONDS)
    run(number, setup, orders, board, _Pipe(out))
    os._exit(0)  # hung upload threads must not keep us


if __name__ == "__main__":
    main()
