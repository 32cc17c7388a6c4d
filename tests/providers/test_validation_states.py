"""Between kept and broken: warnings and exemptions, with what a person should know."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest

from providers.stores.base import (
    Buffer,
    Capabilities,
    Holds,
    ObjectInfo,
    ObjectStore,
    PlaceFacts,
    check_name,
)
from providers.stores.errors import AccessDenied
from providers.stores.memory import MemoryStore
from providers.validation import CLEAN_UP, PROMISES, Finding, State, validate_store
from wedbackup.core.clock import SYSTEM_CLOCK, ManualClock

PRIVATE = "nobody else can read it"
SECOND_CHANCE = "what is deleted can be brought back for a while"
NO_RULE = "no rule of the place deletes what we keep"
LEAST = "the credential has no more rights than needed"
TIME = "the time of storing is right within 3 minutes"


def findings_of(store: ObjectStore) -> Mapping[str, Finding]:
    return {finding.promise: finding for finding in validate_store(store)}


def with_facts(facts: PlaceFacts) -> MemoryStore:
    store = MemoryStore()
    store.facts = lambda: facts  # type: ignore[method-assign]
    return store


@pytest.mark.parametrize(
    ("facts", "promise", "state", "words"),
    [
        (PlaceFacts(), PRIVATE, State.EXEMPT, "look in the provider's console"),
        (PlaceFacts(public=False), PRIVATE, State.KEPT, ""),
        (PlaceFacts(public=True), PRIVATE, State.BROKEN, "make it private"),
        (PlaceFacts(versioned=False), SECOND_CHANCE, State.WARNED, "switch on versioning"),
        (PlaceFacts(versioned=False, locked=True), SECOND_CHANCE, State.KEPT, ""),
        (PlaceFacts(versioned=True), SECOND_CHANCE, State.KEPT, ""),
        (PlaceFacts(dangers=("deletes objects after 30 days",)), NO_RULE, State.BROKEN, "after 30 days"),
        (PlaceFacts(lifecycle=("removes unfinished uploads after 7 days",)), NO_RULE, State.KEPT, ""),
        (PlaceFacts(lifecycle=("deletes old versions after 30 days",)), NO_RULE, State.KEPT, ""),
        (PlaceFacts(lifecycle=("moves objects to GLACIER after 90 days",)), NO_RULE, State.WARNED, "GLACIER"),
        (PlaceFacts(excess_rights=("deleting the bucket",)), LEAST, State.WARNED, "deleting the bucket"),
    ],
)
def test_what_the_provider_tells_about_the_place_counts(
    facts: PlaceFacts, promise: str, state: State, words: str
) -> None:
    finding = findings_of(with_facts(facts))[promise]
    assert finding.state is state
    assert words in finding.detail


def test_a_place_for_documents_may_be_read_by_others() -> None:
    store = with_facts(PlaceFacts(public=True))
    store.capabilities = Capabilities(holds=Holds.DOCUMENTS)
    assert findings_of(store)[PRIVATE].state is State.EXEMPT


def test_a_warning_is_no_broken_promise() -> None:
    found = findings_of(with_facts(PlaceFacts(excess_rights=("everything",))))
    assert found[LEAST].ok and all(finding.ok for finding in found.values())


def test_a_clock_that_is_five_minutes_wrong_is_named() -> None:
    finding = findings_of(MemoryStore(clock=ManualClock(SYSTEM_CLOCK.utcnow() - timedelta(minutes=5))))[TIME]
    assert finding.state is State.BROKEN
    assert "5 minutes off" in finding.detail and "NTP" in finding.detail


def test_an_exception_that_a_store_states_is_told_in_its_words() -> None:
    store = MemoryStore()
    store.capabilities = Capabilities(exceptions={TIME: "its clock is a sundial"})
    finding = findings_of(store)[TIME]
    assert (finding.state, finding.detail) == (State.EXEMPT, "its clock is a sundial")


class MixesUpCase(MemoryStore):
    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        return super().put(name.lower(), content, sha256=sha256)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        return super().get(name.lower(), offset=offset, length=length)

    def head(self, name: str) -> ObjectInfo:
        return super().head(name.lower())


class ListsOnePage(MemoryStore):
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        yield from [*super().list(prefix)][:5]


class TearsObjects(MemoryStore):
    """Half of the new object is there until somebody has seen it."""

    def __init__(self) -> None:
        super().__init__()
        self._seen = threading.Event()

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        if "mixture" in name:
            self._seen.clear()
            super().put(name, bytes(content)[:1])
            self._seen.wait(0.5)
        return super().put(name, content, sha256=sha256)

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        found = super().get(name, offset=offset, length=length)
        self._seen.set()
        return found


@pytest.mark.parametrize(
    ("store", "promise"),
    [
        (MixesUpCase(), "names that differ by case only are two objects"),
        (ListsOnePage(), "a listing is right while others write"),
        (TearsObjects(), "a reader sees the old object or the new one, never a mixture"),
    ],
)
def test_a_store_that_pretends_is_found(store: ObjectStore, promise: str) -> None:
    assert findings_of(store)[promise].state is State.BROKEN


def test_every_promise_has_a_name_of_its_own_that_reads_as_a_sentence() -> None:
    names = [promise.name for promise in PROMISES]
    assert len(names) >= 60
    assert len(set(names)) == len(names)
    assert not [name for name in names if len(name.split()) < 3 or name.endswith(".") or "|" in name]


class Stranger(MemoryStore):
    """A store whose answers nobody foresaw: servers leave out fields, or answer anything with 200."""

    def head(self, name: str) -> ObjectInfo:
        if name.startswith("wedbackup-validation/head"):
            raise KeyError("ContentLength: token canary-51")
        return super().head(name)


def test_an_answer_that_nobody_foresaw_is_a_finding_and_not_the_end() -> None:
    """supabase/storage 4fa61fb: an absent Content-Length ended the validation in a traceback."""
    store = Stranger()
    found = findings_of(store)
    finding = found["size and name are known without reading"]
    assert finding.state is State.BROKEN
    assert "not understood (KeyError in" in finding.detail
    assert "canary" not in finding.detail, "the text of such an exception may hold anything"
    assert found[CLEAN_UP].state is State.KEPT, "the rest went on"
    assert not [*store.list()]


class WritersOnly(MemoryStore):
    """Opened by a credential that may not delete, as our own guides ask for."""

    def delete(self, name: str) -> None:
        check_name(name)
        raise AccessDenied(f"deleting {name} is not allowed")


class Pruned(MemoryStore):
    """The same place, opened by the pruner's credential."""

    def __init__(self, place: MemoryStore) -> None:
        super().__init__()
        self._objects = place._objects


