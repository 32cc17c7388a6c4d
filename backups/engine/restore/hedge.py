"""Asks copies so that a silent one holds nobody up: a dead mount never returns, and its call cannot be ended.

The preferred copy is asked first. While it is silent for longer than a slow line needs, the next one is asked as well,
and whoever answers first is heard. A call that is given up goes on in its own thread, and its answer is dropped.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from providers.stores.errors import NoAnswer, StoreError

T = TypeVar("T")

SILENT_SECONDS = 5.0  # before the next copy is asked, for an answer without bytes
SLOW_BYTES_PER_SECOND = 64 * 1024  # ten reads at once on a line of 5 Mbit/s are not silence
GIVE_UP_SECONDS = 30.0  # when there is no other copy left to ask
CRAWLING_BYTES_PER_SECOND = 8 * 1024

Silenced = Callable[[str, StoreError], None]


def first_answers(
    labels: Sequence[str], ask: Callable[[str], T], size_bytes: int, failed: Silenced
) -> Iterator[tuple[str, T]]:
    """Yield (label, answer) until the caller has enough; the next copy is asked when it wants more.

    labels:     the preferred one first.   size_bytes: about how much an answer brings [bytes].
    failed:     hears of each copy that answers with an error, or not in time.
    """
    if len(labels) == 1:
        yield from _ask_directly(labels[0], ask, failed)
        return
    answers: queue.SimpleQueue[tuple[str, T | StoreError | BaseException]] = queue.SimpleQueue()
    waiting, under_way = deque(labels), list[str]()
    patience = SILENT_SECONDS + size_bytes / SLOW_BYTES_PER_SECOND
    longest = GIVE_UP_SECONDS + size_bytes / CRAWLING_BYTES_PER_SECOND
    silent: set[str] = set()
    hungry = True
    while waiting or under_way:
        if waiting and hungry:
            under_way.append(waiting.popleft())
            _aside(under_way[-1], ask, answers)
            hungry = False
        try:
            label, answer = answers.get(timeout=patience if waiting else longest)
        except queue.Empty:
            for label in under_way:
                if label not in silent:
                    silent.add(label)
                    failed(label, NoAnswer(f"no answer within {patience:.0f} s"))
            if not waiting:
                return
            hungry = True
            continue
        under_way.remove(label)
        hungry = True
        if isinstance(answer, StoreError):
            failed(label, answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            yield label, answer


def all_answers(labels: Sequence[str], ask: Callable[[str], T], failed: Silenced) -> dict[str, T]:
    """Ask all copies at once; return what they answered, the preferred first.

    Once one has answered, the others get SILENT_SECONDS more; as long as none has, GIVE_UP_SECONDS.
    """
    if len(labels) == 1:
        return dict(_ask_directly(labels[0], ask, failed))
    answers: queue.SimpleQueue[tuple[str, T | StoreError | BaseException]] = queue.SimpleQueue()
    for label in labels:
        _aside(label, ask, answers)
    under_way, found = set(labels), dict[str, T]()
    while under_way:
        try:
            label, answer = answers.get(timeout=SILENT_SECONDS if found else GIVE_UP_SECONDS)
        except queue.Empty:
            for label in sorted(under_way):
                failed(label, NoAnswer("no answer in time"))
            break
        under_way.remove(label)
        if isinstance(answer, StoreError):
            failed(label, answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found[label] = answer
    return {label: found[label] for label in labels if label in found}


def _ask_directly(label: str, ask: Callable[[str], T], failed: Silenced) -> Iterator[tuple[str, T]]:
    try:
        answer = ask(label)
    except StoreError as exc:
        failed(label, exc)
    else:
        yield label, answer


def _aside(
    label: str, ask: Callable[[str], T], answers: queue.SimpleQueue[tuple[str, T | StoreError | BaseException]]
) -> None:
    def run() -> None:
        try:
            answers.put((label, ask(label)))
        except BaseException as exc:  # raised again in the caller's thread
            answers.put((label, exc))

    threading.Thread(target=run, daemon=True, name=f"asking {label}").start()
