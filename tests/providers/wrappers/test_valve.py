"""What all processes of a machine share about a location."""

from __future__ import annotations

import gc
import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from providers.wrappers.valve import RETRY_BUDGET, SPANS_KEPT, Flow, Rules, Valve, valve_at

MIB = 1024 * 1024


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "valve")


def test_rules_reach_every_holder_at_once(path: str) -> None:
    one, two = Valve(path), Valve(path)
    assert two.rules == Rules()
    one.set_rules(Rules(requests_per_second=2, room_bytes=10, paused=True), now=0.0)
    assert two.rules == Rules(requests_per_second=2, room_bytes=10, paused=True)


def test_another_process_obeys_without_a_database(path: str) -> None:
    """The engine's workers get it by pickle."""
    valve = valve_at(path)
    valve.set_rules(Rules(bytes_per_second=1000), now=0.0)
    program = (
        "import pickle, sys; v = pickle.load(sys.stdin.buffer); v.take('bytes', 5000, now=0.0);"
        "assert 'django' not in sys.modules; print(v.rules.bytes_per_second)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(valve), capture_output=True, check=True, cwd=os.getcwd()
    )
    assert done.stdout == b"1000\n"
    mark = valve.take(Flow.BYTES, 1000, now=0.0)
    assert mark is not None
    assert valve.wait_seconds(Flow.BYTES, mark, now=0.0) == 5.0, "it pays the other process's debt as well"


def test_in_one_process_it_is_one_object(path: str) -> None:
    valve = valve_at(path)
    assert pickle.loads(pickle.dumps(valve)) is valve
    assert opened(path) == 1
    del valve
    gc.collect()
    assert opened(path) == 0


def opened(path: str) -> int:
    """Return how many descriptors of this process lead to the file `path`."""
    leads = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return leads.count(os.path.realpath(path))


def test_nothing_is_lost_when_many_threads_count_at_once(path: str) -> None:
    valves = [Valve(path) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda v=valve: [v.note_sent(1, began=0.0, ended=1.0) for _ in range(50)])
        for valve in valves
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert valves[0].collect_sent() == 200
    assert valves[1].collect_sent() == 0


def test_the_room_shrinks_by_what_was_sent_until_it_is_counted_anew(path: str) -> None:
    valve = Valve(path)
    valve.set_rules(Rules(room_bytes=100), now=0.0)
    valve.note_sent(30, began=0.0, ended=1.0)
    assert Valve(path).rules.room_bytes == 70
    assert valve.collect_sent() == 30


def test_the_retry_budget_is_one_for_all(path: str) -> None:
    one, two = Valve(path), Valve(path)
    spent = sum(valve.spend_retry() for valve in [one, two] * 20)
    assert spent == RETRY_BUDGET
    for _ in range(10):
        two.earn_retry()
    assert one.spend_retry()
    assert not two.spend_retry()


def test_overlapping_transfers_tell_together_what_the_line_carries() -> None:
    """
    a  |=======|            16 MiB in 4 s each: 8 MiB/s together, not 4
    b      |=======|
    c                 |=|   too small to say anything
    """
    valve = Valve()
    valve.note_sent(16 * MIB, began=0.0, ended=4.0)
    valve.note_sent(16 * MIB, began=0.0, ended=4.0)
    valve.note_sent(1 * MIB, began=10.0, ended=10.1)
    valve.note_sent(16 * MIB, began=20.0, ended=24.0)
    assert valve.line_spans() == [8 * MIB]


def test_a_long_busy_time_is_told_minute_by_minute() -> None:
    valve = Valve()
    for number in range(200):
        valve.note_sent(16 * MIB, began=number * 4.0, ended=number * 4.0 + 4)
    assert len(valve.line_spans()) > 10
    assert all(speed == 4 * MIB for speed in valve.line_spans())
    assert len(valve.line_spans()) <= SPANS_KEPT


def test_what_a_limit_allowed_is_not_taken_for_the_line() -> None:
    """Otherwise half of the line would be half of the half the next day."""
    valve = Valve()
    valve.set_rules(Rules(bytes_per_second=1000), now=0.0)
    for number in range(10):
        valve.note_sent(16 * MIB, began=number * 100.0, ended=number * 100.0 + 4)
    assert valve.line_spans() == []


def test_a_machine_that_was_restarted_counts_from_now(path: str) -> None:
    valve = Valve(path)
    valve.set_rules(Rules(requests_per_second=1), now=1_000_000.0)
    valve.take(Flow.REQUESTS, 3, now=1_000_000.0)
    mark = valve.take(Flow.REQUESTS, 1, now=5.0)
    assert mark is not None
    assert valve.wait_seconds(Flow.REQUESTS, mark, now=5.0) == 3.0
    assert valve.wait_seconds(Flow.REQUESTS, mark, now=8.0) == 0.0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"rules": {}, "unknown": 1}', os.urandom(300)])
def test_a_file_that_makes_no_sense_is_begun_anew(path: str, content: bytes) -> None:
    Path(path).write_bytes(content)
    valve = Valve(path)
    assert valve.rules == Rules()
    valve.set_rules(Rules(paused=True), now=0.0)
    assert Valve(path).rules.paused


def test_a_folder_that_cannot_be_used_costs_the_sharing_only(tmp_path: Path) -> None:
    valve = valve_at(str(tmp_path / "missing" / "valve"))
    valve.set_rules(Rules(paused=True), now=0.0)
    assert valve.rules.paused


def test_the_file_is_ours_alone_and_holds_no_name(path: str) -> None:
    Valve(path).set_rules(Rules(bytes_per_second=5.0), now=0.0)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert json.loads(Path(path).read_bytes())["rules"]["bytes_per_second"] == 5.0
