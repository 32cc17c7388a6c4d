"""Uploads: pieces of at most 8 MiB, resumed where they stopped, hostile names refused, nothing overwritten."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from backups.models import Source, Vault
from backups.services import uploads
from backups.services.uploads import UploadRefused, safe_name, unfinished_clear, upload_folder, upload_piece
from tests.pages.conftest import House
from wedbackup.core.clock import ManualClock

pytestmark = pytest.mark.django_db


def send(client: Client, vault: Vault, name: str, content: bytes, *, offset: int, size: int) -> Any:
    query = urlencode({"name": name, "size": size, "offset": offset})
    return client.post(f"/vaults/{vault.pk}/upload/pieces/?{query}", content, content_type="application/octet-stream")


def test_pieces_become_the_file_and_its_folder_a_source(house: House, vera: Client) -> None:
    content = os.urandom(300_000)
    for offset in range(0, 300_000, 100_000):
        answer = send(vera, house.vault, "day/a.jpg", content[offset : offset + 100_000], offset=offset, size=300_000)
        assert answer.json() == {"offset": offset + 100_000}
    stored = upload_folder(house.vault) / "day" / "a.jpg"
    assert stored.read_bytes() == content
    assert stored.stat().st_mode & 0o077 == 0
    assert Source.unscoped.filter(vault=house.vault, path=str(upload_folder(house.vault))).count() == 1


def test_an_unfinished_file_is_in_no_source(house: House, vera: Client) -> None:
    send(vera, house.vault, "a.jpg", b"12345", offset=0, size=10)
    folder = upload_folder(house.vault)
    assert not folder.exists() or [*folder.rglob("*")] == []


def test_after_a_reload_the_server_says_where_to_go_on(house: House, vera: Client) -> None:
    send(vera, house.vault, "a.jpg", b"12345", offset=0, size=10)
    address = f"/vaults/{house.vault.pk}/upload/pieces/"
    assert vera.get(address, {"name": "a.jpg", "size": "10"}).json() == {"offset": 5}
    again = send(vera, house.vault, "a.jpg", b"12345", offset=0, size=10)
    assert (again.status_code, again.json()) == (409, {"offset": 5})
    send(vera, house.vault, "a.jpg", b"67890", offset=5, size=10)
    assert (upload_folder(house.vault) / "a.jpg").read_bytes() == b"1234567890"
    assert vera.get(address, {"name": "a.jpg", "size": "10"}).json() == {"offset": 10}


def test_another_file_of_the_same_name_overwrites_nothing(house: House, vera: Client) -> None:
    send(vera, house.vault, "a.jpg", b"old", offset=0, size=3)
    send(vera, house.vault, "a.jpg", b"other", offset=0, size=5)
    folder = upload_folder(house.vault)
    assert (folder / "a.jpg").read_bytes() == b"old"
    assert (folder / "a (2).jpg").read_bytes() == b"other"


def test_an_empty_file_arrives(house: House, vera: Client) -> None:
    assert send(vera, house.vault, "empty.txt", b"", offset=0, size=0).json() == {"offset": 0}
    assert (upload_folder(house.vault) / "empty.txt").read_bytes() == b""


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
    answer = send(vera, house.vault, "../../x", b"abc", offset=0, size=3)
    assert answer.status_code == 400
    assert "leads out of its folder" in answer.json()["error"]
    assert not (home / "uploads").exists()


def test_a_link_put_in_the_way_is_not_followed(house: House, vera: Client, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("precious")
    folder = upload_folder(house.vault)
    folder.mkdir(parents=True)
    (folder / "a.txt").symlink_to(outside)
    send(vera, house.vault, "a.txt", b"evil", offset=0, size=4)
    assert outside.read_text() == "precious"
    assert (folder / "a (2).txt").read_bytes() == b"evil"


@pytest.mark.parametrize(("offset", "size"), [(0, 2), (-1, 5), (0, -1), (0, 6 * 1024**4)])
def test_a_piece_that_does_not_fit_is_refused(house: House, vera: Client, offset: int, size: int) -> None:
    assert send(vera, house.vault, "a", b"abc", offset=offset, size=size).status_code in {400, 409}


def test_more_than_eight_mebibytes_at_once_are_refused(house: House) -> None:
    size = uploads.PIECE_BYTES_MAX + 1
    with pytest.raises(UploadRefused):
        upload_piece(house.vault, "a", size_bytes=size, offset=0, piece=bytes(size))


def test_a_full_disk_is_said_in_words_and_what_arrived_is_kept(
    house: House, vera: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(vera, house.vault, "a", b"123", offset=0, size=6)

    def full(*args: object, **kwargs: object) -> None:
        hit.append(1)
        raise OSError(28, "No space left on device")

    hit: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(uploads, "_append", full)
        answer = send(vera, house.vault, "a", b"456", offset=3, size=6)
    assert hit and answer.status_code == 400
    assert "disk for uploads is full" in answer.json()["error"]
    assert send(vera, house.vault, "a", b"456", offset=3, size=6).json() == {"offset": 6}


def test_the_disks_reserve_is_not_for_uploads(house: House, vera: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def nearly_full(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=uploads.RESERVE_BYTES + 2)

    with monkeypatch.context() as patch:
        patch.setattr(uploads.shutil, "disk_usage", nearly_full)
        answer = send(vera, house.vault, "a", b"123", offset=0, size=6)
        assert asked and answer.status_code == 400
        assert "nearly full: the last 2.0 GB are kept free. Tell an admin" in answer.json()["error"]
        assert send(vera, house.vault, "a", b"12", offset=0, size=6).json() == {"offset": 2}


def parts(home: Path) -> list[bytes]:
    return [part.read_bytes() for part in (home / "uploads" / "unfinished").glob("*/*")]


def grow_old(home: Path, clock: ManualClock, seconds: float) -> None:
    """Let all parts have got their last piece so long ago."""
    for part in (home / "uploads" / "unfinished").glob("*/*"):
        at = clock.utcnow().timestamp() - seconds
        os.utime(part, (at, at))


def test_what_nobody_went_on_with_for_a_week_is_cleared(
    house: House, vera: Client, home: Path, clock: ManualClock
) -> None:
    assert unfinished_clear(clock=clock) == 0, "nothing was ever uploaded"
    send(vera, house.vault, "a", b"123", offset=0, size=6)
    grow_old(home, clock, uploads.UNFINISHED_KEPT.total_seconds() - 1)
    assert unfinished_clear(clock=clock) == 0
    clock.advance(2)
    assert unfinished_clear(clock=clock) == 1
    assert parts(home) == []
    late = send(vera, house.vault, "a", b"456", offset=3, size=6)
    assert (late.status_code, late.json()) == (409, {"offset": 0}), "the browser begins again"


def test_a_piece_that_arrives_while_its_part_is_cleared_is_not_lost_unnoticed(
    house: House, vera: Client, home: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(vera, house.vault, "a", b"123", offset=0, size=6)
    grow_old(home, clock, uploads.UNFINISHED_KEPT.total_seconds() + 1)
    cleared: list[int] = []
    lock = uploads.fcntl.flock

    def cleared_before_locked(stream: Any, how: int) -> None:
        if not cleared:
            cleared.append(0)
            cleared[0] = unfinished_clear(clock=clock)
        lock(stream, how)

    with monkeypatch.context() as patch:
        patch.setattr(uploads.fcntl, "flock", cleared_before_locked)
        answer = send(vera, house.vault, "a", b"456", offset=3, size=6)
    assert cleared == [1]
    assert (answer.status_code, answer.json()) == (409, {"offset": 0})


def test_a_part_that_a_piece_is_written_to_is_left_alone(
    house: House, vera: Client, home: Path, clock: ManualClock
) -> None:
    send(vera, house.vault, "a", b"123", offset=0, size=6)
    grow_old(home, clock, uploads.UNFINISHED_KEPT.total_seconds() + 1)
    (part,) = (home / "uploads" / "unfinished").glob("*/*")
    with part.open("r+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert unfinished_clear(clock=clock) == 0
    assert parts(home) == [b"123"]


def test_a_foreign_vendor_can_send_nothing(house: House, carl: Client) -> None:
    assert send(carl, house.vault, "a", b"abc", offset=0, size=3).status_code == 404
    assert not upload_folder(house.vault).exists()
