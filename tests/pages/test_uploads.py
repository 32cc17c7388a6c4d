"""Uploads: who a file is, is decided by its bytes; hostile names are refused, nothing is overwritten or spliced."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from backups.models import Job, Source, UploadedFile, Vault
from backups.services.uploads import arrivals, parts
from backups.services.uploads.arrivals import upload_folder
from backups.services.uploads.keeping import uploads_kept, uploads_listed, uploads_stored
from backups.services.uploads.names import UploadRefused, safe_name
from backups.services.uploads.parts import unfinished_clear, whole_digest
from tests.pages.conftest import House, acknowledged_snapshot
from wedbackup.core.clock import ManualClock

pytestmark = pytest.mark.django_db

PIECE = 10  # [bytes] of every piece but the last, in this file


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PIECE_BYTES", PIECE)


@dataclass
class Camera:
    """A browser that sends one file, as upload-send.js does. branch: see Claim."""

    client: Client
    vault: Vault
    name: str
    content: bytes
    branch: str = ""

    @property
    def pieces(self) -> list[bytes]:
        return [self.content[at : at + PIECE] for at in range(0, len(self.content), PIECE)]

    @property
    def whole(self) -> str:
        return whole_digest([hashlib.sha256(piece).digest() for piece in self.pieces])

    @property
    def claim(self) -> dict[str, Any]:
        first = hashlib.sha256(self.content[:PIECE]).hexdigest()
        size = len(self.content)
        return {"name": self.name, "size": size, "modified": 0, "first": first, "branch": self.branch}

    @property
    def url(self) -> str:
        return f"/vaults/{self.vault.pk}/upload/pieces/"

    def ask(self) -> Any:
        return self.client.get(self.url, self.claim).json()

    def post(self, body: bytes = b"", **words: Any) -> Any:
        query = urlencode({**self.claim, **words})
        return self.client.post(f"{self.url}?{query}", body, content_type="application/octet-stream")

    def send(self, number: int, **words: Any) -> Any:
        piece = self.pieces[number]
        return self.post(piece, offset=number * PIECE, digest=hashlib.sha256(piece).hexdigest(), **words)

    def finish(self) -> Any:
        return self.post(whole=self.whole)

    def send_all(self) -> str:
        """Send everything and return under which name it arrived."""
        for number in range(len(self.pieces)):
            assert self.send(number).status_code == 200
        return str(self.finish().json()["name"])


def stored(vault: Vault) -> dict[str, bytes]:
    folder = upload_folder(vault)
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_pieces_become_the_file_and_its_folder_a_source(house: House, vera: Client) -> None:
    camera = Camera(vera, house.vault, "day/a.jpg", os.urandom(25))
    assert [camera.send(number).json() for number in (0, 1)] == [{"offset": 10}, {"offset": 20}]
    assert stored(house.vault) == {}, "an unfinished file is in no source"
    assert camera.send(2, whole=camera.whole).json() == {"name": "day/a.jpg", "already": False}
    assert stored(house.vault) == {"day/a.jpg": camera.content}
    assert (upload_folder(house.vault) / "day" / "a.jpg").stat().st_mode & 0o077 == 0
    assert Source.unscoped.filter(vault=house.vault, path=str(upload_folder(house.vault))).count() == 1
    assert not any(parts.unfinished_folder().glob("*/*"))


def test_two_cameras_pictures_of_one_name_and_size_are_both_kept(house: House, vera: Client) -> None:
    """resumable.js #554, immich-go #962, immich #9129: the second was answered "arrived" and never sent."""
    one, two = (Camera(vera, house.vault, "DSC_0001.NEF", letter * 25) for letter in (b"A", b"B"))
    assert one.send_all() == "DSC_0001.NEF"
    assert two.ask() == {"digests": [], "alike": []}
    assert two.send_all() == "DSC_0001 (2).NEF"
    assert stored(house.vault) == {"DSC_0001.NEF": b"A" * 25, "DSC_0001 (2).NEF": b"B" * 25}


