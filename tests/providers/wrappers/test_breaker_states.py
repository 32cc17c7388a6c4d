"""The breaker under any order of outcomes, pauses, clock jumps, lost probes and resets, with several workers at it."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from providers.stores.errors import AccessDenied, BreakerOpen, Paused, StoreUnavailable
from providers.wrappers.breaker import Breaker, BreakerPolicy, BreakerReading, MemoryBreakerState, Phase
from wedbackup.core.clock import ManualClock

POLICY = BreakerPolicy(failures_to_open=3, open_seconds=30, probe_seconds=60)
WORKERS = st.integers(0, 2)
DOWN, ANSWER, NOTHING = StoreUnavailable("down"), AccessDenied("no"), Paused("paused")


class BreakerMachine(RuleBasedStateMachine):
    """Three workers share one state. `calls` are under way: (worker, what `enter` gave)."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.state = MemoryBreakerState()
        self.workers = [Breaker(self.state, POLICY, clock=self.clock) for _ in range(3)]
        self.calls: list[tuple[int, BreakerReading | None]] = []
        self.probe: BreakerReading | None = None

    @property
    def reading(self) -> BreakerReading:
        return self.state.load()

    @rule(worker=WORKERS)
    def begin(self, worker: int) -> None:
        before = self.reading
        age = (self.clock.utcnow() - before.since).total_seconds() if before.since else float("inf")
        due = age < 0 or age >= (POLICY.probe_seconds if before.phase is Phase.HALF_OPEN else POLICY.open_seconds)
        try:
            given = self.workers[worker].enter()
        except BreakerOpen as refused:
            assert before.phase is not Phase.CLOSED and not due
            assert refused.retry_after is not None and 0 <= refused.retry_after <= POLICY.probe_seconds
            assert self.reading == before, "a refusal changes nothing"
            return
        assert before.phase is Phase.CLOSED or due
        assert (given is None) == (before.phase is Phase.CLOSED)
        if given is not None:
            assert self.reading == given and given.phase is Phase.HALF_OPEN
            self.probe = given
        self.calls.append((worker, given))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), error=st.sampled_from([None, DOWN, ANSWER, NOTHING, KeyboardInterrupt()]))
    def end(self, data: st.DataObject, error: BaseException | None) -> None:
        number = data.draw(st.integers(0, len(self.calls) - 1))
        worker, given = self.calls.pop(number)
        before = self.reading
        self.workers[worker].leave(given, error)
        after = self.reading
        if before.phase is Phase.OPEN:
            assert after == before, "who began before the opening, or was replaced as the probe, brings old news"
        if before.phase is Phase.HALF_OPEN and given != before:
            assert after == before, "only the probe decides"
        if before.phase is Phase.HALF_OPEN and given == before:
            opened = isinstance(error, StoreUnavailable | Paused | KeyboardInterrupt)
            assert after.phase is (Phase.OPEN if opened else Phase.CLOSED)
        if before.phase is Phase.CLOSED and error is DOWN and given is None:
            assert after.failures == before.failures + 1
            assert (after.phase is Phase.OPEN) == (after.failures >= POLICY.failures_to_open)

    @rule(worker=WORKERS, error=st.sampled_from([None, DOWN, ANSWER, NOTHING]))
    def report(self, worker: int, error: BaseException | None) -> None:
        before = self.reading
        self.workers[worker].report(error)
        if error is NOTHING:
            assert self.reading == before
        if before.phase is Phase.OPEN:
            assert self.reading == before

    @rule(seconds=st.sampled_from([0.5, 10, 29, 30, 61]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-3600, 3600]))
    def set_the_clock(self, seconds: float) -> None:
        self.clock.jump(seconds)

    @rule(worker=WORKERS)
    def reset(self, worker: int) -> None:
        before = self.reading
        changed = self.workers[worker].reset()
        assert changed == (before.phase is not Phase.CLOSED or before.failures > 0)
        assert (self.reading.phase, self.reading.failures) == (Phase.CLOSED, 0)

    @invariant()
    def the_reading_makes_sense(self) -> None:
        reading = self.reading
        if reading.phase is Phase.CLOSED:
            assert reading.failures < POLICY.failures_to_open
        else:
            assert reading.failures >= 1

    @invariant()
    def it_never_stays_shut_for_good(self) -> None:
        """Whatever happened: after the longest pause somebody may ask."""
        copied = MemoryBreakerState()
        copied.compare_and_set(copied.load(), self.reading)
        later = ManualClock(self.clock.utcnow())
        later.advance(POLICY.probe_seconds)
        Breaker(copied, POLICY, clock=later).enter()


BreakerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestBreaker = BreakerMachine.TestCase
