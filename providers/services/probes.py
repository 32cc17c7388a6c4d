"""Probing: every enabled location is asked each half minute, or oftener when the caller says so, whether it still takes
and gives back a small object.

The latency is that of the three small calls together. Every few minutes a larger object goes up and comes back as well,
for the throughput. A credential that may write but not delete is no failure: it is said, and from then on one and the
same object is written again and again instead of a new one each time. Paused locations are not probed.

Several processes may do this at once: whoever moves `last_probe_at` first probes. The calls to the locations run in
threads of their own, outside any transaction, and a location that hangs (a dead network mount never answers) costs its
own thread only: it counts as failed after PROBE_SECONDS and is not asked a second time until the first call returns.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import Q

from providers.models import HealthSample, Location
from providers.services.breakers import breaker_of
from providers.services.locations import error_text, store_of
from providers.services.traffic import all_paused
from providers.stores.base import ObjectStore
from providers.stores.errors import AccessDenied, BreakerOpen, NoAnswer, ObjectCorrupt, StoreError
from providers.wrappers.breaker import BreakerReading
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.logs import integration_event

INTERVAL = timedelta(seconds=30)
CLOSE_INTERVAL = timedelta(seconds=15)  # when something important is under way
DOUBT_INTERVAL = timedelta(
    seconds=10
)  # after a failure: a dead location is to be known within a minute, not two rounds
PROBE_SECONDS = 15.0  # a silent server is given up after 13 s (3 to connect, 10 of silence)
KEEP_SAMPLES = timedelta(days=2)
PREFIX = "wedbackup-probe"
PROBE_BYTES = 256
LARGE_BYTES = 256 * 1024
LARGE_EVERY = timedelta(minutes=5)  # about 75 MB a day each way
QUICK_SECONDS = 3.0  # who is slower than this with a small object is not asked for a large one
KEPT = "kept"  # the one object of a credential that cannot delete

_under_way: set[uuid.UUID] = set()
_under_way_lock = threading.Lock()


class DeleteRefused(AccessDenied):
    """The probe's object could be written and read, but not deleted."""

    advice = "Fine for a credential that shall only write: give the location a pruner's credential for deleting."


