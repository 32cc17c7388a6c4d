"""What every store must do. Each provider's test subclasses `StoreContract` and says how its store is opened.

The promises are those of providers.validation, so that a test and the check of a real location never differ.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

import pytest

from providers.registry import KINDS
from providers.stores.base import ObjectStore
from providers.validation import CLEAN_UP, PREFIX, PROMISES, Promise, Room, judge, validate_store
from providers.validation.basics import PROMISES as ON_A_QUIET_DAY
from tests.providers.conformance.figures import report
from wedbackup.core.clock import SYSTEM_CLOCK

UNPROVED = "unproved"  # beside the states of a finding: the server of the tests cannot show it


def kind_of(store: ObjectStore) -> str:
    """Return the kind of location that opens stores of this very class; "" if none does."""
    dotted = f"{type(store).__module__}.{type(store).__qualname__}"
    return next((kind.name for kind in KINDS.values() if kind.dotted == dotted), "")


def _speaks_for_its_module(test_class: type) -> bool:
    """Whether this is the first contract of its module: the variants after it list the same way, at the same cost."""
    named = vars(sys.modules[test_class.__module__]).values()
    contracts = [it for it in named if isinstance(it, type) and issubclass(it, StoreContract)]
    return next(it for it in contracts if it.__module__ == test_class.__module__) is test_class


def is_chosen(test_class: type, promise: Promise, *, campaign: bool) -> bool:
    """Whether `promise` is put to the test now.

    campaign: bin/conformance runs. At each change the long ones wait for it, and variants of a store show the promises
              of a quiet day only.
    """
    if promise.long:
        return campaign and _speaks_for_its_module(test_class)
    return campaign or promise in ON_A_QUIET_DAY or _speaks_for_its_module(test_class)


class StoreContract:
    """Subclasses provide the fixture `store`.

    beyond_the_server:  promises that the server of the tests cannot show, by name, each with the reason. What the
                        provider itself cannot do belongs into its capabilities instead.
    """

    beyond_the_server: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @pytest.fixture
    def store(self) -> ObjectStore:
        raise NotImplementedError("a provider's test says how its store is opened")

    @pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name.replace(" ", "-"))
    def test_keeps_its_promise(
        self,
        store: ObjectStore,
        promise: Promise,
        record_property: Callable[[str, object], None],
    ) -> None:
        if reason := self.beyond_the_server.get(promise.name):
            record_property("promise", [kind_of(store), promise.name, UNPROVED, reason])
            return
        room = Room(store)
        finding = judge(promise, room, SYSTEM_CLOCK)
        record_property("promise", [kind_of(store), promise.name, str(finding.state), finding.detail])
        assert finding.ok, finding.detail
        room.clean()
        assert [*store.list(PREFIX)] == []

    @pytest.mark.parametrize("trouble", ["refused", "503", "black hole"])
    def test_a_dead_provider_is_an_outage_whatever_is_asked(
        self, store: ObjectStore, trouble: str, record_property: Callable[[str, object], None]
    ) -> None:
        """With a location's usual limits and retries; only a folder, or a store of the tests, has no line to break."""
        if Room(store).bench is None:
            assert kind_of(store) in {"", *(kind.name for kind in KINDS.values() if kind.folder)}, "no line to break"
            return
        for reported in report(store, trouble):
            record_property("figure", [kind_of(store), trouble, reported.seconds, reported.hits])

    def test_a_validation_leaves_nothing_behind(self, store: ObjectStore) -> None:
        findings = [*validate_store(store, promises=ON_A_QUIET_DAY)]
        assert [finding for finding in findings if not finding.ok] == []
        assert findings[-1].promise == CLEAN_UP
        assert [*store.list()] == []

    def test_its_class_says_already_what_it_is_for(self, store: ObjectStore) -> None:
        """Whether it counts, and what it holds, is asked of the kind: no account can change it."""
        if not kind_of(store):  # a wrapper, or a store for tests
            assert getattr(store, "inner", store).capabilities == store.capabilities
            return
        assert type(store).capabilities.holds is store.capabilities.holds
        assert type(store).capabilities.countable == store.capabilities.countable

    def test_secrets_stay_out_of_its_repr(self, store: ObjectStore) -> None:
        options = getattr(store, "options", None)
        secret = getattr(options, "secret_key", None)
        assert secret is None or secret not in repr(options) + repr(store)
