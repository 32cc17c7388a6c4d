"""What every store must do. Each provider's test subclasses `StoreContract` and says how its store is opened.

The promises are those of providers.validation, so that a test and the check of a real location never differ.
"""

from __future__ import annotations

import pickle

import pytest

from providers.stores.base import ObjectStore
from providers.validation import PROMISES, Promise, Room, validate_store
from providers.validation.bench import bench_of


class StoreContract:
    """Subclasses provide the fixture `store`."""

    picklable = True

    @pytest.fixture
    def store(self) -> ObjectStore:
        raise NotImplementedError("a provider's test says how its store is opened")

    @pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name.replace(" ", "-"))
    def test_keeps_its_promise(self, store: ObjectStore, promise: Promise) -> None:
        room = Room(store, bench_of(store))
        if not promise.exemption(room):
            promise.check(room)
            room.clean()

    def test_a_validation_leaves_nothing_behind(self, store: ObjectStore) -> None:
        findings = [*validate_store(store)]
        assert [finding for finding in findings if not finding.ok] == []
        assert len(findings) == len([promise for promise in PROMISES if not promise.large]) + 1
        assert [*store.list()] == []

    def test_a_copy_sent_to_another_process_reaches_the_same_objects(self, store: ObjectStore) -> None:
        if not self.picklable:
            with pytest.raises(TypeError):
                pickle.dumps(store)
            return
        store.put("travels/along", b"content")
        travelled = pickle.loads(pickle.dumps(store))
        assert travelled.get("travels/along") == b"content"
        assert travelled.capabilities == store.capabilities
        travelled.close()

    def test_secrets_stay_out_of_its_repr(self, store: ObjectStore) -> None:
        options = getattr(store, "options", None)
        secret = getattr(options, "secret_key", None)
        assert secret is None or secret not in repr(options) + repr(store)
