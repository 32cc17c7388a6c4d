from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.policy.retention import SUSPICIOUS_FOR, Candidate, Rules, Span, Verdict, days_around, judge

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
        "within 1 days of the newest", "one of the last 1", "newest of its day", "newest with 3 verified copies",
    )  # fmt: skip
    assert verdicts[3].reasons == ("within 1 days of the newest", "newest of its day")
    assert verdicts[7] == Verdict("7", False, ("no rule keeps it",))


def test_days_are_those_of_the_vaults_own_zone() -> None:
    late = Candidate("0", datetime(2026, 6, 12, 3, 0, tzinfo=UTC), 3)  # in Los Angeles still the 11th, 20:00
    early = Candidate("1", datetime(2026, 6, 11, 17, 0, tzinfo=UTC), 3)  # there the 11th, 10:00
    assert kept(judge([late, early], Rules(daily=2), now=NOW)) == [0, 1]
    assert kept(judge([late, early], Rules(daily=2, zone=ZoneInfo("America/Los_Angeles")), now=NOW)) == [0]


def test_the_hour_that_comes_twice_in_autumn_counts_twice() -> None:
    first = Candidate("1", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), 3)  # 02:30 summer time in Berlin
    second = Candidate("0", datetime(2026, 10, 25, 1, 30, tzinfo=UTC), 3)  # 02:30 winter time
    rules = Rules(hourly=2, zone=ZoneInfo("Europe/Berlin"))
    assert kept(judge([second, first], rules, now=datetime(2026, 10, 26, tzinfo=UTC))) == [0, 1]


def test_when_backups_stop_nothing_expires() -> None:
    years_later = NOW + timedelta(days=3000)
    rules = Rules(last=2, within=timedelta(days=7))
    assert kept(judge(every(24, 20), rules, now=years_later)) == kept(judge(every(24, 20), rules, now=NOW))


def test_a_legal_hold_and_a_freeze_stand_above_the_rules() -> None:
    snapshots = every(24, 5)
    snapshots[4] = Candidate("4", snapshots[4].time, 3, held="Smith v. Jones")
    verdicts = judge(snapshots, Rules(last=1), now=NOW)
    assert kept(verdicts) == [0, 4] and verdicts[4].reasons == ("legal hold: Smith v. Jones",)
    frozen = judge(snapshots, Rules(last=1), now=NOW, frozen="80 % of the files vanished")
    assert kept(frozen) == [0, 1, 2, 3, 4]
    assert frozen[1].reasons == ("nothing goes at present: 80 % of the files vanished",)


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
    """restic #21956: a clock that ran ahead for one backup wiped the good ones."""
    wrong = Candidate("99", NOW + timedelta(days=400), 3)
    newest, *older = every(24, 5)
    verdicts = judge([newest, wrong, *older], Rules(last=2, yearly=1), now=NOW)
    assert kept(verdicts) == [0, 99, 1]
    assert verdicts[1].reasons == ("dated in the future: the clock was wrong",)


def test_while_the_newest_is_dated_in_the_future_nothing_goes() -> None:
    """Then it is this machine's clock that may be wrong: set back by a year, every age is."""
    verdicts = judge(every(24, 9), Rules(last=1), now=NOW - timedelta(days=3))
    assert kept(verdicts) == list(range(9))
    assert "the clock is or was wrong" in verdicts[8].reasons[0]


def test_a_clock_that_was_set_back_for_a_while_makes_nothing_old() -> None:
    """restic #3416: what was stored last week and dated 1970 is from last week."""
    snapshots = every(24, 6)
    snapshots[2] = Candidate("2", datetime(1970, 1, 1, tzinfo=UTC), 3)
    assert kept(judge(snapshots, Rules(within=timedelta(days=3)), now=NOW)) == [0, 1, 2, 3]


def test_a_file_that_lived_two_hours_on_the_wedding_day_can_be_brought_back_a_year_later() -> None:
    """Ours: backups every five minutes and "the last three, one a day" lost it within a quarter of an hour."""
    venue = ZoneInfo("America/Los_Angeles")
    start, end = days_around(date(2025, 7, 5), venue, before=1, after=2)
    assert (start, end) == (datetime(2025, 7, 4, tzinfo=venue), datetime(2025, 7, 8, tzinfo=venue))
    span = Span(start, end, timedelta(days=365), "of the days around the wedding")
    rules = Rules(last=3, within=timedelta(days=14), span=span, zone=venue)
    stored = [Candidate(str(i), end - timedelta(minutes=5 * i), 3) for i in range(-50, 2000)]
    a_year_later = kept(judge([Candidate("9999", NOW, 3), *stored], rules, now=NOW))
    assert [i for i in a_year_later if 0 < i <= 1500] == list(range(1, 4 * 24 * 12 + 1))
    in_time = Candidate("9999", NOW + timedelta(days=100), 3)
    assert len(kept(judge([in_time, *stored], rules, now=in_time.time))) < 12


