from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from backups.engine.errors import Cancelled, Damaged, RepositoryExists, RepositoryMissing
from backups.engine.format.repository import Repository
from backups.engine.progress import CancelToken, Progress
from backups.engine.upkeep.copies import list_copy
from backups.engine.upkeep.replicate import replicate
from providers.stores.base import Buffer, ObjectInfo
from providers.stores.errors import StoreUnavailable
from providers.stores.memory import MemoryStore
from tests.backups.engine.places import PREFIX, Place, fresh_vault, make_place
from tests.backups.engine.writing import Folder, write_snapshot

FOLDER: Folder = {b"photos": {b"%d.jpg" % i: os.urandom(5000) for i in range(12)}, b"plan.txt": b"18:00 dinner\n" * 50}


@pytest.fixture
def source(tmp_path: Path) -> Place:
    place = make_place(tmp_path / "source")
    write_snapshot([Repository.create(place.store, PREFIX, fresh_vault())], FOLDER)
    return place


@pytest.fixture
def target(tmp_path: Path) -> Place:
    return make_place(tmp_path / "target")


def test_an_empty_location_becomes_an_equal_copy(source: Place, target: Place) -> None:
    seen: list[Progress] = []
    result = replicate({"here": source}, target, listener=seen.append)
    assert target.files() == source.files()
    assert result.complete and set(result.copied) == set(source.files())
    assert seen[-1].bytes_done == seen[-1].bytes_total + len(source.files()["config"])


def test_only_what_is_new_travels(source: Place, target: Place) -> None:
    replicate({"here": source}, target)
    write_snapshot([source.open()], {b"late.txt": b"one more"})
    result = replicate({"here": source}, target)
    assert sorted(name.split("/")[0] for name in result.copied) == ["data", "data", "index", "snapshots"]
    assert target.files() == source.files()


def test_whatever_put_fails_the_target_never_shows_a_snapshot_without_its_packs(source: Place) -> None:
    order: list[str] = []

    class Recording(MemoryStore):
        def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
            order.append(name.split("/")[1])
            return super().put(name, content, sha256=sha256)

    replicate({"here": source}, Place(Recording(), source.root))  # type: ignore[arg-type]
    ranks = [["keys", "config", "data", "index", "snapshots"].index(kind) for kind in order]
    assert ranks == sorted(ranks)


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [flip, lambda content: content[:-5]], ids=["flipped bit", "cut short"])
@pytest.mark.parametrize("kind", ["config", "keys", "data", "index", "snapshots"])
def test_rot_at_one_source_never_travels(
    source: Place, target: Place, tmp_path: Path, kind: str, damage: Callable[[bytes], bytes]
) -> None:
    good = {f"good{i}": make_place(tmp_path / f"good{i}") for i in range(2)}
    for place in good.values():
        replicate({"here": source}, place)
    name = next(name for name in source.files() if name.startswith(kind))
    source.overwrite(name, damage(source.files()[name]))
    result = replicate({"rotten": source, **good}, target)
    assert target.files() == good["good0"].files()
    if kind != "config":
        assert [(p.label, p.name) for p in result.source_problems] == [("rotten", name)]


def test_named_damage_at_the_target_is_repaired(source: Place, target: Place) -> None:
    replicate({"here": source}, target)
    names = [next(name for name in source.files() if name.startswith(kind)) for kind in ("data", "index", "config")]
    for name in names:
        target.overwrite(name, flip(source.files()[name]))
    result = replicate({"here": source}, target, damaged=names)
    assert set(result.copied) == set(names)
    assert target.files() == source.files()


def test_a_pack_that_nobody_has_whole_keeps_index_and_snapshot_back(source: Place, target: Place) -> None:
    name = next(name for name in source.files() if name.startswith("data"))
    source.overwrite(name, flip(source.files()[name]))
    result = replicate({"here": source}, target)
    assert not result.complete and result.missing == [name]
    assert not target.files("snapshots") and not target.files("index")


def test_a_good_file_at_the_target_is_not_called_missing_because_the_source_lost_half_of_it(
    source: Place, target: Place
) -> None:
    replicate({"here": source}, target)
    name = next(name for name in source.files() if name.startswith("data"))
    source.overwrite(name, source.files()[name][:-5])
    assert replicate({"here": source}, target).complete


def test_snapshots_vanish_at_the_target_only_by_mirroring(source: Place, target: Place) -> None:
    replicate({"here": source}, target)
    lost = next(iter(source.files("snapshots")))
    (source.path / lost).unlink()
    assert replicate({"here": source}, target).deleted == []
    assert lost in target.files("snapshots")
    assert replicate({"here": source}, target, mirror=True).deleted == [lost]
    assert target.files() == source.files()


def test_a_key_taken_away_does_not_come_back_from_a_copy_that_lagged(
    source: Place, target: Place, tmp_path: Path
) -> None:
    lagging = make_place(tmp_path / "lagging")
    replicate({"here": source}, lagging)
    key = next(iter(source.files("keys")))
    source.overwrite(key, b"")
    (source.path / key).rename(tmp_path / "key")
    replicate({"pruned": source, "lagging": lagging}, target)
    assert not target.files("keys")


def test_another_vault_is_never_mixed_with_ours(source: Place, target: Place) -> None:
    Repository.create(target.store, PREFIX, fresh_vault())
    before = target.files()
    with pytest.raises(RepositoryExists):
        replicate({"here": source}, target)
    assert target.files() == before


def test_two_sources_that_disagree_about_the_config_need_a_person(source: Place, target: Place, tmp_path: Path) -> None:
    other = make_place(tmp_path / "other")
    replicate({"here": source}, other)
    other.overwrite("config", b"?" * 100)
    with pytest.raises(Damaged, match="config files differ"):
        replicate({"here": source, "other": other}, target)


def test_nothing_to_copy_from_is_an_error(target: Place, tmp_path: Path) -> None:
    with pytest.raises(RepositoryMissing):
        replicate({"empty": make_place(tmp_path / "empty")}, target)


def test_a_source_that_does_not_answer_is_passed_over(source: Place, target: Place) -> None:
    class Dead(MemoryStore):
        def list(self, prefix: str = "") -> object:  # type: ignore[override]
            raise StoreUnavailable("black hole")

    result = replicate({"dead": Place(Dead(), source.root), "here": source}, target)  # type: ignore[arg-type]
    assert target.files() == source.files()
    assert [(p.label, p.reason) for p in result.source_problems] == [("dead", "black hole")]


def test_cancelling_stops_between_files(source: Place, target: Place) -> None:
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        replicate({"here": source}, target, listener=lambda _: cancel.cancel(), cancel=cancel, streams=1)
    assert not list_copy(target)[next(iter(list_copy(target)))], "no snapshot yet"
