from __future__ import annotations

import os
import queue
from pathlib import Path

import pytest

from backups.engine.backup import filereader
from backups.engine.backup.blobwriter import BlobWriter
from backups.engine.backup.board import Board
from backups.engine.backup.chunker import Chunker
from backups.engine.backup.claims import LocalClaims
from backups.engine.backup.fanout import FanOut
from backups.engine.backup.filereader import READINGS_MAX, FileReader, ReadFile
from backups.engine.backup.messages import Trouble
from backups.engine.format import BLOB_MAX_BYTES, BlobType
from backups.engine.format.crypto import MasterKey
from backups.engine.format.tree import Node, decode_tree, encode_tree


class Desk:
    """A reader whose blobs are kept as plain text, and a folder to read from."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.blobs: dict[bytes, bytes] = {}
        honest = BlobWriter.store

        def keep(writer: BlobWriter, plain: bytes, *, compressible: bool = True) -> bytes:
            blob_id = honest(writer, plain, compressible=compressible)
            self.blobs[blob_id] = bytes(plain)
            return blob_id

        monkeypatch.setattr(BlobWriter, "store", keep)
        key, report = MasterKey.random(), queue.SimpleQueue[object]().put
        fan_out = FanOut((), "", Board(), report, open_packs=2)
        writer = BlobWriter(key, BlobType.DATA, LocalClaims(set()), fan_out, report, 3)
        self.pauses: list[int] = []
        self.reader = FileReader(writer, Chunker(12345), self.pauses.append)

    def read(self, name: str) -> ReadFile:
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            return self.reader.read(fd, os.fsencode(name))
        finally:
            os.close(fd)

    def stored(self, file: ReadFile) -> tuple[Node, bytes]:
        assert file.node is not None
        (node,) = decode_tree(encode_tree([file.node]))
        return node, b"".join(self.blobs[blob] for blob in node.content)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def change_after_reads(desk: Desk, monkeypatch: pytest.MonkeyPatch, times: int, content: bytes) -> list[int]:
    """Let another program write the file while it is read, `times` times; return the list of its hits."""
    honest = os.read
    hits: list[int] = []

    def reading(fd: int, count: int) -> bytes:
        found = honest(fd, count)
        if len(hits) < times:
            hits.append(fd)
            (desk.folder / "a.txt").write_bytes(content)
            os.utime(desk.folder / "a.txt", ns=(len(hits), len(hits)))
        return found

    monkeypatch.setattr(os, "read", reading)
    return hits


def test_a_file_that_changes_once_is_read_again_and_stored_as_it_then_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.folder / "a.txt").write_bytes(b"old state")
    hits = change_after_reads(desk, monkeypatch, 1, b"new state")
    file = desk.read("a.txt")
    assert hits and not file.problem
    assert desk.stored(file)[1] == b"new state"


def test_a_file_that_never_holds_still_is_stored_and_marked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.folder / "a.txt").write_bytes(b"state")
    hits = change_after_reads(desk, monkeypatch, 100, b"STATE")
    file = desk.read("a.txt")
    assert len(hits) == READINGS_MAX == 2, "here: each growing file was read and stored four times"
    assert file.problem == (b"a.txt", "it changed during each of 2 readings", Trouble.UNSTABLE)
    assert desk.stored(file)[1] == b"STATE"


@pytest.mark.parametrize("now", [b"", b"short", b"much longer than it was before"])
def test_a_file_that_grows_or_shrinks_meanwhile_is_never_stored_torn(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, now: bytes
) -> None:
    (desk.folder / "a.txt").write_bytes(b"ten bytes!")
    hits = change_after_reads(desk, monkeypatch, 1, now)
    file = desk.read("a.txt")
    node, content = desk.stored(file)
    assert hits and not file.problem and (content, node.size) == (now, len(now))


def test_a_long_file_that_is_written_meanwhile_is_marked_and_its_size_is_what_was_stored(desk: Desk) -> None:
    path = desk.folder / "film.mov"
    path.write_bytes(os.urandom(9_000_000))

    def append(_: int) -> None:
        with open(path, "ab") as film:
            film.write(b"one more frame")

    desk.reader = FileReader(desk.reader._writer, Chunker(12345), append)
    file = desk.read("film.mov")
    node, content = desk.stored(file)
    assert (
        file.problem and file.problem.kind is Trouble.UNSTABLE and node.size == len(content) == file.size >= 9_000_000
    )


def test_a_vanished_file_is_no_problem(desk: Desk) -> None:
    file = desk.read("gone.txt")
    assert file.node is None and file.vanished and file.problem is None


def test_neither_a_link_nor_a_pipe_that_took_a_files_place_is_read(desk: Desk) -> None:
    (desk.folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(desk.folder / "pipe")
    assert desk.read("link").problem == (b"link", "Too many levels of symbolic links", Trouble.UNREAD)
    assert desk.read("pipe").problem == (b"pipe", "it became something else than a file", Trouble.UNREAD)


def test_a_disk_error_in_the_middle_makes_the_file_unreadable(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.folder / "film.mov").write_bytes(bytes(5_000_000))
    honest = os.readv
    hits = []

    def failing(fd: int, buffers: list[memoryview]) -> int:
        hits.append(fd)
        if len(hits) > 1:
            raise OSError(5, "Input/output error")
        return honest(fd, buffers)

    monkeypatch.setattr(os, "readv", failing)
    file = desk.read("film.mov")
    assert hits and file.node is None and file.problem == (b"film.mov", "Input/output error", Trouble.UNREAD)


@pytest.mark.parametrize("size", [0, 1, 512 * 1024, 512 * 1024 + 1, 24 * 1024**2, 24 * 1024**2 + 1, 70_000_001])
def test_any_length_is_stored_whole_in_blobs_of_bounded_size(desk: Desk, size: int) -> None:
    content = os.urandom(1 << 20) * (size // (1 << 20) + 1)
    (desk.folder / "a.raw").write_bytes(content[:size])
    node, stored = desk.stored(desk.read("a.raw"))
    assert stored == content[:size] and node.size == size
    assert all(0 < len(desk.blobs[blob]) <= BLOB_MAX_BYTES for blob in node.content)


def test_a_window_end_does_not_move_the_cuts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the same file would be cut differently after an insertion, and nothing deduplicated."""
    (desk.folder / "a.raw").write_bytes(os.urandom(60_000_000))
    node, _ = desk.stored(desk.read("a.raw"))
    monkeypatch.setattr(filereader, "WINDOW_BYTES", 80 * 1024**2)
    desk.reader = FileReader(desk.reader._writer, Chunker(12345), desk.pauses.append)
    assert desk.stored(desk.read("a.raw"))[0].content == node.content


def test_a_file_whose_access_time_we_may_not_leave_alone_is_read_nevertheless(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = os.open
    refused = []

    def strict(path: object, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_NOATIME:
            refused.append(path)
            raise PermissionError(1, "Operation not permitted")
        return honest(path, flags, mode, dir_fd=dir_fd)  # type: ignore[arg-type]

    (desk.folder / "theirs.txt").write_bytes(b"not ours")
    monkeypatch.setattr(os, "open", strict)
    assert desk.stored(desk.read("theirs.txt"))[1] == b"not ours" and refused
