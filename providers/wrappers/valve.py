"""What all processes of this machine share about one location: its rules of the moment, buckets, retry budget, counts.

One small file per location, read and written whole under a lock. The engine's worker processes have no database; they
get the valve by its path, and so a changed limit, a pause or an opened breaker reaches their transfers within seconds,
and a limit holds for all of them together. `set_rules` is called by whoever reads the rows; everything else by the
wrappers. Without a path the valve is one process's own.

Times are readings of `Clock.monotonic`, which counts alike in all processes of one machine; after a restart of the
machine they lie in the future, which is taken for "just now".
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import json
import os
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

SHORTEST_WAIT_SECONDS = 0.001  # below it lies what floats lose
SPAN_SECONDS = 60.0
SPAN_BYTES = 8 * 1024 * 1024  # less than this says nothing about a line
SPANS_KEPT = 16
RETRY_BUDGET = 10.0
RETRIES_PER_SUCCESS = 0.1
_FILE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for a location at this moment, on this machine.

    requests_per_second: calls [1/s]; None means no limit.
    bytes_per_second:    up and down together [bytes/s]; None means no limit.
    room_bytes:          how much more may be stored there [bytes]; None means no quota.
    paused:              a person has stopped the traffic.
    left_alone:          its breaker is open.
    """

    requests_per_second: float | None = None
    bytes_per_second: float | None = None
    room_bytes: float | None = None
    paused: bool = False
    left_alone: bool = False


class Flow(enum.StrEnum):
    """What is counted against a rate."""

    REQUESTS = "requests"
    BYTES = "bytes"


@dataclass
class _State:
    """As it is in the file. asked, filled and filled_at by flow: see `_fill`."""

    rules: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)
    filled: dict[str, float] = field(default_factory=dict)
    filled_at: dict[str, float] = field(default_factory=dict)
    budget: float = RETRY_BUDGET
    sent_bytes: float = 0.0
    span: list[float] = field(default_factory=list)  # began, ended [s], bytes
    spans: list[float] = field(default_factory=list)  # [bytes/s], the oldest first