def test_finals_stay_month_by_month_for_seven_years() -> None:
    """A gallery that was delivered in June and cleared from the disk in September is in no snapshot of December."""
    monthly = [Candidate(str(i), datetime(2026 - i // 12, 12 - i % 12, 9, tzinfo=UTC), 3) for i in range(12 * 9)]
    rules = Rules(last=1, monthly_years=7, monthly_reason="finals are kept for 7 years")
    verdicts = judge(monthly, rules, now=monthly[0].time)
    assert kept(verdicts) == list(range(12 * 7 + 1))
    assert verdicts[50].reasons == ("newest of its month: finals are kept for 7 years",)


def test_snapshots_whose_source_looked_wrong_push_no_good_one_out_and_go_in_their_turn() -> None:
    """Ours: after a bad day at the five-minute rhythm 288 of them stayed for ever."""
    good_after = Candidate("0", NOW, 3)
    bad = [Candidate(str(i), NOW - timedelta(hours=i), 3, suspicious=True) for i in range(1, 5)]
    good_before = Candidate("9", NOW - timedelta(hours=9), 3)
    rules = Rules(last=2)
    assert kept(judge([good_after, *bad, good_before], rules, now=NOW)) == [0, 1, 2, 3, 4, 9]
    newest = Candidate("100", NOW + SUSPICIOUS_FOR, 3)
    verdicts = judge([newest, good_after, *bad, good_before], rules, now=newest.time)
    assert kept(verdicts) == [100, 0]
    assert verdicts[2].reasons == ("its source looked wrong, and a good one replaced it",)
    unproved = [Candidate("100", newest.time, 0), Candidate("0", NOW, 0), *bad]
    assert kept(judge(unproved, rules, now=newest.time))[2:] == [1, 2, 3, 4], "what no copy holds replaces nothing"


candidates = st.lists(
    st.builds(
        Candidate,
        st.uuids().map(str),
        st.datetimes(datetime(2019, 1, 1), datetime(2026, 6, 12), timezones=st.just(UTC)),
        st.integers(0, 5),
        st.sampled_from(["", "", "a dispute"]),
        st.booleans(),
    ),
    max_size=40,
).map(lambda found: sorted(found, key=lambda candidate: candidate.time, reverse=True))
numbers = st.integers(0, 4)
some_rules = st.builds(
    Rules, numbers, numbers, numbers, numbers, numbers, numbers,
    st.none() | st.timedeltas(timedelta(0), timedelta(days=900)), st.none(), numbers, st.just("finals"),
    st.integers(1, 5),
)  # fmt: skip


@given(candidates, some_rules)
def test_whatever_the_rules_what_must_not_go_stays(snapshots: list[Candidate], rules: Rules) -> None:
    verdicts = {verdict.snapshot_id: verdict for verdict in judge(snapshots, rules, now=NOW)}
    assert verdicts.keys() == {snapshot.snapshot_id for snapshot in snapshots}
    stay = [snapshot for snapshot in snapshots if verdicts[snapshot.snapshot_id].keep]
    assert all(snapshot in stay for snapshot in snapshots if snapshot.held)
    assert bool(stay) == bool(snapshots)
    best = max((snapshot.copies for snapshot in snapshots if not snapshot.suspicious), default=0)
    assert max((snapshot.copies for snapshot in stay if not snapshot.suspicious), default=0) >= min(
        best, rules.minimum_copies
    )


@given(candidates, some_rules)
def test_applying_the_rules_twice_takes_nothing_more(snapshots: list[Candidate], rules: Rules) -> None:
    once = {verdict.snapshot_id for verdict in judge(snapshots, rules, now=NOW) if verdict.keep}
    left = [snapshot for snapshot in snapshots if snapshot.snapshot_id in once]
    assert {verdict.snapshot_id for verdict in judge(left, rules, now=NOW) if verdict.keep} == once
