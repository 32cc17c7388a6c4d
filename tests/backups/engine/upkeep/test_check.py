from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from backups.engine.errors import Cancelled
from backups.engine.format import BlobType, FileKind, hash_hex
from backups.engine.format.crypto import MasterKey
from backups.engine.format.index import PackRecord, encode_records
from backups.engine.format.pack import PackBuilder
from backups.engine.format.repository import Repository
from backups.engine.progress import CancelToken, Progress
from backups.engine.upkeep.check import check
from backups.engine.upkeep.copies import Place as Copy
from backups.engine.upkeep.copies import list_copy
from backups.engine.upkeep.findings import CheckResult, Kind, Verdict
from backups.engine.upkeep.replicate import replicate
from backups.engine.upkeep.verify import verify_without_key
from providers.stores.errors import StoreUnavailable
from providers.stores.local import LocalStore
from tests.backups.engine.places import PREFIX, Place, fresh_vault, make_place
from tests.backups.engine.writing import Folder, write_snapshot

FOLDER: Folder = {b"photos": {b"%d.jpg" % i: os.urandom(5000) for i in range(12)}, b"plan.txt": b"18:00 dinner\n" * 50}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = make_place(tmp_path / "location")
    repository = Repository.create(place.store, PREFIX, fresh_vault())
    write_snapshot([repository], FOLDER)
    write_snapshot([repository], {**FOLDER, b"more.txt": b"added later"})
    return place


def full_check(place: Place, master: MasterKey | None = None) -> CheckResult:
    return check(place, master or place.open().master, read_data=True)


def kinds(result: CheckResult) -> set[Kind]:
    return {finding.kind for finding in result.findings}


def largest(place: Place, kind: str) -> str:
    files = {name: content for name, content in place.files().items() if name.startswith(kind)}
    return max(files, key=lambda name: len(files[name]))


def tree_pack(place: Place) -> str:
    repository = place.open()
    entry = repository.load_index().get(BlobType.TREE, repository.snapshots()[0].tree)
    return f"data/{entry.pack_id[:2]}/{entry.pack_id}"


def rewritten(kind: str, change: Callable[[bytes], bytes]) -> Callable[[Place], None]:
    def damage(place: Place) -> None:
        name = tree_pack(place) if kind == "tree" else largest(place, kind)
        place.overwrite(name, change(place.files()[name]))

    return damage


def removed(kind: str) -> Callable[[Place], None]:
    def damage(place: Place) -> None:
        name = tree_pack(place) if kind == "tree" else largest(place, kind)
        (place.path / name).unlink()

    return damage


def flip(content: bytes) -> bytes:
    middle = len(content) // 3
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


def cut(content: bytes) -> bytes:
    return content[:-1]


def swap_packs(place: Place) -> None:
    first, second = list(place.files("data"))[:2]
    contents = place.files("data")
    place.overwrite(first, contents[second])
    place.overwrite(second, contents[first])


def forged_pack(place: Place) -> None:
    """A pack sealed with the right key whose blob is not what the header says: memory had flipped a bit."""
    repository = place.open()
    builder = PackBuilder(repository.master, BlobType.DATA, bytearray(5000))
    builder.add(b"\1" * 32, b"not what the name says", 0, verify=False)
    pack = bytes(builder.finish())
    repository.store.put(repository.name(FileKind.DATA, hash_hex(pack)), pack)
    for document in encode_records([PackRecord(hash_hex(pack), BlobType.DATA, builder.blobs)]):
        repository.save_document(FileKind.INDEX, document)


def orphan(place: Place) -> None:
    pack = b"left over by a killed backup"
    place.store.put(f"{PREFIX}data/{hash_hex(pack)[:2]}/{hash_hex(pack)}", pack)