@dataclass(slots=True)
class RoundTrip:
    """What one small object met.

    steps_ms:          write, read, delete [ms].
    upload, download:  of the larger object [bytes/s]; None when there was none.
    remark:            what a person should know although all is well.
    """

    steps_ms: dict[str, float] = field(default_factory=dict)
    upload: float | None = None
    download: float | None = None
    remark: StoreError | None = None

    @property
    def latency_ms(self) -> float:
        """All small calls together [ms]."""
        return sum(self.steps_ms.values())


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How one probe went; latency of all its small calls together [ms]."""

    location: Location
    latency_ms: float | None
    error: StoreError | None
    trip: RoundTrip = field(default_factory=RoundTrip)


@dataclass(frozen=True, slots=True)
class _Errand:
    """What a probe does beside the usual. large: measure the throughput; sweep: remove left-overs; kept: see KEPT."""

    large: bool
    sweep: bool
    kept: bool


def probe_due(clock: Clock = SYSTEM_CLOCK, *, interval: timedelta = INTERVAL) -> list[ProbeResult]:
    """Probe every enabled location that is due, and return the results after at most PROBE_SECONDS.

    Due is after `interval`, or after DOUBT_INTERVAL when it has failed but is not being left alone yet.
    """
    if all_paused():
        return []
    now = clock.utcnow()
    in_doubt = Q(breaker=Location.Breaker.CLOSED, breaker_failures__gt=0)
    due = Location.objects.filter(enabled=True, paused_at=None).filter(
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
    arguments = (location, store, _errand(location, clock), answers, clock)
    threading.Thread(target=_ask, args=arguments, name=name, daemon=True).start()
    return True


def _errand(location: Location, clock: Clock) -> _Errand:
    last = location.samples.first()
    measured = location.samples.filter(upload_bytes_per_second__isnull=False, at__gt=clock.utcnow() - LARGE_EVERY)
    kept = last is not None and last.error_kind == DeleteRefused.__name__
    return _Errand(
        large=not measured.exists(), sweep=location.breaker != Location.Breaker.CLOSED and not kept, kept=kept
    )


def _ask(
    location: Location,
    store: ObjectStore,
    errand: _Errand,
    answers: queue.SimpleQueue[ProbeResult],
    clock: Clock,
) -> None:
    """Runs in the thread: touches the location, never the database."""
    trip = RoundTrip()
    error: StoreError | None = None
    try:
        round_trip(store, trip, errand.kept, clock)
        if errand.large and trip.latency_ms < QUICK_SECONDS * 1000 and not trip.remark:
            _measure(store, trip, clock)
        if errand.sweep:
            for info in [*store.list(f"{PREFIX}/")]:
                store.delete(info.name)
    except StoreError as exc:
        error = exc
    except Exception as exc:  # a bug in a store must show as a failing probe, not as a thread that died unseen
        error = StoreError(f"the probe itself failed: {type(exc).__name__}")
    finally:
        with contextlib.suppress(Exception):
            store.close()
        with _under_way_lock:
            _under_way.discard(location.pk)
    answers.put(ProbeResult(location, None if error else trip.latency_ms, error, trip))


def round_trip(store: ObjectStore, trip: RoundTrip, kept: bool, clock: Clock) -> None:
    """Write a small object, read it back, compare and delete it, noting in `trip` how long each took.

    kept: write the object that stays, because this credential cannot delete.

    Raises a StoreError if anything of it fails; a refused deletion is a remark.
    """
    content, name = os.urandom(PROBE_BYTES), f"{PREFIX}/{KEPT if kept else uuid.uuid4().hex}"
    with _timed(trip, "write", clock):
        store.put(name, content)
    with _timed(trip, "read", clock):
        found = store.get(name)
    if found != content:
        raise ObjectCorrupt("a small object came back changed")
    try:
        with _timed(trip, "delete", clock):
            store.delete(name)
    except AccessDenied as exc:
        trip.remark = DeleteRefused(f"the credential may write and read but not delete ({exc})")


@contextlib.contextmanager
def _timed(trip: RoundTrip, step: str, clock: Clock) -> Iterator[None]:
    began = clock.monotonic()
    yield
    trip.steps_ms[step] = (clock.monotonic() - began) * 1000


def _measure(store: ObjectStore, trip: RoundTrip, clock: Clock) -> None:
    """Move a larger object both ways."""
    content, name = os.urandom(LARGE_BYTES), f"{PREFIX}/{uuid.uuid4().hex}"
    began = clock.monotonic()
    store.put(name, content)
    sent = clock.monotonic()
    found = store.get(name)
    received = clock.monotonic()
    store.delete(name)
    if found != content:
        raise ObjectCorrupt("an object of 256 KiB came back changed")
    trip.upload = LARGE_BYTES / max(sent - began, 1e-4)
    trip.download = LARGE_BYTES / max(received - sent, 1e-4)


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
    location, now, error, trip = result.location, clock.utcnow(), result.error, result.trip
    said = error or trip.remark
    text, kind = (error_text(said), type(said).__name__) if said else ("", "")
    HealthSample.objects.create(
        location=location,
        at=now,
        ok=error is None,
        latency_ms=result.latency_ms,
        upload_bytes_per_second=trip.upload,
        download_bytes_per_second=trip.download,
        error=text,
        error_kind=kind,
    )
    HealthSample.objects.filter(location=location, at__lt=now - KEEP_SAMPLES).delete()
    health: dict[str, Any] = {"last_error": text, "last_error_kind": kind}
    if error is None:
        health |= {"last_answer_at": now, "last_latency_ms": result.latency_ms}
    if trip.upload is not None:
        health |= {
            "last_upload_bytes_per_second": trip.upload,
            "last_download_bytes_per_second": trip.download,
        }
    Location.objects.filter(pk=location.pk).update(**health)
    if error is not None:
        steps = {step: round(milliseconds) for step, milliseconds in trip.steps_ms.items()}
        integration_event(
            "probe failed", level=logging.WARNING, location=location.name, error=kind, message=text, steps_ms=steps
        )
