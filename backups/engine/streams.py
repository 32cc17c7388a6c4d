"""Several things at once with bounded look-ahead, so that memory does not grow with the length of the list."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_streams(items: Iterable[Item], work: Callable[[Item], None], streams: int) -> None:
    """Do `work` for each item in up to `streams` threads; the first error stops the rest and is raised."""
    under_way: set[Future[None]] = set()
    with ThreadPoolExecutor(max(1, streams)) as pool:
        try:
            for item in items:
                if len(under_way) >= 2 * streams:
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                under_way.add(pool.submit(work, item))
            for future in under_way:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def map_in_streams(items: Iterable[Item], work: Callable[[Item], Result], streams: int) -> Iterator[Result]:
    """Yield the results of `work` in the order of `items`, up to `streams` made at once; raises its first error."""
    ahead: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(max(1, streams)) as pool:
        try:
            for item in items:
                if len(ahead) >= 2 * streams:
                    yield ahead.popleft().result()
                ahead.append(pool.submit(work, item))
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
