"""The run-time check finds stores that break their promises, and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from providers.stores.base import Capabilities, Checksum, ObjectInfo, ObjectStore, Proof
from providers.stores.local import LocalOptions, LocalStore
from providers.stores.memory import MemoryStore
from providers.validation import CLEAN_UP, PROMISES, Room, validate_store
from providers.wrappers.base import Operation
from providers.wrappers.faulty import Effect, FaultyStore, StoreFault
from wedbackup.core.clock import ManualClock


def broken_promises(store: ObjectStore) -> dict[str, str]:
    return {finding.promise: finding.detail for finding in validate_store(store) if not finding.ok}


def test_findings_come_one_by_one() -> None:
    store = MemoryStore()
    findings = validate_store(store)
    assert next(findings).promise == PROMISES[0].name
    assert [*store.list()] != []
    assert [*findings][-1].promise == CLEAN_UP
    assert [*store.list()] == []


class Unproved(MemoryStore):
    def put(self, name, content, *, sha256=None):
        info = super().put(name, content, sha256=sha256)
        return ObjectInfo(info.name, info.size_bytes)


class IgnoresRanges(MemoryStore):
    def get(self, name, *, offset=0, length=None):
        return super().get(name)


class BelievesEverything(MemoryStore):
    def verify(self, name, *, sha256):
        return ObjectInfo(name, self.head(name).size_bytes, sha256=sha256, proof=Proof.READ_BACK)


class IgnoresChecksums(MemoryStore):
    """As moto and Supabase do."""

    capabilities = Capabilities(checksum=Checksum.SHA256)


class ListsEverything(MemoryStore):
    def list(self, prefix=""):
        return super().list(prefix.split("/")[0])


class DeletesNothing(MemoryStore):
    def delete(self, name):
        self.head(name)


@pytest.mark.parametrize(
    ("make", "promise", "word"),
    [
        (Unproved, "storing is proved", "no proof"),
        (IgnoresRanges, "ranges behave like slices", "range"),
        (BelievesEverything, "verifying tells right from wrong content", "ObjectCorrupt"),
        (IgnoresChecksums, "content that arrives damaged is refused", "another checksum profile"),
        (ListsEverything, "listing finds what begins with the prefix and nothing else", "listed"),
        (DeletesNothing, "deleting removes, twice is no error", "ObjectNotFound"),
        (DeletesNothing, CLEAN_UP, "by hand"),
    ],
)
def test_a_store_that_breaks_a_promise_is_found(make: Callable[[], MemoryStore], promise: str, word: str) -> None:
    broken = broken_promises(make())
    assert word in broken[promise]


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        (StoreFault(Effect.FLIP, Operation.PUT, match="round"), "what is stored comes back unchanged"),
        (StoreFault(Effect.CUT, Operation.DELETE, match="delete"), "deleting removes, twice is no error"),
        (StoreFault(Effect.CUT, match="parallel", skip=5), "calls at the same time do not disturb each other"),
    ],
)
def test_a_fault_breaks_its_promise_and_the_rest_goes_on(fault: StoreFault, promise: str) -> None:
    # an empty object has no bit to flip
    fault.skip += fault.effect is Effect.FLIP
    broken = broken_promises(FaultyStore(MemoryStore(), [fault]))
    assert fault.hits == 1
    assert [*broken] == [promise]


def test_an_error_comes_with_its_advice() -> None:
    faulty = FaultyStore(MemoryStore(), [StoreFault(Effect.DENIED, times=None)])
    details = broken_promises(faulty).values()
    assert faulty.hits
    assert any("Check the credential" in detail for detail in details)


def test_the_time_each_took_is_told() -> None:
    clock = ManualClock()
    faulty = FaultyStore(MemoryStore(), [StoreFault(Effect.SLOW, match="proof", seconds=4)], clock=clock)
    seconds = {finding.promise: finding.seconds for finding in validate_store(faulty, clock=clock)}
    assert faulty.hits == 1
    assert (seconds["storing is proved"], seconds[CLEAN_UP]) == (4, 0)


def test_large_promises_are_checked_only_on_request() -> None:
    store = MemoryStore()
    store.capabilities = Capabilities(single_put_bytes=1000)
    large = [promise.name for promise in PROMISES if promise.large]
    assert large
    assert not {finding.promise for finding in validate_store(store)} & {*large}
    assert {finding.promise for finding in validate_store(store, large=True) if finding.ok} >= {*large}


def test_a_validation_at_the_same_time_disturbs_nobody() -> None:
    store = MemoryStore()
    other = Room(store)
    names = {other.put(rest, b"of the other") for rest in ("proof", "list/a/9", "list/nowhere/1", "never/was")}
    assert broken_promises(store) == {}
    assert {info.name for info in store.list()} == names


def test_the_third_validation_of_a_folder_leaves_no_more_folders_than_the_first(tmp_path: Path) -> None:
    root = tmp_path / "shelf"
    LocalStore.create(str(root))
    store = LocalStore(LocalOptions(str(root)))
    left = []
    for _ in range(3):
        assert broken_promises(store) == {}
        left.append(sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_dir()))
    assert "wedbackup-validation/list/a" in left[0]
    assert left == [left[0]] * 3