# (name, how to damage, what must be found, by the structure alone, without the key)
DAMAGES = [
    ("config gone", removed("config"), {Kind.CONFIG_MISSING}, True, True),
    ("config flipped", rewritten("config", flip), {Kind.CONFIG_DAMAGED}, True, False),
    ("key gone", removed("keys"), {Kind.KEY_MISSING}, True, False),
    ("key flipped", rewritten("keys", flip), {Kind.KEY_DAMAGED}, True, True),
    ("index flipped", rewritten("index", flip), {Kind.INDEX_DAMAGED}, True, True),
    ("index cut", rewritten("index", cut), {Kind.INDEX_DAMAGED}, True, True),
    ("index gone", removed("index"), {Kind.TREE_UNREADABLE}, True, False),
    ("snapshot flipped", rewritten("snapshots", flip), {Kind.SNAPSHOT_DAMAGED}, True, True),
    ("snapshot empty", rewritten("snapshots", lambda _: b""), {Kind.SNAPSHOT_DAMAGED}, True, True),
    ("pack flipped", rewritten("data", flip), {Kind.PACK_DAMAGED}, False, True),
    ("pack cut", rewritten("data", cut), {Kind.PACK_SIZE}, True, True),
    ("pack longer", rewritten("data", lambda content: content + b"!"), {Kind.PACK_SIZE}, True, True),
    ("pack gone", removed("data"), {Kind.PACK_MISSING}, True, False),
    ("tree pack flipped", rewritten("tree", flip), {Kind.PACK_DAMAGED}, False, True),
    ("tree pack gone", removed("tree"), {Kind.PACK_MISSING, Kind.TREE_UNREADABLE}, True, False),
    ("two packs swapped", swap_packs, {Kind.PACK_DAMAGED}, False, True),
    ("pack written wrong", forged_pack, {Kind.PACK_WRONG}, False, False),
    ("pack in no index", orphan, {Kind.PACK_UNINDEXED}, True, False),
]


@pytest.mark.parametrize(
    ("name", "damage", "expected", "by_structure", "keyless"), DAMAGES, ids=[row[0] for row in DAMAGES]
)
def test_every_damage_is_found_named_and_advised(
    place: Place, name: str, damage: Callable[[Place], None], expected: set[Kind], by_structure: bool, keyless: bool
) -> None:
    master = place.open().master
    assert full_check(place).verdict is Verdict.WHOLE
    before = place.files()
    damage(place)
    changed = {n for n in before.keys() | place.files().keys() if before.get(n) != place.files().get(n)}
    result = full_check(place, master)
    assert expected <= kinds(result), result.findings
    assert (result.verdict is Verdict.WHOLE) == (expected == {Kind.PACK_UNINDEXED})
    assert all(finding.kind.advice in str(finding) for finding in result.findings)
    assert not by_structure or expected <= kinds(check(place, master))
    assert bool(kinds(verify_without_key(place))) == keyless
    if Kind.PACK_WRONG not in expected and Kind.PACK_UNINDEXED not in expected and "gone" not in name:
        assert changed <= result.damaged


def test_what_a_check_finds_a_repair_from_another_copy_heals(place: Place, tmp_path: Path) -> None:
    good = make_place(tmp_path / "good")
    replicate({"here": place}, good)
    master = good.open().master
    for damage in (removed("tree"), rewritten("data", flip), rewritten("index", flip), rewritten("config", flip)):
        damage(place)
    found = full_check(place, master)
    assert found.verdict is Verdict.DAMAGED
    assert replicate({"good": good}, place, damaged=found.damaged).complete
    assert full_check(place).verdict is Verdict.WHOLE
    assert place.files() == good.files()


def test_a_clean_check_tells_what_it_covered(place: Place) -> None:
    seen: list[Progress] = []
    result = check(place, place.open().master, read_data=True, listener=seen.append)
    packs = place.files("data")
    assert (result.snapshots, result.packs) == (2, len(packs))
    assert result.bytes_read == sum(map(len, packs.values())) == seen[-1].bytes_done
    assert result.trees == 3 and result.blobs > 50
    assert check(place, place.open().master).packs == 0, "the structure alone reads no pack in full"


def test_without_the_key_a_copy_is_measured_against_a_good_one(place: Place, tmp_path: Path) -> None:
    good = make_place(tmp_path / "good")
    replicate({"here": place}, good)
    (place.path / largest(place, "data")).unlink()
    (place.path / largest(place, "snapshots")).unlink()
    assert verify_without_key(place).verdict is Verdict.WHOLE, "what is there is good"
    result = verify_without_key(place, expected=list_copy(good))
    assert kinds(result) == {Kind.PACK_MISSING, Kind.FILE_MISSING}
    assert verify_without_key(good, expected=list_copy(good)).verdict is Verdict.WHOLE


class Flaky(LocalStore):
    """Lists everything and gives no pack."""

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if "/data/" in name and length is None:
            raise StoreUnavailable("the line is cut")
        return super().get(name, offset=offset, length=length)


def test_a_location_that_does_not_answer_is_unknown_not_damaged_and_never_whole(place: Place) -> None:
    result = check(Copy(Flaky(place.store.options), PREFIX), place.open().master, read_data=True)
    assert kinds(result) == {Kind.NOT_READ}
    assert result.verdict is Verdict.UNKNOWN and not result.damaged


def test_a_check_can_be_cancelled(place: Place) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        check(place, place.open().master, cancel=cancel)
    with pytest.raises(Cancelled):
        verify_without_key(place, cancel=cancel)