def test_a_credential_that_may_not_delete_breaks_nothing_and_leaves_a_word() -> None:
    found = findings_of(WritersOnly())
    assert [finding.detail for finding in found.values() if not finding.ok] == []
    deleting = found["deleting removes, twice is no error"]
    assert deleting.state is State.EXEMPT and "pruner" in deleting.detail
    assert found[CLEAN_UP].state is State.WARNED
    assert "remove it by hand" in found[CLEAN_UP].detail


def test_with_the_pruners_credential_everything_is_tried_and_removed() -> None:
    store = WritersOnly()
    found = {finding.promise: finding for finding in validate_store(store, remover=Pruned(store))}
    assert found["deleting removes, twice is no error"].state is State.KEPT
    assert found[CLEAN_UP].state is State.KEPT
    assert not [*store.list()]


class LockedOut(MemoryStore):
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        raise AccessDenied("the key is unknown")


def test_a_wrong_key_is_said_once() -> None:
    """A wrong key at Supabase cost 83 broken promises, all with the same sentence."""
    (finding,) = validate_store(LockedOut())
    assert finding.state is State.BROKEN and "the key is unknown" in finding.detail


def test_whoever_stops_half_way_leaves_nothing_behind_whatever_ended_it() -> None:
    store = MemoryStore()
    findings = validate_store(store)
    for _ in range(8):
        next(findings)
    assert [*store.list()], "nothing was stored yet"
    with pytest.raises(KeyboardInterrupt):
        findings.throw(KeyboardInterrupt())
    assert not [*store.list()]
