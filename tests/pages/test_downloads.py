"""Downloads by ranges: never more than 8 MiB at once, every byte where it belongs, nothing for others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.test import AsyncClient, Client

from backups.models import Job, Snapshot, Vault
from backups.services.backups import backup_request
from backups.worker import run_next
from tests.cast import Cast
from tests.pages.conftest import House
from wedbackup.core.ranges import RANGE_BYTES_MAX, wanted_range

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("header", "size", "wanted"),
    [
        ("", 10, (0, 10)),
        ("", 0, (0, 0)),
        ("", RANGE_BYTES_MAX, (0, RANGE_BYTES_MAX)),
        ("", RANGE_BYTES_MAX + 1, None),
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=3-", 10, (3, 7)),
        ("bytes=3-99", 10, (3, 7)),
        ("bytes=-4", 10, (6, 4)),
        ("bytes=-99", 10, (0, 10)),
        ("bytes=0-", 100 * MIB, (0, RANGE_BYTES_MAX)),
        ("bytes=-9999999999", 100 * MIB, (0, RANGE_BYTES_MAX)),
        ("bytes=10-", 10, None),
        ("bytes=5-3", 10, None),
        ("bytes=-", 10, None),
        ("bytes=-0", 10, None),
        ("bytes=0-1,4-5", 10, None),
        ("bytes=x-", 10, None),
        ("pages=1-2", 10, None),
        ("bytes=0-5", 0, None),
    ],
)
def test_a_range_is_cut_to_eight_mebibytes_or_refused(header: str, size: int, wanted: tuple[int, int] | None) -> None:
    assert wanted_range(header, size) == wanted


@pytest.mark.django_db
def test_the_zip_of_a_recovery_comes_in_pieces(house: House, sam: Client, tmp_path: Path) -> None:
    content = os.urandom(RANGE_BYTES_MAX + 1000)
    Path(house.recovery.result["zip"]).write_bytes(content)
    path = f"/jobs/{house.recovery.pk}/zip/"
    first = sam.get(path, headers={"Range": "bytes=0-"})
    assert first.status_code == 206
    assert first["Content-Range"] == f"bytes 0-{RANGE_BYTES_MAX - 1}/{len(content)}"
    rest = sam.get(path, headers={"Range": f"bytes={RANGE_BYTES_MAX}-"})
    assert first.content + rest.content == content
    assert first["ETag"] == rest["ETag"]
    assert sam.head(path)["Content-Length"] == str(len(content))


@pytest.mark.django_db
def test_without_a_range_a_large_file_is_refused_with_how_to_ask(house: House, sam: Client) -> None:
    Path(house.recovery.result["zip"]).write_bytes(bytes(RANGE_BYTES_MAX + 1))
    answer = sam.get(f"/jobs/{house.recovery.pk}/zip/")
    assert answer.status_code == 416
    assert answer["Content-Range"] == f"bytes */{RANGE_BYTES_MAX + 1}"
    assert "Range header" in answer.content.decode()


@pytest.mark.django_db
def test_a_zip_that_was_cleared_away_is_not_there(house: House, sam: Client) -> None:
    Path(house.recovery.result["zip"]).unlink()
    assert sam.get(f"/jobs/{house.recovery.pk}/zip/").status_code == 404


@pytest.fixture
def backed_up(vault: Vault, photos: Path) -> Snapshot:
    """A real snapshot of the photos, with a name in it that could mislead."""
    (photos / "ceremony" / "evil\n\u202egpj.exe").write_bytes(b"x")
    (photos / "empty.txt").write_bytes(b"")
    (job,) = backup_request(vault=vault, reason="test")
    run_next("test", job)
    job.refresh_from_db()
    assert job.state in {"completed", "degraded"}, job.message
    return Snapshot.unscoped.get(vault=vault)


@pytest.mark.django_db(transaction=True)
def test_a_snapshots_folders_can_be_opened_and_hostile_names_are_shown_harmless(
    backed_up: Snapshot, vera: Client
) -> None:
    root = vera.get(f"/snapshots/{backed_up.pk}/").content.decode()
    assert "film.mp4" in root and "ceremony" in root
    folder = vera.get(f"/snapshots/{backed_up.pk}/", {"path": "ceremony"}).content.decode()
    assert "IMG_0003.jpg" in folder
    assert "evil\\u000a\\u202egpj.exe" in folder
    assert "\u202e" not in folder


@pytest.mark.django_db(transaction=True)
def test_a_file_of_a_snapshot_comes_back_byte_by_byte(backed_up: Snapshot, vera: Client, photos: Path) -> None:
    content = (photos / "film.mp4").read_bytes()
    path = f"/snapshots/{backed_up.pk}/file/"
    whole = vera.get(path, {"path": "film.mp4"})
    part = vera.get(path, {"path": "film.mp4"}, headers={"Range": "bytes=1234567-2345678"})
    assert whole.status_code == 200 and whole.content == content
    assert part.status_code == 206 and part.content == content[1234567:2345679]
    assert vera.get(path, {"path": "empty.txt"}).content == b""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["nothing.jpg", "ceremony", "../../etc/passwd", "", "film.mp4/x"])
def test_what_is_no_file_of_the_snapshot_is_not_there(backed_up: Snapshot, vera: Client, path: str) -> None:
    assert vera.get(f"/snapshots/{backed_up.pk}/file/", {"path": path}).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_no_answer_from_any_copy_is_said_to_a_vendor_without_details(
    backed_up: Snapshot, vera: Client, tmp_path: Path
) -> None:
    for name in ("attic", "bank", "cloud"):
        (tmp_path / name).rename(tmp_path / f"{name}-gone")
    page = vera.get(f"/snapshots/{backed_up.pk}/").content.decode()
    assert "cannot be listed at the moment" in page
    assert str(tmp_path) not in page
    assert vera.get(f"/snapshots/{backed_up.pk}/file/", {"path": "film.mp4"}).status_code == 503


@pytest.mark.django_db(transaction=True)
@pytest.mark.asyncio
async def test_under_asgi_a_piece_is_sent_without_blocking_threads(house: House, cast: Cast) -> None:
    client = AsyncClient()
    await client.aforce_login(cast.sam)
    job = await Job.unscoped.aget(pk=house.recovery.pk)
    answer = await client.get(f"/jobs/{job.pk}/zip/", headers={"Range": "bytes=10-19"})
    assert answer.status_code == 206
    assert answer.content == Path(job.result["zip"]).read_bytes()[10:20]
