"""Restores onto disks that refuse names, fold case, know no links and set no owner: all files come, and it is told."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from backups.engine.format.repository import Repository
from backups.engine.format.tree import Node
from backups.engine.restore import disk as disk_module
from backups.engine.restore import target as target_module
from backups.engine.restore.disk import Disk
from backups.engine.restore.naming import give_names
from backups.engine.restore.plan import Folder, Item, Plan
from backups.engine.restore.result import Existing, RestoreResult
from backups.engine.restore.run import restore
from backups.engine.restore.target import Target
from backups.engine.restore.vault_reader import VaultReader
from tests.backups.engine.backing import Studio
from tests.backups.engine.places import PREFIX, SECRET, Place, fresh_vault, make_place
from tests.backups.engine.restore.stick import Stick
from tests.backups.engine.writing import Folder as Written
from tests.backups.engine.writing import Link, write_snapshot

WEDDING: Written = {
    b"14:30 Ceremony": {b"vows?.txt": b"I do", b"rings": {b"r.jpg": b"gold" * 900}},
    b"Photos": {b"IMG_1.JPG": b"upper" * 500, b"img_1.jpg": b"lower" * 500},
    b"photos": {b"other.jpg": b"another folder"},
    "caf\u00e9.txt".encode(): b"composed",
    "cafe\u0301.txt".encode(): b"decomposed",
    b"con.txt": b"reserved",
    b"ends with a dot.": b"dot",
    b"back\\slash": b"slash",
    b"not utf-8 \xff": b"bytes",
    b"plain.txt": b"plain",
    b"newest": Link(b"Photos/IMG_1.JPG"),
}
FILES = 12


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = make_place(tmp_path / "location")
    write_snapshot([Repository.create(place.store, PREFIX, fresh_vault())], WEDDING)
    return place


@pytest.fixture
def stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stick:
    stick = Stick(str(tmp_path / "stick"))
    monkeypatch.setattr(target_module, "os", stick)
    monkeypatch.setattr(disk_module, "os", stick)
    return stick


def restored(place: Place, target: Path, **options: Any) -> RestoreResult:
    reader = VaultReader.open({"here": place}, SECRET)
    return restore(reader, reader.snapshots()[-1], str(target), **options)


def content(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file() and not f.is_symlink()}


def test_every_file_comes_back_under_a_readable_name_and_each_new_name_is_told(
    place: Place, stick: Stick, tmp_path: Path
) -> None:
    """npbackup #1373, breeze #5582, rdiff-backup #11: one folder name stopped the whole restore, 0 of 9 files."""
    result = restored(place, tmp_path / "stick")
    assert {errno.ENOENT, errno.EPERM, errno.ENOSYS, errno.EILSEQ} <= set(stick.hits)
    assert result.complete and str(result.proof) == f"{FILES} of {FILES} files equal"
    found = content(tmp_path / "stick")
    assert found["14_30 Ceremony/rings/r.jpg"] == b"gold" * 900
    assert found["Photos/IMG_1.JPG"] == b"upper" * 500 and found["Photos/img_1 (2).jpg"] == b"lower" * 500
    assert found["photos (2)/other.jpg"] == b"another folder"
    assert {found["caf\u00e9 (2).txt"], found["cafe\u0301.txt"]} == {b"composed", b"decomposed"}
    assert found["_con.txt"] == b"reserved" and found["ends with a dot"] == b"dot" and found["back_slash"] == b"slash"
    assert len(found) == FILES
    assert "14:30 Ceremony: made as 14_30 Ceremony" in [str(one).replace('"', "") for one in result.renamed]
    assert len(result.renamed) == 9
    assert any("knows no symbolic links" in str(one) for one in result.refused)
    assert any("owner" in str(one) for one in result.refused) or os.geteuid() != 0


def test_a_second_restore_there_finds_what_the_first_made(place: Place, stick: Stick, tmp_path: Path) -> None:
    """rustic #518: an interrupted restore could not be gone on with."""
    restored(place, tmp_path / "stick")
    before = content(tmp_path / "stick")
    again = restored(place, tmp_path / "stick", existing=Existing.IF_CHANGED)
    assert again.unchanged == FILES and again.bytes_written == 0
    assert content(tmp_path / "stick") == before


def test_without_verifying_a_twin_is_missed_and_never_silently_replaced(
    place: Place, stick: Stick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that folds names by a table which is not ours: the second name is told as missing, not lost unseen."""
    monkeypatch.setattr("backups.engine.restore.naming._key", lambda name, disk: name.decode("utf-8", "replace"))
    result = restored(place, tmp_path / "stick", verify=False)
    missed = {os.fsdecode(miss.path) for miss in result.misses}
    assert result.proof is None and not result.complete
    assert "Photos/img_1.jpg" in missed and "photos/other.jpg" in missed
    assert content(tmp_path / "stick")["Photos/IMG_1.JPG"] == b"upper" * 500
    assert len(content(tmp_path / "stick")) + len(missed) == FILES


def test_a_folder_that_cannot_be_made_takes_only_its_own_files_along(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, hits = Target.make_folder, []

    def refuse(self: Target, number: int) -> None:
        if self.folders[number][1] == b"14:30 Ceremony":
            hits.append(number)
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        real(self, number)

    monkeypatch.setattr(Target, "make_folder", refuse)
    result = restored(place, tmp_path / "out")
    assert hits and len(content(tmp_path / "out")) == FILES - 2
    assert [miss.path for miss in result.misses] == [b"14:30 Ceremony/vows?.txt", b"14:30 Ceremony/rings/r.jpg"]
    assert "Permission denied" in result.misses[0].reason


def test_a_disk_without_hard_links_gets_two_whole_files(tmp_path: Path, stick: Stick) -> None:
    """A hard link on exFAT: the name was missed, although its content could be copied."""
    (tmp_path / "studio").mkdir()
    studio = Studio(tmp_path / "studio")
    studio.write({"a.jpg": b"one picture" * 1000})
    os.link(studio.source / "a.jpg", studio.source / "b.jpg")
    studio.backup()
    reader = VaultReader.open({"here": studio.places["a"]}, SECRET)
    result = restore(reader, reader.snapshots()[-1], str(tmp_path / "stick"))
    assert errno.EPERM in stick.hits
    assert result.complete and result.proof is not None and result.proof.equal == result.wanted == 2
    assert set(content(tmp_path / "stick").values()) == {b"one picture" * 1000}
    assert any("no second name" in str(one) for one in result.refused)


def test_an_ordinary_disk_gets_every_name_as_it_was(place: Place, tmp_path: Path) -> None:
    result = restored(place, tmp_path / "out")
    assert result.complete and result.renamed == []
    assert os.path.exists(os.fsencode(tmp_path / "out") + b"/not utf-8 \xff")
    assert not [name for name in os.listdir(tmp_path / "out") if "probe" in name or name.startswith(".wedbackup")]


def test_a_name_too_long_for_the_disk_is_shortened_and_keeps_its_ending() -> None:
    long = ("\u5199" * 100 + ".jpg").encode()  # legal on APFS and NTFS, which count letters and not bytes
    plan = Plan(folders=[Folder(0, None, True)], files=[Item(0, Node(name=long, type="file"))])
    (renamed,) = give_names(plan, Disk())
    assert len(renamed.made) <= 255 and renamed.made.endswith(b".jpg") and renamed.path == long
