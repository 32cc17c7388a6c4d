"""A place that was away: nothing that was forgotten comes back from it, what lies there goes, and it stops nobody."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from backups.models import Copy, Job, Snapshot, Vault
from backups.services import retention
from backups.services.copies import catch_up_request, copy_add
from backups.services.retention import owing, prune_request
from backups.services.vaults import vault_secret
from backups.states import CopyState, JobState
from providers.models import Location
from providers.wrappers.base import Operation
from providers.wrappers.faulty import Effect, StoreFault
from tests.backups.ground import Ground, break_place, contents, let_grace_pass
from tests.backups.services.test_retention import make_aged
from tests.restic import stock


@pytest.fixture
def away(ground: Ground) -> tuple[Vault, set[str]]:
    """A vault of which two snapshots were forgotten while the third place was away, and their ids."""
    vault = make_aged(ground)
    gone = let_grace_pass(vault)
    root = Path(ground.locations[2].options["root"])
    root.rename(root.with_name("elsewhere"))
    job = prune_request(vault)
    assert job is not None
    assert ground.run(job).state == JobState.DEGRADED, job.message
    root.with_name("elsewhere").rename(root)
    Location.objects.update(breaker=Location.Breaker.CLOSED, last_error="")
    return vault, gone


def shown(ground: Ground, vault: Vault, place: int) -> set[str]:
    return {file.name for file in (ground.repository(vault, place) / "snapshots").iterdir()}


def prune_again(ground: Ground, vault: Vault) -> Job:
    Job.unscoped.filter(kind=Job.Kind.PRUNE).delete()
    job = prune_request(vault)
    assert job is not None, "a copy still holds what was forgotten"
    return ground.run(job)


@pytest.mark.stock
@pytest.mark.parametrize("first", ["backup", "its catch-up", "another's catch-up", "nothing"])
def test_what_was_forgotten_comes_back_from_nowhere_and_goes_where_it_was_missed(
    ground: Ground, away: tuple[Vault, set[str]], first: str
) -> None:
    """kopia #1662, #3550: the place that came back brought forgotten snapshots to all others, where they stayed."""
    vault, gone = away
    assert gone <= shown(ground, vault, 2), "it was away"
    before = [contents(ground.repository(vault, place)) for place in range(2)]
    if first == "backup":
        job = ground.back_up(vault)
        assert job.state == JobState.COMPLETED and not job.result["missing"], (job.message, job.advice)
    if "catch-up" in first:
        location = ground.locations[2 if first == "its catch-up" else 0]
        Copy.unscoped.filter(location=location).update(state=CopyState.UNREACHABLE)
        (job,) = catch_up_request(vault, behind=[location.name])
        assert ground.run(job).state == JobState.COMPLETED, job.message
        assert [contents(ground.repository(vault, place)) for place in range(2)] == before
    for place in range(2):
        assert not gone & shown(ground, vault, place)

    job = prune_again(ground, vault)

    assert job.state == JobState.COMPLETED, (job.message, job.advice, job.result)
    held = [contents(ground.repository(vault, place)) for place in range(3)]
    assert held[0] == held[1] == held[2] and not gone & shown(ground, vault, 2)
    assert set(Snapshot.unscoped.filter(vault=vault).values_list("restic_id", flat=True)) == shown(ground, vault, 2)
    assert owing(vault) == [] and prune_request(vault) is None
    states = Copy.unscoped.filter(vault=vault).values_list("state", flat=True)
    assert set(states) == {CopyState.CURRENT}
    for place in range(3):
        stock.check(ground.repository(vault, place), vault_secret(vault), "--check-unused")


def test_what_was_forgotten_is_asked_of_the_database_by_the_jobs_own_thread(
    ground: Ground, away: tuple[Vault, set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread of the engine that asked would leave a connection open at each backup."""
    vault, _ = away
    threads = set()

    def noted(*args: Any) -> set[str]:
        threads.add(threading.current_thread())
        return real(*args)

    real = retention.forgotten_among
    monkeypatch.setattr(retention, "forgotten_among", noted)
    assert ground.back_up(vault).state == JobState.COMPLETED
    assert threads == {threading.current_thread()}


def test_nothing_of_an_absent_place_stops_the_others(ground: Ground, away: tuple[Vault, set[str]]) -> None:
    """restic #5766: every prune of every place waited for the one that was away."""
    vault, gone = away
    assert [copy.location for copy in owing(vault)] == [ground.locations[2]]
    assert Snapshot.unscoped.filter(vault=vault).count() == 2
    assert all(not gone & shown(ground, vault, place) for place in range(2))
    Job.unscoped.filter(kind=Job.Kind.PRUNE).delete()
    Location.objects.filter(pk=ground.locations[2].pk).update(enabled=False)
    assert prune_request(vault) is None, "a prune that can do nothing is not queued day after day"


@pytest.mark.stock
def test_a_full_place_stops_no_other_and_is_made_room_at(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = make_aged(ground)
    gone = let_grace_pass(vault)
    before = len(contents(ground.repository(vault, 0)))
    fault = StoreFault(Effect.FULL, operation=Operation.PUT, times=None)
    break_place(monkeypatch, ground.locations[0], fault)
    job = prune_request(vault)
    assert job is not None

    ground.run(job)

    assert fault.hits and job.state == JobState.DEGRADED and list(job.result["behind"]) == [ground.locations[0].name]
    assert len(contents(ground.repository(vault, 0))) < before
    for place in range(3):
        assert not gone & shown(ground, vault, place)
        stock.check(ground.repository(vault, place), vault_secret(vault))


@pytest.mark.stock
def test_a_place_that_had_a_copy_before_is_looked_through_when_it_gets_one_again(
    ground: Ground, away: tuple[Vault, set[str]]
) -> None:
    """Its folder still holds what was forgotten; nobody may take it for a new, empty place."""
    vault, gone = away
    Copy.unscoped.filter(vault=vault, location=ground.locations[2]).delete()
    assert owing(vault) == []
    copy_add(vault, ground.locations[2], actor="test")
    assert [copy.location for copy in owing(vault)] == [ground.locations[2]]
    ground.run(Job.unscoped.get(kind=Job.Kind.CATCH_UP, state=JobState.QUEUED))
    assert prune_again(ground, vault).state == JobState.COMPLETED
    assert owing(vault) == [] and not gone & shown(ground, vault, 2)
    stock.check(ground.repository(vault, 2), vault_secret(vault), "--check-unused")
