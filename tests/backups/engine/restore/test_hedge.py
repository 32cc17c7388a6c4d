"""A copy that never answers holds up nobody who reads from several."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backups.engine.format.repository import Repository
from backups.engine.restore import hedge
from backups.engine.restore.run import restore
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.upkeep.copies import Place
from providers.stores.base import ObjectInfo
from providers.stores.errors import StoreError, StoreUnavailable
from providers.wrappers.base import Wrapper
from tests.backups.engine.places import PREFIX, fresh_vault, make_place
from tests.backups.engine.writing import write_snapshot


class Dead(Wrapper):
    """A mount whose server is gone: `get`, and `list` if told, never return. asked: how many calls wait for ever."""

    lists = False
    asked = 0

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        self._hang()
        return b""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        if self.lists:
            self._hang()
        return self.inner.list(prefix)

    def _hang(self) -> None:
        self.asked += 1
        threading.Event().wait()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is silence after an instant: the tests shall not wait for it."""
    monkeypatch.setattr(hedge, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(hedge, "GIVE_UP_SECONDS", 0.4)
    monkeypatch.setattr(hedge, "SLOW_BYTES_PER_SECOND", 10**9)
    monkeypatch.setattr(hedge, "CRAWLING_BYTES_PER_SECOND", 10**9)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("lists", [False, True], ids=["reads hang", "lists hang as well"])
def test_a_mount_that_never_returns_does_not_hold_up_a_restore(tmp_path: Path, lists: bool) -> None:
    """restic #4199: the preferred copy lies on a dead mount; the last net under each of its reads is hours long."""
    vault, places = fresh_vault(), [make_place(tmp_path / name) for name in ("dead", "alive")]
    repositories = [Repository.create(place.store, PREFIX, vault) for place in places]
    write_snapshot(repositories, {b"plan.txt": b"18:00" * 900, b"photos": {b"a.jpg": b"light" * 4000}})
    dead = Dead(places[0].store)
    dead.lists = lists
    reader = VaultReader({"dead": Place(dead, PREFIX), "alive": places[1]}, vault.master)
    result = restore(reader, reader.snapshots()[0], str(tmp_path / "out"))
    assert dead.asked
    assert result.complete and str(result.proof) == "2 of 2 files equal"
    assert {problem.label for problem in result.problems if problem.unanswered} == {"dead"}
    assert dead.asked < 12, "it is asked last once it was silent"


def test_a_slow_copy_is_heard_when_no_other_answers() -> None:
    gate, failures = threading.Event(), list[tuple[str, StoreError]]()

    def ask(label: str) -> str:
        if label == "slow":
            gate.wait(60)
            return "late, but right"
        gate.set()
        raise StoreUnavailable("gone")

    found = list(hedge.first_answers(["slow", "gone"], ask, 0, lambda *failure: failures.append(failure)))
    assert found == [("slow", "late, but right")]
    assert {label for label, _ in failures} == {"slow", "gone"}


def test_when_nobody_answers_the_wait_has_an_end() -> None:
    failures = list[str]()
    never = threading.Event()
    found = hedge.first_answers(["a", "b"], lambda _: never.wait(), 0, lambda label, _: failures.append(label))
    assert list(found) == [] and failures == ["a", "b"]
    assert hedge.all_answers(["a", "b"], lambda _: never.wait(), lambda label, _: failures.append(label)) == {}
    assert failures == ["a", "b", "a", "b"]


def test_a_mistake_in_the_program_is_no_silence() -> None:
    def ask(label: str) -> str:
        raise ZeroDivisionError(label)

    with pytest.raises(ZeroDivisionError):
        list(hedge.first_answers(["a", "b"], ask, 0, lambda *_: None))