def test_an_interrupted_file_never_goes_on_with_another_files_bytes(house: House, vera: Client) -> None:
    """tus-php #444, tus-js-client #112: half of one picture and half of the other, and it was called whole."""
    one = Camera(vera, house.vault, "DSC_0001.NEF", b"A" * 25)
    two = Camera(vera, house.vault, "DSC_0001.NEF", b"A" * 10 + b"B" * 15)
    one.send(0), one.send(1)
    assert two.ask()["digests"] == one.ask()["digests"], "equal in all that a claim tells"
    assert two.ask()["digests"][1] != hashlib.sha256(two.pieces[1]).hexdigest(), "which the browser sees"
    two.branch = hashlib.sha256(two.pieces[1]).hexdigest()
    assert two.send_all() == "DSC_0001.NEF"
    assert one.send(2, whole=one.whole).json()["name"] == "DSC_0001 (2).NEF"
    assert stored(house.vault) == {"DSC_0001.NEF": two.content, "DSC_0001 (2).NEF": one.content}


def test_a_browser_that_went_on_all_the_same_is_not_told_that_it_arrived(house: House, vera: Client) -> None:
    one = Camera(vera, house.vault, "DSC_0001.NEF", b"A" * 25)
    two = Camera(vera, house.vault, "DSC_0001.NEF", b"A" * 10 + b"B" * 15)
    one.send(0), one.send(1)
    answer = two.send(2, whole=two.whole)
    assert answer.status_code == 400 and "changed while it was sent" in answer.json()["error"]
    assert stored(house.vault) == {}


def test_the_same_bytes_sent_again_are_here_already_under_the_name_they_have(house: House, vera: Client) -> None:
    other = Camera(vera, house.vault, "a.jpg", b"other")
    other.send_all()
    camera = Camera(vera, house.vault, "a.jpg", b"x" * 25)
    assert camera.send_all() == "a (2).jpg"
    again = Camera(vera, house.vault, "a.jpg", b"x" * 25)
    assert again.ask()["alike"] == [{"name": "a (2).jpg", "digest": again.whole}]
    assert [again.send(number).status_code for number in range(3)] == [200] * 3, "also for one that did not look"
    assert again.finish().json() == {"name": "a (2).jpg", "already": True}
    assert sorted(stored(house.vault)) == ["a (2).jpg", "a.jpg"]


def test_a_file_that_somebody_changed_on_the_server_is_not_the_one_that_arrived(house: House, vera: Client) -> None:
    camera = Camera(vera, house.vault, "a.jpg", b"x" * 25)
    camera.send_all()
    (upload_folder(house.vault) / "a.jpg").write_bytes(b"y" * 25)
    assert camera.ask()["alike"] == []
    assert camera.send_all() == "a (2).jpg"


def test_a_file_that_was_removed_from_the_server_arrives_again(house: House, vera: Client) -> None:
    camera = Camera(vera, house.vault, "a.jpg", b"x" * 25)
    camera.send_all()
    (upload_folder(house.vault) / "a.jpg").unlink()
    assert camera.send_all() == "a.jpg"


def test_a_piece_that_was_damaged_on_its_way_is_asked_for_again(house: House, vera: Client) -> None:
    camera = Camera(vera, house.vault, "a", b"x" * 25)
    answer = camera.post(b"xxxxxxxxxy", offset=0, digest=hashlib.sha256(camera.pieces[0]).hexdigest())
    assert answer.status_code == 422
    assert camera.ask()["digests"] == []
    camera.send_all()
    assert stored(house.vault) == {"a": camera.content}


def test_after_a_reload_the_server_says_what_it_has(house: House, vera: Client) -> None:
    camera = Camera(vera, house.vault, "a.jpg", os.urandom(25))
    camera.send(0)
    assert camera.ask()["digests"] == [hashlib.sha256(camera.pieces[0]).hexdigest()]
    again = camera.send(0)
    assert (again.status_code, again.json()) == (409, {"offset": PIECE})
    early = camera.finish()
    assert (early.status_code, early.json()) == (409, {"offset": PIECE}), "not whole yet"


