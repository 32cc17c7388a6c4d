"""Probing: every enabled location is asked each half minute, or oftener when the caller says so, whether it still takes
and gives back a small object.

Several processes may do this at once: whoever moves `last_probe_at` first probes. The calls to the locations run in
threads of their own, outside any transaction, and a location that hangs (a dead network mount never answers) costs its
own thread only: it counts as failed after PROBE_SECONDS and is not asked a second time until the first call returns.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Q

from providers.models import HealthSample, Location
from providers.services.breakers import breaker_of
from providers.services.locations import error_text, store_of
from providers.stores.base import BreakerOpen, NoAnswer, ObjectCorrupt, ObjectStore, StoreError
from providers.wrappers.breaker import BreakerReading
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

INTERVAL = timedelta(seconds=30)
CLOSE_INTERVAL = timedelta(seconds=15)  # when something important is under way
DOUBT_INTERVAL = timedelta(
    seconds=10
)  # after a failure: a dead location is to be known within a minute, not two rounds
PROBE_SECONDS = 15.0  # a silent server is given up after 13 s (3 to connect, 10 of silence)
KEEP_SAMPLES = timedelta(days=2)
PREFIX = "wedbackup-probe"
PROBE_BYTES = 256

_under_way: set[uuid.UUID] = set()
_under_way_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How one probe went; latency of all its calls together [ms]."""

    location: Location
    latency_ms: float | None
    error: StoreError | None


def probe_due(clock: Clock = SYSTEM_CLOCK, *, interval: timedelta = INTERVAL) -> list[ProbeResult]:
    """Probe every enabled location that is due, and return the results after at most PROBE_SECONDS.

    Due is after `interval`, or after DOUBT_INTERVAL when it has failed but is not being left alone yet.
    """
    now = clock.utcnow()
    in_doubt = Q(breaker=Location.Breaker.CLOSED, breaker_failures__gt=0)
    due = Location.objects.filter(enabled=True).filter(
        Q(last_probe_at=None)
        | Q(last_probe_at__lte=now - interval)
        | Q(last_probe_at__lte=now - DOUBT_INTERVAL) & in_doubt
        | Q(last_probe_at__gt=now + interval)  # the clock was set back
    )
    return _probe_all([location for location in due if _claim(location, clock)], clock)


def location_probe(location: Location, *, clock: Clock = SYSTEM_CLOCK) -> ProbeResult | None:
    """Probe `location` now, because a person asked; None if another probe of it is under way."""
    results = _probe_all([location], clock) if _claim(location, clock) else []
    return results[0] if results else None


def _claim(location: Location, clock: Clock) -> bool:
    """Move `last_probe_at` from what we saw to now; only one prober can."""
    now = clock.utcnow()
    claimed = Location.objects.filter(pk=location.pk, last_probe_at=location.last_probe_at).update(last_probe_at=now)
    location.last_probe_at = now
    return claimed == 1


def _probe_all(locations: list[Location], clock: Clock) -> list[ProbeResult]:
    answers: queue.SimpleQueue[ProbeResult] = queue.SimpleQueue()
    results: list[ProbeResult] = []
    waiting: dict[uuid.UUID, Location] = {}
    entered: dict[uuid.UUID, BreakerReading | None] = {}
    for location in locations:
        try:
            store = store_of(location)
            entered[location.pk] = breaker_of(location, clock).enter()
        except BreakerOpen:
            continue
        except StoreError as error:
            results.append(ProbeResult(location, None, error))
            continue
        if _start(location, store, answers, clock):
            waiting[location.pk] = location
        else:
            results.append(ProbeResult(location, None, _silent(location)))
    results += _collect(answers, waiting, clock)
    for result in results:
        _keep(result, clock)
        if result.location.pk in entered:
            breaker_of(result.location, clock, error=result.error).leave(entered[result.location.pk], result.error)
    return results


def _start(location: Location, store: ObjectStore, answers: queue.SimpleQueue[ProbeResult], clock: Clock) -> bool:
    """Ask `store` in a thread of its own; False if an earlier call to the location still hangs."""
    with _under_way_lock:
        if location.pk in _under_way:
            return False
        _under_way.add(location.pk)
    name = f"probe of {location.name}"
    threading.Thread(target=_ask, args=(location, store, answers, clock), name=name, daemon=True).start()
    return True


def _ask(location: Location, store: ObjectStore, answers: queue.SimpleQueue[ProbeResult], clock: Clock) -> None:
    """Runs in the thread: touches the location, never the database."""
    began = clock.monotonic()
    error: StoreError | None = None
    try:
        round_trip(store, sweep=location.breaker != Location.Breaker.CLOSED)
    except StoreError as exc:
        error = exc
    except Exception as exc:  # a bug in a store must show as a failing probe, not as a thread that died unseen
        error = StoreError(f"the probe itself failed: {type(exc).__name__}")
    finally:
        with contextlib.suppress(Exception):
            store.close()
        with _under_way_lock:
            _under_way.discard(location.pk)
    latency_ms = (clock.monotonic() - began) * 1000
    answers.put(ProbeResult(location, None if error else latency_ms, error))


def round_trip(store: ObjectStore, *, sweep: bool = False) -> None:
    """Write a small object, read it back, compare and delete it; raises a StoreError if anything of it fails.

    sweep: also remove what earlier probes left behind when they failed between writing and deleting.
    """
    content, name = os.urandom(PROBE_BYTES), f"{PREFIX}/{uuid.uuid4().hex}"
    store.put(name, content)
    if store.get(name) != content:
        raise ObjectCorrupt("a small object came back changed")
    store.delete(name)
    if sweep:
        for info in [*store.list(f"{PREFIX}/")]:
            store.delete(info.name)


def _collect(
    answers: queue.SimpleQueue[ProbeResult], waiting: dict[uuid.UUID, Location], clock: Clock
) -> Iterator[ProbeResult]:
    """Yield the answers as they come; who has not answered after PROBE_SECONDS counts as silent."""
    until = clock.monotonic() + PROBE_SECONDS
    while waiting:
        try:
            result = answers.get(timeout=max(0.0, until - clock.monotonic()))
        except queue.Empty:
            break
        del waiting[result.location.pk]
        yield result
    for location in waiting.values():
        yield ProbeResult(location, None, _silent(location))


def _silent(location: Location) -> NoAnswer:
    return NoAnswer(f"{location.name} did not answer within {PROBE_SECONDS:.0f} s")


def _keep(result: ProbeResult, clock: Clock) -> None:
    """Write the sample and the row's health."""
    location, now, error = result.location, clock.utcnow(), result.error
    text = error_text(error) if error else ""
    HealthSample.objects.create(location=location, at=now, ok=error is None, latency_ms=result.latency_ms, error=text)
    HealthSample.objects.filter(location=location, at__lt=now - KEEP_SAMPLES).delete()
    health: dict[str, Any] = {"last_error": text}
    if error is None:
        health |= {"last_answer_at": now, "last_latency_ms": result.latency_ms}
    Location.objects.filter(pk=location.pk).update(**health)
