from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backups.engine.errors import BlobMissing, Damaged, RepositoryMissing, WrongKey
from backups.engine.format import BlobType
from backups.engine.format.repository import Repository
from backups.engine.restore.browse import locate
from backups.engine.restore.result import RestoreResult
from backups.engine.restore.run import restore
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.upkeep.copies import Place as Copy
from backups.engine.upkeep.forget import forget
from backups.engine.upkeep.prune import prune
from backups.engine.upkeep.replicate import replicate
from providers.stores.errors import StoreUnavailable
from providers.stores.local import LocalStore
from tests.backups.engine.places import NOW, PREFIX, SECRET, Place, fresh_vault, make_place
from tests.backups.engine.writing import SnapshotWriter
from wedbackup.core.clock import ManualClock

FILES = {b"%02d.jpg" % i: os.urandom(300 * i) for i in range(40)} | {b"plan.txt": b"18:00 dinner\n" * 900}
OLDER = dict(list(FILES.items())[::2])


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Place]:
    root = tmp_path_factory.mktemp("pristine")
    near, far = make_place(root / "near"), make_place(root / "far")
    writer = SnapshotWriter([Repository.create(near.store, PREFIX, fresh_vault())])
    writer.write({b"photos": OLDER, b"old": b"x" * 9000})
    writer.write({b"photos": FILES}, time=NOW + 1)
    replicate({"near": near}, far)
    return near, far


def clone(place: Place, root: Path) -> Place:
    shutil.copytree(place.root, root)
    return make_place(root)


def restored(copies: dict[str, Any], out: Path) -> RestoreResult:
    reader = VaultReader.open(copies, SECRET)
    result = restore(reader, reader.snapshots()[-1], str(out), base=b"photos")
    there = {os.fsencode(file.name): file.read_bytes() for file in out.iterdir()}
    assert there == FILES
    assert result.complete
    return result