def test_bytes_whose_digest_was_not_written_before_the_crash_are_asked_for_again(house: House, vera: Client) -> None:
    camera = Camera(vera, house.vault, "a.jpg", os.urandom(25))
    camera.send(0), camera.send(1)
    (digests,) = parts.unfinished_folder().glob("*/*.digests")
    digests.write_bytes(digests.read_bytes()[:40])
    assert len(camera.ask()["digests"]) == 1
    (part,) = (path for path in parts.unfinished_folder().glob("*/*") if path.suffix != ".digests")
    part.write_bytes(part.read_bytes()[:5])
    assert camera.ask()["digests"] == [], "nor are digests believed whose bytes are gone"
    assert camera.send_all() == "a.jpg"
    assert stored(house.vault) == {"a.jpg": camera.content}


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("moment", ["_place", "_sync", "_identity", "part.remove"])
def test_killed_while_it_gets_its_name_a_file_is_neither_lost_nor_twice(
    house: House, vera: Client, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    camera = Camera(vera, house.vault, "a.jpg", os.urandom(25))
    for number in range(3):
        camera.send(number)
    place: tuple[Any, str] = (parts.Part, "remove") if moment == "part.remove" else (arrivals, moment)

    def die(*args: Any, **kwargs: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(*place, die)
        with pytest.raises(Killed):
            camera.finish()
    assert camera.finish().json()["name"] == "a.jpg"
    assert stored(house.vault) == {"a.jpg": camera.content}
    assert UploadedFile.unscoped.get().arrived_at is not None


def test_without_hard_links_nothing_is_overwritten_either(
    house: House, vera: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    hit: list[str] = []

    def refuse(source: Path, target: Path, **kwargs: Any) -> None:
        hit.append(target.name)
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(arrivals.os, "link", refuse)
    for content in (b"one", b"two"):
        Camera(vera, house.vault, "a.jpg", content).send_all()
    assert hit == ["a.jpg", "a (2).jpg"]
    assert stored(house.vault) == {"a.jpg": b"one", "a (2).jpg": b"two"}


def kept(vault: Vault) -> tuple[int, int, int, int]:
    """Return how many files were uploaded, wait for a backup, are in one that is not safe, are safe."""
    found = uploads_kept(vault)
    return found.total, found.waiting, found.unproved, found.safe


def test_arrived_is_not_called_safe_before_a_backup_that_found_it_is(
    house: House, vera: Client, clock: ManualClock
) -> None:
    """People format their cards after reading this page."""
    vault = house.vault
    camera = Camera(vera, vault, "a.jpg", b"x" * 25)
    camera.send_all()
    assert kept(vault) == (1, 1, 0, 0)
    assert "Keep your cards" in vera.get(f"/vaults/{vault.pk}/upload/kept/").content.decode()
    job = Job.unscoped.create(
        kind=Job.Kind.BACKUP, organisation=vault.organisation, vault=vault, created_at=clock.utcnow(),
        run_after=clock.utcnow(),
    )  # fmt: skip
    uploads_listed(vault, job)
    Camera(vera, vault, "late.jpg", b"y").send_all()
    Camera(vera, vault, "unreadable.jpg", b"z").send_all()
    uploads_stored(acknowledged_snapshot(vault, clock), job, unread=(), altered=())
    assert kept(vault) == (3, 2, 0, 1), "what arrived while it ran may have been missed"
    uploads_listed(vault, job)
    snapshot = acknowledged_snapshot(vault, clock)
    snapshot.acknowledged_at = None
    snapshot.save()
    uploads_stored(snapshot, job, unread={str(upload_folder(vault) / "unreadable.jpg")}, altered=())
    assert kept(vault) == (3, 1, 1, 1)


def test_what_lies_below_a_folder_that_could_not_be_read_is_not_called_backed_up(
    house: House, vera: Client, clock: ManualClock
) -> None:
    """burp #630: what a backup never held was told by nobody. A disk that fails at a folder names only the folder."""
    Camera(vera, house.vault, "day one/late/a.jpg", b"x" * 25).send_all()
    Camera(vera, house.vault, "day two/b.jpg", b"y").send_all()
    uploads_listed(house.vault, house.running)
    folder = str(upload_folder(house.vault) / "day one")
    uploads_stored(acknowledged_snapshot(house.vault, clock), house.running, unread={folder}, altered=())
    assert kept(house.vault) == (2, 1, 0, 1)


def test_what_a_pattern_leaves_out_is_not_called_backed_up(house: House, vera: Client, clock: ManualClock) -> None:
    Camera(vera, house.vault, "day/a.jpg", b"x" * 25).send_all()
    Source.unscoped.filter(vault=house.vault, path=str(upload_folder(house.vault))).update(excludes=["day"])
    uploads_listed(house.vault, house.running)
    uploads_stored(acknowledged_snapshot(house.vault, clock), house.running, unread=(), altered=())
    assert kept(house.vault) == (1, 1, 0, 0)


def test_a_file_that_was_removed_before_any_backup_is_not_called_safe(
    house: House, vera: Client, clock: ManualClock
) -> None:
    """Here, by hand: taken from the server's folder before the first backup, it was "safe"."""
    Camera(vera, house.vault, "a.jpg", b"a").send_all()
    Camera(vera, house.vault, "removed.jpg", b"r").send_all()
    (upload_folder(house.vault) / "removed.jpg").unlink()
    uploads_listed(house.vault, house.running)
    uploads_stored(acknowledged_snapshot(house.vault, clock), house.running, unread=(), altered=())
    assert kept(house.vault) == (2, 1, 0, 1)


def test_an_empty_file_arrives(house: House, vera: Client) -> None:
    assert Camera(vera, house.vault, "empty.txt", b"").finish().json() == {"name": "empty.txt", "already": False}
    assert stored(house.vault) == {"empty.txt": b""}


def test_a_file_in_a_folder_of_another_files_name_is_refused_in_words(house: House, vera: Client) -> None:
    Camera(vera, house.vault, "day", b"a file").send_all()
    camera = Camera(vera, house.vault, "day/a.jpg", b"in a folder")
    camera.send(0)
    answer = camera.send(1, whole=camera.whole)
    assert answer.status_code == 400 and "Rename the folder" in answer.json()["error"]


@pytest.mark.parametrize(
    "name",
    [
        "../x", "a/../../x", "..", ".", "", "/", "a\\b.jpg", "..\\x", ".ssh/authorized_keys", ".hidden",
        "a\nb.jpg", "a\x00b", "photo\u202egpj.exe", "a\u200b.jpg", "\udcff.jpg", "n" * 241, "é" * 121,
        "d/" * 21 + "x", "x" * 2001,
    ],
)  # fmt: skip
def test_a_hostile_name_is_refused_in_words(name: str) -> None:
    with pytest.raises(UploadRefused) as refusal:
        safe_name(name)
    assert str(refusal.value).isprintable() and str(refusal.value).endswith(".")


@pytest.mark.parametrize("name", ["Straße und Café.jpg", "日本/写真.jpg", "a b (1).tar.gz", "😀.jpg", "n" * 240])
def test_a_harmless_name_is_kept(name: str) -> None:
    assert safe_name(name) == name


def test_a_hostile_name_leaves_nothing_behind(house: House, vera: Client, home: Path) -> None:
    answer = Camera(vera, house.vault, "../../x", b"abc").send(0)
    assert answer.status_code == 400
    assert "leads out of its folder" in answer.json()["error"]
    assert not (home / "uploads").exists()


def test_a_link_put_in_the_way_is_not_followed(house: House, vera: Client, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("precious")
    folder = upload_folder(house.vault)
    folder.mkdir(parents=True)
    (folder / "a.txt").symlink_to(outside)
    assert Camera(vera, house.vault, "a.txt", b"evil").send_all() == "a (2).txt"
    assert outside.read_text() == "precious"


@pytest.mark.parametrize(
    "words",
    [
        {"offset": -1},
        {"offset": 1},
        {"size": 2},
        {"size": -1},
        {"size": 6 * 1024**4},
        {"digest": "abc"},
        {"first": "no"},
    ],
)
def test_a_piece_that_does_not_fit_is_refused(house: House, vera: Client, words: dict[str, Any]) -> None:
    camera = Camera(vera, house.vault, "a", b"abc")
    asked = {**camera.claim, "offset": 0, "digest": hashlib.sha256(b"abc").hexdigest()} | words
    answer = vera.post(f"{camera.url}?{urlencode(asked)}", b"abc", content_type="application/octet-stream")
    assert answer.status_code in {400, 409}
    assert stored(house.vault) == {}


def test_a_full_disk_is_said_in_words_and_what_arrived_is_kept(
    house: House, vera: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = Camera(vera, house.vault, "a", b"x" * 15)
    camera.send(0)
    hit: list[int] = []

    def full(*args: object) -> None:
        hit.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(parts.os, "fdatasync", full)
        answer = camera.send(1)
    assert hit and answer.status_code == 400
    assert "disk for uploads is full" in answer.json()["error"]
    assert camera.send(1).json() == {"offset": 15}


def test_the_disks_reserve_is_not_for_uploads(house: House, vera: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def nearly_full(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=arrivals.RESERVE_BYTES + 2)

    monkeypatch.setattr(arrivals.shutil, "disk_usage", nearly_full)
    answer = Camera(vera, house.vault, "a", b"123").send(0)
    assert asked and answer.status_code == 400
    assert "nearly full: the last 2.0 GB are kept free. Tell an admin" in answer.json()["error"]
    assert Camera(vera, house.vault, "a", b"12").send(0).json() == {"offset": 2}


def unfinished(home: Path) -> list[Path]:
    found = (home / "uploads" / "unfinished").glob("*/*")
    return [path for path in found if path.suffix != ".digests"]


def grow_old(home: Path, clock: ManualClock, seconds: float) -> None:
    """Let all parts have got their last piece so long ago."""
    for part in unfinished(home):
        at = clock.utcnow().timestamp() - seconds
        os.utime(part, (at, at))


def test_what_nobody_went_on_with_for_a_week_is_cleared(
    house: House, vera: Client, home: Path, clock: ManualClock
) -> None:
    assert unfinished_clear(clock=clock) == 0, "nothing was ever uploaded"
    Camera(vera, house.vault, "a", b"x" * 15).send(0)
    grow_old(home, clock, parts.UNFINISHED_KEPT.total_seconds() - 1)
    assert unfinished_clear(clock=clock) == 0
    clock.advance(2)
    assert unfinished_clear(clock=clock) == 1
    assert not any((home / "uploads" / "unfinished").glob("*/*"))
    late = Camera(vera, house.vault, "a", b"x" * 15).send(1)
    assert (late.status_code, late.json()) == (409, {"offset": 0}), "the browser begins again"


def test_a_piece_that_arrives_while_its_part_is_cleared_is_not_lost_unnoticed(
    house: House, vera: Client, home: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    Camera(vera, house.vault, "a", b"x" * 15).send(0)
    grow_old(home, clock, parts.UNFINISHED_KEPT.total_seconds() + 1)
    cleared: list[int] = []
    lock = parts.fcntl.flock

    def cleared_before_locked(stream: Any, how: int) -> None:
        if not cleared:
            cleared.append(0)
            cleared[0] = unfinished_clear(clock=clock)
        lock(stream, how)

    with monkeypatch.context() as patch:
        patch.setattr(parts.fcntl, "flock", cleared_before_locked)
        answer = Camera(vera, house.vault, "a", b"x" * 15).send(1)
    assert cleared == [1]
    assert (answer.status_code, answer.json()) == (409, {"offset": 0})


def test_a_part_that_a_piece_is_written_to_is_left_alone(
    house: House, vera: Client, home: Path, clock: ManualClock
) -> None:
    Camera(vera, house.vault, "a", b"x" * 15).send(0)
    grow_old(home, clock, parts.UNFINISHED_KEPT.total_seconds() + 1)
    (part,) = unfinished(home)
    with part.open("r+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert unfinished_clear(clock=clock) == 0
    assert part.read_bytes() == b"x" * PIECE


def test_a_foreign_vendor_can_send_nothing(house: House, carl: Client) -> None:
    assert Camera(carl, house.vault, "a", b"abc").send(0).status_code == 404
    assert not upload_folder(house.vault).exists()