class Valve:
    """The shared state of one location. Thread-safe; picklable by its path, or as a new one without."""

    def __init__(self, path: str = "") -> None:
        """path: of the file, whose folder must exist. Raises OSError when it cannot be opened."""
        self.path = path
        self._mutex = threading.Lock()
        self._latest = (b"", _State())  # as it is in the file, and what that means; replaced together
        self._fd = -1
        if path:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            weakref.finalize(self, os.close, self._fd).atexit = False  # threads may still be at work then

    def __reduce__(self) -> tuple[object, ...]:
        return (valve_at, (self.path,)) if self.path else (Valve, ())

    @property
    def rules(self) -> Rules:
        """What holds now; the room is what is left after what was sent since the last count."""
        state = self._read()
        rules = Rules(**state.rules)
        if rules.room_bytes is None or not state.sent_bytes:
            return rules
        return Rules(**state.rules | {"room_bytes": rules.room_bytes - state.sent_bytes})

    def set_rules(self, rules: Rules, *, now: float) -> None:
        """Let `rules` hold from `now` [s] on, for waiting calls too."""
        with self._changing() as state:
            for flow in Flow:
                _fill(state, flow, now)  # what has passed until now, at the old rate
            state.rules = {name: getattr(rules, name) for name in Rules.__slots__}

    def take(self, flow: Flow, amount: float, *, now: float) -> float | None:
        """Take `amount` and return the mark that `wait_seconds` asks for; None when there is no limit."""
        if _rate(self._read(), flow) is None:
            return None
        with self._changing() as state:
            _fill(state, flow, now)
            state.asked[flow] = state.asked.get(flow, 0.0) + amount
            return state.asked[flow]

    def wait_seconds(self, flow: Flow, mark: float, *, now: float) -> float:
        """Return how long the taker of `mark` has to wait at the present rate [s]; 0.0 when its turn has come."""
        with self._changing() as state:
            _fill(state, flow, now)
            rate = _rate(state, flow)
            seconds = 0.0 if rate is None else (mark - state.filled[flow]) / rate
            return seconds if seconds > SHORTEST_WAIT_SECONDS else 0.0

    def spend_retry(self) -> bool:
        """Take one retry from the budget that all runs share; False when it is used up."""
        with self._changing() as state:
            if state.budget < 1:
                return False
            state.budget -= 1
            return True

    def earn_retry(self) -> None:
        """A call succeeded: a tenth of a retry more may be spent."""
        if self._read().budget < RETRY_BUDGET:
            with self._changing() as state:
                state.budget = min(RETRY_BUDGET, round(state.budget + RETRIES_PER_SUCCESS, 3))

    def note_sent(self, sent_bytes: int, *, began: float, ended: float) -> None:
        """Count what was stored, for quota and line: `sent_bytes` between two monotonic readings [s].

        Calls that overlap are one span: what they carried together in its time is what the line carried at least. A
        limit in force says something about the limit only.
        """
        with self._changing() as state:
            state.sent_bytes += sent_bytes
            if _rate(state, Flow.BYTES) is not None:
                state.span = []
                return
            if state.span and (began > state.span[1] or ended < state.span[0]):
                _close_span(state)
            span = state.span or [began, ended, 0.0]
            state.span = [min(span[0], began), max(span[1], ended), span[2] + sent_bytes]
            if state.span[1] - state.span[0] >= SPAN_SECONDS:
                _close_span(state)

    def collect_sent(self) -> int:
        """Return what was stored since the last call of this [bytes]; whoever collects has to write it down."""
        if not self._read().sent_bytes:
            return 0
        with self._changing() as state:
            sent, state.sent_bytes = int(state.sent_bytes), 0.0
            return sent

    def line_spans(self) -> list[float]:
        """Return how fast the latest busy times without a limit were [bytes/s], the oldest first."""
        return list(self._read().spans)

    def forget_spans(self) -> None:
        """Begin to learn about the line anew: it was measured by itself, or is another one now."""
        with self._changing() as state:
            state.spans, state.span = [], []

    @contextlib.contextmanager
    def _changing(self) -> Iterator[_State]:
        with self._mutex:
            if self._fd < 0:
                yield self._latest[1]
                return
            with contextlib.suppress(OSError):  # a file system without locks: the counts may be a little wrong
                fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                state = self._load()
                yield state
                self._save(state)
            finally:
                with contextlib.suppress(OSError):
                    fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _read(self) -> _State:
        """Return the state without the lock: it is written in one piece, and a torn one counts as unreadable."""
        return self._latest[1] if self._fd < 0 else self._load()

    def _load(self) -> _State:
        """Return what is in the file; what cannot be read is what this process knew last."""
        known, state = self._latest
        with contextlib.suppress(OSError, ValueError, TypeError):
            raw = os.pread(self._fd, _FILE_BYTES, 0)
            if raw and raw != known:  # mostly nobody else has written in between
                state = _State(**json.loads(raw))
                self._latest = (raw, state)
        return state

    def _save(self, state: _State) -> None:
        """Write `state`; a full disk costs the sharing, never a transfer."""
        raw = json.dumps(vars(state)).encode().ljust(_FILE_BYTES)
        self._latest = (raw, state)
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, raw, 0)


_valves: weakref.WeakValueDictionary[str, Valve] = weakref.WeakValueDictionary()
_valves_lock = threading.Lock()


def valve_at(path: str) -> Valve:
    """Return this process's one valve of `path`; a private one if the file cannot be used."""
    with _valves_lock:
        valve = _valves.get(path)
        if valve is None:
            try:
                valve = Valve(path)
            except OSError:
                valve = Valve()
            _valves[path] = valve
        return valve


def _rate(state: _State, flow: Flow) -> float | None:
    rate: float | None = state.rules.get(f"{flow}_per_second")
    return rate


def _fill(state: _State, flow: Flow, now: float) -> None:
    """Let the bucket fill until `now`: `filled` runs after `asked` at the rate, at most a second's worth ahead of it.

    Both only grow. Whoever asked for an amount has his turn when `filled` has reached what was asked until then; so a
    changed rate changes the waiting of all, and nobody overtakes.
    """
    asked, rate = state.asked.setdefault(flow, 0.0), _rate(state, flow)
    if rate is None:
        state.filled[flow] = asked
        state.filled_at.pop(flow, None)
        return
    seconds = now - state.filled_at[flow] if flow in state.filled_at else float("inf")
    state.filled[flow] = min(asked + rate, state.filled.get(flow, 0.0) + max(0.0, seconds) * rate)
    state.filled_at[flow] = now


def _close_span(state: _State) -> None:
    began, ended, carried = state.span
    state.span = []
    if carried >= SPAN_BYTES and ended > began:
        state.spans = [*state.spans, carried / (ended - began)][-SPANS_KEPT:]