damage = st.tuples(
    st.integers(0, 10**6),  # which file
    st.sampled_from(["flip", "cut", "remove", "empty", "swap", "noise"]),
    st.integers(0, 10**6),  # where in it
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(damage, min_size=1, max_size=12), st.booleans())
def test_whatever_happens_to_one_copy_both_together_give_equal_bytes(
    pristine: tuple[Place, Place], damages: list[tuple[int, str, int]], damaged_first: bool
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        bad = clone(pristine[0], Path(scratch) / "bad")
        for which, how, where in damages:
            files = bad.files()
            if not files:
                break
            names = list(files)
            name = names[which % len(names)]
            content = files[name]
            position = where % max(1, len(content))
            match how:
                case "flip" if content:
                    flipped = bytes([content[position] ^ (1 << where % 8)])
                    bad.overwrite(name, content[:position] + flipped + content[position + 1 :])
                case "cut":
                    bad.overwrite(name, content[:position])
                case "remove":
                    (bad.path / name).unlink()
                case "empty":
                    bad.overwrite(name, b"")
                case "swap":
                    bad.overwrite(name, files[names[where % len(names)]])
                case _:
                    bad.overwrite(name, os.urandom(len(content)))
        copies = {"bad": bad, "good": pristine[1]} if damaged_first else {"good": pristine[1], "bad": bad}
        result = restored(copies, Path(scratch) / "out")
        assert all(problem.label == "bad" for problem in result.problems)


def test_packs_lost_here_and_others_lost_there_are_no_loss(pristine: tuple[Place, Place], tmp_path: Path) -> None:
    near, far = clone(pristine[0], tmp_path / "near"), clone(pristine[1], tmp_path / "far")
    names = list(near.files("data"))
    for number, name in enumerate(names):
        ((near if number % 2 else far).path / name).unlink()
    result = restored({"near": near, "far": far}, tmp_path / "out")
    assert {problem.label for problem in result.problems} == {"near"}, "far was asked for these only"


def test_what_is_lost_in_all_copies_is_named_and_the_rest_restored(
    pristine: tuple[Place, Place], tmp_path: Path
) -> None:
    near = clone(pristine[0], tmp_path / "near")
    reader = VaultReader.open({"near": near}, SECRET)
    reader.load_index()
    victim = locate(reader, reader.snapshots()[-1].tree, b"photos/39.jpg")
    pack = reader.index.get(BlobType.DATA, victim.content[3]).pack_id
    name = f"data/{pack[:2]}/{pack}"
    near.overwrite(name, bytes(len(near.files()[name])))
    result = restore(reader, reader.snapshots()[-1], str(tmp_path / "out"), base=b"photos")
    missed = {miss.path for miss in result.misses}
    assert b"39.jpg" in missed and not result.complete
    assert all(miss.reason == "a piece of it is readable in no copy of the vault" for miss in result.misses)
    there = {os.fsencode(file.name): file.read_bytes() for file in (tmp_path / "out").iterdir()}
    assert there == {name: plain for name, plain in FILES.items() if name not in missed}
    assert str(result.proof) == f"{len(there)} of {len(there)} files equal"


def test_a_pruned_copy_and_one_that_lagged_serve_together(pristine: tuple[Place, Place], tmp_path: Path) -> None:
    """After the prune a blob lies in another pack in each copy; each copy then loses what only the other can give."""
    pruned, lagging = clone(pristine[0], tmp_path / "pruned"), clone(pristine[1], tmp_path / "lagging")
    clock = ManualClock()
    repository = pruned.open()
    forget({"x": repository}, [repository.snapshots()[0].snapshot_id], clock=clock)
    result = prune({"x": repository}, clock=clock, tolerated=0.0)
    assert result.added and result.rewritten
    for pack in result.added:
        (pruned.path / f"data/{pack[:2]}/{pack}").unlink()
    restored({"pruned": pruned, "lagging": lagging}, tmp_path / "a")
    restored({"lagging": lagging, "pruned": pruned}, tmp_path / "b")


class BlackHole(LocalStore):
    """Answers nothing but a few first calls."""

    calls = 0
    answers = 0

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        self.calls += 1
        if self.calls > self.answers:
            raise StoreUnavailable("no answer within 10 s")
        return super().get(name, offset=offset, length=length)


def test_a_copy_that_stops_answering_is_asked_last_from_then_on(pristine: tuple[Place, Place], tmp_path: Path) -> None:
    hole = BlackHole(pristine[0].store.options)
    hole.answers = 6
    result = restored({"hole": Copy(hole, PREFIX), "good": pristine[1]}, tmp_path / "out")
    assert 6 < hole.calls < 30, "not once per pack"
    assert {problem.reason for problem in result.problems} == {"no answer within 10 s"}


def test_opening_tells_a_wrong_key_from_a_missing_vault_and_a_dead_location(
    pristine: tuple[Place, Place], tmp_path: Path
) -> None:
    empty = make_place(tmp_path / "empty")
    with pytest.raises(WrongKey):
        VaultReader.open({"empty": empty, "near": pristine[0]}, b"guess")
    with pytest.raises(RepositoryMissing):
        VaultReader.open({"empty": empty}, SECRET)
    with pytest.raises(StoreUnavailable):
        VaultReader.open({"hole": Copy(BlackHole(pristine[0].store.options), PREFIX)}, SECRET)


def test_single_blobs_are_verified_or_refused(pristine: tuple[Place, Place], tmp_path: Path) -> None:
    near = clone(pristine[0], tmp_path / "near")
    reader = VaultReader.open({"near": near}, SECRET)
    reader.load_index()
    blob = next(iter(reader.index.ids(BlobType.DATA)))
    with pytest.raises(BlobMissing):
        reader.load_blob(BlobType.DATA, b"?" * 32)
    for name, content in near.files("data").items():
        near.overwrite(name, bytes(len(content)))
    with pytest.raises(Damaged, match="readable in no copy"):
        reader.load_blob(BlobType.DATA, blob)
