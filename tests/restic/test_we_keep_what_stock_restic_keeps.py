"""Our rules keep what `restic forget` keeps by the options of the same name."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, timedelta
from random import Random

import pytest

from backups.engine.format import to_datetime
from backups.engine.format.repository import Repository
from backups.policy.retention import Candidate, Rules, judge
from tests.backups.engine.places import NOW, PREFIX, SECRET, Place, fresh_vault, make_place
from tests.backups.engine.writing import SnapshotWriter
from tests.restic import stock

pytestmark = pytest.mark.stock
HOUR = 3600 * 1_000_000_000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A vault with 160 snapshots of two years: often in the last days, seldom before."""
    noise = Random(15)
    place = make_place(tmp_path_factory.mktemp("kept") / "place")
    writer = SnapshotWriter([Repository.create(place.store, PREFIX, fresh_vault())])
    ages = [noise.uniform(0, 24 * 20) for _ in range(80)] + [noise.uniform(0, 24 * 700) for _ in range(80)]
    for number, hours in enumerate(sorted(ages, reverse=True)):
        writer.write({b"picture.jpg": b"%d" % number}, time=NOW - int(hours * HOUR))
    return place


RULES = {
    "--keep-last 3": Rules(last=3),
    "--keep-hourly 30": Rules(hourly=30),
    "--keep-daily 9": Rules(daily=9),
    "--keep-weekly 5": Rules(weekly=5),
    "--keep-monthly 7": Rules(monthly=7),
    "--keep-yearly 2": Rules(yearly=2),
    "--keep-within 14d": Rules(within=timedelta(days=14)),
    "--keep-within 14d --keep-last 3 --keep-hourly 12 --keep-daily 10 --keep-weekly 8 --keep-monthly 5": Rules(
        within=timedelta(days=14), last=3, hourly=12, daily=10, weekly=8, monthly=5
    ),
}


@pytest.mark.parametrize("options", RULES)
def test_our_rules_keep_what_restic_keeps(place: Place, options: str) -> None:
    told = stock.run(place.path, SECRET, "forget", "--dry-run", "--json", "--group-by", "", *options.split(), TZ="UTC")
    (group,) = json.loads(told)
    theirs = {snapshot["id"] for snapshot in group["keep"]}
    newest_first = sorted(place.open().snapshots(), key=lambda snapshot: snapshot.time, reverse=True)
    candidates = [Candidate(each.snapshot_id, to_datetime(each.time), 3) for each in newest_first]
    verdicts = judge(candidates, replace(RULES[options], zone=UTC), now=to_datetime(NOW))
    ours = {verdict.snapshot_id for verdict in verdicts if verdict.keep}
    assert ours == theirs and 0 < len(theirs) < 160
