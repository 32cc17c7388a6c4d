"""What every store must do. Each provider's test subclasses `StoreContract` and says how its store is opened.

The promises are those of providers.validation, so that a test and the check of a real location never differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

import pytest

from providers.registry import KINDS
from providers.stores.base import ObjectStore
from providers.validation import CLEAN_UP, PREFIX, PROMISES, Promise, Room, judge, validate_store
from providers.validation.basics import PROMISES as ON_A_QUIET_DAY
from wedbackup.core.clock import SYSTEM_CLOCK

UNPROVED = "unproved"  # beside the states of a finding: the server of the tests cannot show it


def kind_of(store: ObjectStore) -> str:
    """Return the kind of location that opens stores of this very class; "" if none does."""
    dotted = f"{type(store).__module__}.{type(store).__qualname__}"
    return next((kind.name for kind in KINDS.values() if kind.dotted == dotted), "")


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
        conformance_run: bool,
        record_property: Callable[[str, object], None],
    ) -> None:
        if promise.long and not conformance_run:
            return
        if reason := self.beyond_the_server.get(promise.name):
            record_property("promise", [kind_of(store), promise.name, UNPROVED, reason])
            return
        room = Room(store)
        finding = judge(promise, room, SYSTEM_CLOCK)
        record_property("promise", [kind_of(store), promise.name, str(finding.state), finding.detail])
        assert finding.ok, finding.detail
        room.clean()
        assert [*store.list(PREFIX)] == []

    def test_a_validation_leaves_nothing_behind(self, store: ObjectStore) -> None:
        findings = [*validate_store(store, promises=ON_A_QUIET_DAY)]
        assert [finding for finding in findings if not finding.ok] == []
        assert findings[-1].promise == CLEAN_UP
        assert [*store.list()] == []

    def test_secrets_stay_out_of_its_repr(self, store: ObjectStore) -> None:
        options = getattr(store, "options", None)
        secret = getattr(options, "secret_key", None)
        assert secret is None or secret not in repr(options) + repr(store)
