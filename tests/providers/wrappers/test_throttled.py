"""Rate limits."""

from __future__ import annotations

import pytest

from providers.stores.memory import MemoryStore
from providers.wrappers import throttled as module
from providers.wrappers.throttled import ThrottledStore
from providers.wrappers.valve import Rules, Valve
from tests.providers.store_contract import StoreContract
from wedbackup.core.clock import ManualClock


class Line:
    """A store behind a valve that can be turned."""

    def __init__(self, rules: Rules) -> None:
        self.clock = ManualClock()
        self.valve = Valve()
        self.turn(rules)
        self.store = self.another_run()

    def turn(self, rules: Rules) -> None:
        self.valve.set_rules(rules, now=self.clock.monotonic())

    def another_run(self) -> ThrottledStore:
        return ThrottledStore(MemoryStore(clock=self.clock), self.valve, clock=self.clock)


class TestThrottledStore(StoreContract):
    @pytest.fixture
    def store(self) -> ThrottledStore:
        valve = Valve()
        valve.set_rules(Rules(bytes_per_second=1e12, requests_per_second=1e6), now=0.0)
        return ThrottledStore(MemoryStore(), valve)


def test_bytes_going_up_keep_to_the_rate() -> None:
    line = Line(Rules(bytes_per_second=1000))
    for number in range(11):
        line.store.put(f"a{number}", bytes(1000))
    assert line.clock.monotonic() == pytest.approx(10)  # the first second's worth is free


def test_bytes_coming_down_are_paid_by_the_next_call() -> None:
    line = Line(Rules(bytes_per_second=1000))
    line.store.inner.put("a", bytes(5000))
    line.store.get("a")
    assert line.clock.monotonic() == 0
    line.store.get("a")
    assert line.clock.monotonic() == pytest.approx(4)


def test_a_piece_above_one_seconds_worth_passes() -> None:
    line = Line(Rules(bytes_per_second=1000))
    line.store.put("a", bytes(16_000))
    assert line.clock.monotonic() == pytest.approx(15)


def test_requests_keep_to_the_rate() -> None:
    line = Line(Rules(requests_per_second=2))
    for _ in range(12):
        line.store.delete("a")
    assert line.clock.monotonic() == pytest.approx(5)


def test_an_idle_hour_saves_up_one_second_only() -> None:
    line = Line(Rules(bytes_per_second=1000))
    line.store.put("a", bytes(1))
    line.clock.advance(3600)
    line.store.put("a", bytes(3000))
    assert line.clock.slept == [pytest.approx(2)]


def test_many_runs_together_keep_to_the_one_limit() -> None:
    line = Line(Rules(bytes_per_second=1000))
    runs = [line.another_run() for _ in range(5)]
    for _ in range(2):
        for run in runs:
            run.put("a", bytes(1000))
    assert line.clock.monotonic() == pytest.approx(9)


@pytest.mark.parametrize(
    ("later", "seconds"), [(10_000, 10 + 80_000 / 10_000), (None, 10), (500, 10 + 80_000 / 500)], ids=str
)
def test_a_changed_limit_reaches_a_call_that_waits_already(later: float | None, seconds: float) -> None:
    """90 s are to be waited; after 10 s somebody changes the limit."""

    class Turning(ManualClock):
        turned = 0

        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if self.monotonic() >= 10 and not self.turned:
                self.turned = 1
                line.turn(Rules(bytes_per_second=later))

    line = Line(Rules(bytes_per_second=1000))
    line.clock = Turning()
    line.another_run().put("a", bytes(91_000))
    assert line.clock.turned
    assert line.clock.monotonic() == pytest.approx(seconds)


def test_long_waits_are_told_and_short_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, object]] = []
    monkeypatch.setattr(module, "integration_event", lambda name, **fields: told.append(fields))
    line = Line(Rules(bytes_per_second=1000))
    line.store.put("a", bytes(1500))
    line.store.put("a", bytes(2000))
    assert [fields["seconds"] for fields in told] == [2.0]
