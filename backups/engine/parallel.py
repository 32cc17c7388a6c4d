"""Doing one thing at several destinations at once, without waiting for one that hangs when the user cancels."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
_POLL_SECONDS = 0.1
_LEAVE_SECONDS = 0.7


def each(numbers: Iterable[int], work: Callable[[int], T], pulse: Callable[[], None]) -> dict[int, T | Exception]:
    """Return what `work` gave, or raised, for every number; each runs in a thread of its own.

    pulse: called about ten times a second meanwhile; what it raises ends the waiting, soon.
    """
    answers: queue.SimpleQueue[tuple[int, T | Exception]] = queue.SimpleQueue()

    def attempt(number: int) -> None:
        try:
            answers.put((number, work(number)))
        except Exception as exc:
            answers.put((number, exc))

    threads = [threading.Thread(target=attempt, args=(number,), daemon=True) for number in numbers]
    for thread in threads:
        thread.start()
    found: dict[int, T | Exception] = {}
    try:
        while len(found) < len(threads):
            with contextlib.suppress(queue.Empty):
                number, answer = answers.get(timeout=_POLL_SECONDS)
                found[number] = answer
            pulse()
    except BaseException:
        for thread in threads:  # a file that is being written is better finished than left half done
            thread.join(_LEAVE_SECONDS / len(threads))
        raise
    return found
