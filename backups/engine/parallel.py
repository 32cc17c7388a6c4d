"""Doing one thing at several destinations at once, without waiting for one that hangs when the user cancels."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from providers.stores.errors import NoAnswer
from wedbackup.core.clock import SYSTEM_CLOCK

T = TypeVar("T")
_POLL_SECONDS = 0.1
_LEAVE_SECONDS = 0.7


def each(
    numbers: Iterable[int], work: Callable[[int], T], pulse: Callable[[], None], *, seconds: float | None = None
) -> dict[int, T | Exception]:
    """Return what `work` gave, or raised, for every number; each runs in a thread of its own.

    pulse:   called about ten times a second meanwhile; what it raises ends the waiting, soon.
    seconds: how long any may take [s]; who has not answered by then is given NoAnswer, and its thread is left behind.
    """
    answers: queue.SimpleQueue[tuple[int, T | Exception]] = queue.SimpleQueue()

    def attempt(number: int) -> None:
        try:
            answers.put((number, work(number)))
        except Exception as exc:
            answers.put((number, exc))

    threads = {number: threading.Thread(target=attempt, args=(number,), daemon=True) for number in numbers}
    for thread in threads.values():
        thread.start()
    began = SYSTEM_CLOCK.monotonic()
    found: dict[int, T | Exception] = {}
    try:
        while len(found) < len(threads):
            with contextlib.suppress(queue.Empty):
                number, answer = answers.get(timeout=_POLL_SECONDS)
                found[number] = answer
            if seconds is not None and SYSTEM_CLOCK.monotonic() - began > seconds:
                late = threads.keys() - found.keys()
                return found | {number: NoAnswer(f"no answer within {seconds:.0f} s") for number in late}
            pulse()
    except BaseException:
        for thread in threads.values():  # a file that is being written is better finished than left half done
            thread.join(_LEAVE_SECONDS / len(threads))
        raise
    return found
