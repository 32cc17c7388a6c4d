"""The store in memory."""

import pytest

from providers.stores.errors import LocationFull, ObjectCorrupt
from providers.stores.memory import MemoryStore
from tests.providers.store_contract import StoreContract

SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


def test_a_full_memory_keeps_what_it_had() -> None:
    store = MemoryStore(capacity_bytes=5)
    store.put("a", b"abc")
    with pytest.raises(LocationFull):
        store.put("b", b"def")
    assert [info.name for info in store.list()] == ["a"]
    store.put("a", b"abcde")
    store.delete("a")
    store.put("b", b"fghij")


def test_rot_is_found_by_verify() -> None:
    store = MemoryStore()
    store.put("a", b"abc")
    store.verify("a", sha256=SHA256_OF_ABC)
    store.corrupt("a", position=1)
    with pytest.raises(ObjectCorrupt):
        store.verify("a", sha256=SHA256_OF_ABC)
