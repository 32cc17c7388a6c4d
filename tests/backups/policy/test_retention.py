from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.policy.retention import Candidate, Rules, Verdict, judge

NOW = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)


def every(hours: float, count: int, *, copies: int = 3) -> list[Candidate]:
    """Snapshots at regular distances back from NOW; their ids count from the newest, 0."""
    return [Candidate(str(i), NOW - timedelta(hours=hours * i), copies) for i in range(count)]


def kept(verdicts: list[Verdict]) -> list[int]:
    return [int(verdict.snapshot_id) for verdict in verdicts if verdict.keep]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (Rules(last=3), [0, 1, 2]),
        (Rules(hourly=2), [0, 1]),
        (Rules(daily=3), [0, 3, 7]),  # 12:00 today; the newest of the 11th, 18:00; of the 10th, 18:00
        (Rules(weekly=2), [0, 19]),  # the newest of the week before: Sunday 18:00
        (Rules(monthly=2), [0, 47]),
        (Rules(yearly=3), [0]),
        (Rules(within=timedelta(hours=12)), [0, 1, 2]),
        (Rules(last=1, daily=2, within=timedelta(hours=6)), [0, 1, 3]),
    ],
)
def test_of_a_snapshot_every_six_hours_the_rules_keep(rules: Rules, expected: list[int]) -> None:
    assert kept(judge(every(6, 60), rules, now=NOW)) == expected


def test_each_verdict_tells_its_reasons() -> None:
    verdicts = judge(every(6, 8), Rules(last=1, daily=2, within=timedelta(days=1)), now=NOW)
    assert verdicts[0].reasons == (
        "one of the last 1", "newest of its day", "within 1 days of the newest", "newest with 3 verified copies",
    )  # fmt: skip
    assert verdicts[3].reasons == ("newest of its day", "within 1 days of the newest")
    assert verdicts[7] == Verdict("7", False, ("no rule keeps it",))


def test_days_are_those_of_the_vaults_own_zone() -> None:
    late = Candidate("0", datetime(2026, 6, 12, 3, 0, tzinfo=UTC), 3)  # in Los Angeles still the 11th, 20:00
    early = Candidate("1", datetime(2026, 6, 11, 17, 0, tzinfo=UTC), 3)  # there the 11th, 10:00
    assert kept(judge([early, late], Rules(daily=2), now=NOW)) == [0, 1]
    assert kept(judge([early, late], Rules(daily=2, zone=ZoneInfo("America/Los_Angeles")), now=NOW)) == [0]


def test_the_hour_that_comes_twice_in_autumn_counts_twice() -> None:
    first = Candidate("1", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), 3)  # 02:30 summer time in Berlin
    second = Candidate("0", datetime(2026, 10, 25, 1, 30, tzinfo=UTC), 3)  # 02:30 winter time
    rules = Rules(hourly=2, zone=ZoneInfo("Europe/Berlin"))
    assert kept(judge([first, second], rules, now=datetime(2026, 10, 26, tzinfo=UTC))) == [0, 1]


def test_when_backups_stop_nothing_expires() -> None:
    years_later = NOW + timedelta(days=3000)
    rules = Rules(last=2, within=timedelta(days=7))
    assert kept(judge(every(24, 20), rules, now=years_later)) == kept(judge(every(24, 20), rules, now=NOW))


def test_a_legal_hold_and_a_freeze_stand_above_the_rules() -> None:
    snapshots = every(24, 5)
    snapshots[4] = Candidate("4", snapshots[4].time, 3, held=True)
    verdicts = judge(snapshots, Rules(last=1), now=NOW)
    assert kept(verdicts) == [0, 4] and verdicts[4].reasons == ("legal hold",)
    frozen = judge(snapshots, Rules(last=1), now=NOW, frozen="80 % of the files vanished")
    assert kept(frozen) == [0, 1, 2, 3, 4]
    assert frozen[1].reasons == ("retention is frozen: 80 % of the files vanished",)


def test_the_newest_snapshot_with_enough_copies_stays_until_a_newer_one_has_them() -> None:
    snapshots = every(1, 5, copies=1)
    snapshots[3] = Candidate("3", snapshots[3].time, 3)
    verdicts = judge(snapshots, Rules(last=1, minimum_copies=3), now=NOW)
    assert kept(verdicts) == [0, 3] and verdicts[3].reasons == ("newest with 3 verified copies",)


def test_when_none_has_enough_copies_the_best_protected_stays() -> None:
    snapshots = every(1, 5, copies=1)
    snapshots[2] = Candidate("2", snapshots[2].time, 2)
    assert kept(judge(snapshots, Rules(last=1, minimum_copies=3), now=NOW)) == [0, 2]


def test_no_rules_keep_everything() -> None:
    assert kept(judge(every(24, 9), Rules(), now=NOW)) == list(range(9))


def test_a_snapshot_dated_in_the_future_stays_and_pushes_nothing_out() -> None:
    wrong = Candidate("99", NOW + timedelta(days=400), 3)
    verdicts = judge([*every(24, 5), wrong], Rules(last=2, yearly=1), now=NOW)
    assert kept(verdicts) == [99, 0, 1]
    assert verdicts[0].reasons == ("dated in the future: the clock was wrong",)


candidates = st.lists(
    st.builds(
        Candidate,
        st.uuids().map(str),
        st.datetimes(datetime(2019, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
        st.integers(0, 5),
        st.booleans(),
    ),
    max_size=40,
)
numbers = st.integers(0, 4)
some_rules = st.builds(
    Rules, numbers, numbers, numbers, numbers, numbers, numbers,
    st.none() | st.timedeltas(timedelta(0), timedelta(days=900)), st.integers(1, 5),
)  # fmt: skip


@given(candidates, some_rules)
def test_whatever_the_rules_what_must_not_go_stays(snapshots: list[Candidate], rules: Rules) -> None:
    verdicts = {verdict.snapshot_id: verdict for verdict in judge(snapshots, rules, now=NOW)}
    assert verdicts.keys() == {snapshot.snapshot_id for snapshot in snapshots}
    stay = [snapshot for snapshot in snapshots if verdicts[snapshot.snapshot_id].keep]
    assert all(snapshot in stay for snapshot in snapshots if snapshot.held)
    assert bool(stay) == bool(snapshots)
    best = max((snapshot.copies for snapshot in snapshots if snapshot.time <= NOW), default=0)
    assert max((snapshot.copies for snapshot in stay), default=0) >= min(best, rules.minimum_copies)


@given(candidates, some_rules)
def test_applying_the_rules_twice_takes_nothing_more(snapshots: list[Candidate], rules: Rules) -> None:
    once = {verdict.snapshot_id for verdict in judge(snapshots, rules, now=NOW) if verdict.keep}
    left = [snapshot for snapshot in snapshots if snapshot.snapshot_id in once]
    assert {verdict.snapshot_id for verdict in judge(left, rules, now=NOW) if verdict.keep} == once
