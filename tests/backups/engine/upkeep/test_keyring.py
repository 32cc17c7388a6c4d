from __future__ import annotations

from pathlib import Path

import pytest

from backups.engine.errors import WrongKey
from backups.engine.format.key import FOR_SECRETS
from backups.engine.format.repository import Repository
from backups.engine.upkeep.keyring import KeyChange, LastKey, add_key, list_keys, remove_key
from providers.stores.errors import StoreUnavailable
from tests.backups.engine.places import PREFIX, SECRET, Place, fresh_vault, make_place
from tests.restic import stock
from wedbackup.core.clock import ManualClock

NEW = b"the recovery kit's secret"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Place]:
    made = {name: make_place(tmp_path / name) for name in ("near", "far")}
    vault = fresh_vault()
    for place in made.values():
        Repository.create(place.store, PREFIX, vault)
    return made


def opened(places: dict[str, Place]) -> dict[str, Repository]:
    return {label: place.open() for label, place in places.items()}


def add(copies: dict[str, Repository], clock: ManualClock) -> KeyChange:
    now = clock.utcnow()
    return add_key(copies, NEW, now=now, username="ana", hostname="studio", cost=FOR_SECRETS)


@pytest.mark.stock
def test_a_new_key_opens_every_copy_for_us_and_for_stock_restic(places: dict[str, Place], clock: ManualClock) -> None:
    change = add(opened(places), clock)
    assert change.done == ["near", "far"] and not change.failures
    for place in places.values():
        assert Repository.open(place.store, PREFIX, NEW).config == place.open().config
        stock.check(place.path, NEW)
    keys = list_keys(places)
    assert keys["near"] == keys["far"]
    assert ("2026-06-12T12:00:00Z", "ana", "studio") in [(k.created, k.username, k.hostname) for k in keys["near"]]


def test_a_removed_key_opens_nothing_any_more(places: dict[str, Place], clock: ManualClock) -> None:
    old = list_keys(places)["near"][0].key_id
    add(opened(places), clock)
    change = remove_key(opened(places), old, remaining_secret=NEW, clock=clock)
    assert change.done == ["near", "far"]
    for place in places.values():
        with pytest.raises(WrongKey):
            Repository.open(place.store, PREFIX, SECRET)
        Repository.open(place.store, PREFIX, NEW)


def test_the_last_key_stays(places: dict[str, Place], clock: ManualClock) -> None:
    (only,) = list_keys(places)["near"]
    with pytest.raises(LastKey):
        remove_key(opened(places), only.key_id, remaining_secret=SECRET, clock=clock)
    assert len(places["near"].files("keys")) == len(places["far"].files("keys")) == 1


def test_a_key_stays_everywhere_while_its_successor_is_missing_or_damaged_at_one_copy(
    places: dict[str, Place], clock: ManualClock
) -> None:
    old = list_keys(places)["near"][0].key_id
    new = add(opened(places), clock).key_id
    places["far"].overwrite(f"keys/{new}", b"rot")
    with pytest.raises(LastKey, match="far"):
        remove_key(opened(places), old, remaining_secret=NEW, clock=clock)
    assert all(f"keys/{old}" in place.files("keys") for place in places.values())


def test_a_copy_that_does_not_answer_is_named(
    places: dict[str, Place], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = opened(places)

    def cut(*arguments: object, **options: object) -> None:
        raise StoreUnavailable("the line is cut")

    monkeypatch.setattr(copies["far"].store, "put", cut)
    change = add(copies, clock)
    assert (change.done, change.failures) == (["near"], {"far": "the line is cut"})
    with pytest.raises(StoreUnavailable):
        add({"far": copies["far"]}, clock)
