"""A database that a program has open comes back with all that was committed, and nothing is written beside it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from backups.engine.backup import databases, filereader
from tests.backups.engine.backing import Studio


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def catalogue(path: Path, mode: str = "WAL") -> sqlite3.Connection:
    """A catalogue that is open, with 500 edits committed: `total` counts them, the rows' ratings must add up to it."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(f"PRAGMA journal_mode={mode}")
    database.execute("PRAGMA wal_autocheckpoint=0")
    database.execute("CREATE TABLE photo (id INTEGER PRIMARY KEY, rating INTEGER, noise BLOB)")
    database.execute("CREATE TABLE total (edits INTEGER)")
    database.execute("INSERT INTO total VALUES (0)")
    rows = [(number, 0, os.urandom(400)) for number in range(3000)]
    database.execute("BEGIN")
    database.executemany("INSERT INTO photo VALUES (?, ?, ?)", rows)
    database.execute("COMMIT")
    edit(database, 500)
    return database


def edit(database: sqlite3.Connection, times: int) -> None:
    for number in range(times):
        database.execute("BEGIN")
        database.execute("UPDATE photo SET rating = rating + 1 WHERE id = ?", (number * 7 % 3000,))
        database.execute("UPDATE total SET edits = edits + 1")
        database.execute("COMMIT")


def edits_in(content: bytes, tmp_path: Path) -> int:
    """Return how many edits a restored catalogue holds; its own count and its rows must agree."""
    path = tmp_path / "restored.lrcat"
    path.write_bytes(content)
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    (edits,), (ratings,) = (
        database.execute(query).fetchone() for query in ("SELECT edits FROM total", "SELECT sum(rating) FROM photo")
    )
    database.close()
    path.unlink()
    assert edits == ratings
    return int(edits)


def test_a_catalogue_edited_between_its_files_comes_back_with_all_edits(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """darktable #10559: read as two files, the copy held 10 of 1,010 edits, and its integrity was "ok"."""
    database = catalogue(studio.source / "cat.lrcat")
    hits: list[bytes] = []

    def hooked(module: object) -> None:
        honest = module.open_file  # type: ignore[attr-defined]

        def opening(folder_fd: int, name: bytes) -> int:
            if name.endswith(b"-wal") and not hits:
                hits.append(name)
                edit(database, 500)
                database.execute("PRAGMA wal_checkpoint(RESTART)")
                edit(database, 10)
            return int(honest(folder_fd, name))

        monkeypatch.setattr(module, "open_file", opening)

    hooked(databases)
    hooked(filereader)
    result = studio.backup()
    read = studio.read_back(result)
    assert hits and not result.unstable
    assert set(read) == {"cat.lrcat"} and edits_in(read["cat.lrcat"], tmp_path) in (500, 1010)
    result = studio.backup()
    assert edits_in(studio.read_back(result)["cat.lrcat"], tmp_path) == 1010
    database.close()


def test_new_edits_in_the_log_alone_are_seen_by_the_next_backup(studio: Studio, tmp_path: Path) -> None:
    database = catalogue(studio.source / "cat.lrcat")
    studio.backup()
    before = (studio.source / "cat.lrcat").stat()
    edit(database, 5)
    assert (studio.source / "cat.lrcat").stat().st_mtime_ns == before.st_mtime_ns
    assert edits_in(studio.read_back(studio.backup())["cat.lrcat"], tmp_path) == 505
    database.close()


def test_an_open_catalogue_that_nobody_edits_is_not_copied_again(studio: Studio, tmp_path: Path) -> None:
    database = catalogue(studio.source / "cat.lrcat")
    (studio.source / "sub").mkdir()
    studio.backup()
    assert studio.backup().bytes_read == 0
    (studio.source / "sub" / "new.jpg").write_bytes(b"n")
    result = studio.backup()
    assert result.bytes_read == 1 and set(studio.read_back(result)) == {"cat.lrcat", "sub/new.jpg"}
    assert edits_in(studio.read_back(result)["cat.lrcat"], tmp_path) == 500
    studio.check()
    database.close()


def test_nothing_is_written_into_the_folder_of_a_catalogue(studio: Studio) -> None:
    database = catalogue(studio.source / "cat.lrcat")
    edit(database, 1)
    os.link(studio.source / "cat.lrcat-wal", studio.source.parent / "kept-wal")
    database.close()  # removes the log; the link stands for a program that was killed
    os.rename(studio.source.parent / "kept-wal", studio.source / "cat.lrcat-wal")
    state = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in studio.source.iterdir()}
    studio.backup()
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in studio.source.iterdir()} == state


def test_a_transaction_that_was_cut_off_is_undone_in_the_copy(studio: Studio, tmp_path: Path) -> None:
    database = catalogue(studio.source / "cat.lrcat", mode="DELETE")
    database.execute("PRAGMA cache_spill=1")
    database.execute("PRAGMA cache_size=5")
    database.execute("BEGIN")
    database.execute("UPDATE photo SET rating = rating + 1, noise = randomblob(400)")  # spills into the main file
    assert (studio.source / "cat.lrcat-journal").stat().st_size
    read = studio.read_back(studio.backup())
    assert set(read) == {"cat.lrcat"} and edits_in(read["cat.lrcat"], tmp_path) == 500
    database.execute("ROLLBACK")
    database.close()


def test_a_catalogue_that_is_never_at_rest_is_stored_and_named(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    database = catalogue(studio.source / "cat.lrcat")
    honest = databases._copy_file
    hits = []

    def disturbed(fd: int, copy: bytes, pause: object) -> None:
        honest(fd, copy, pause)  # type: ignore[arg-type]
        hits.append(copy)
        edit(database, 1)
        database.execute("PRAGMA wal_checkpoint(RESTART)")

    monkeypatch.setattr(databases, "_copy_file", disturbed)
    result = studio.backup()
    assert len(hits) >= databases.COPIES_MAX and "cat.lrcat" in studio.read_back(result)
    assert [path for path, _ in result.unstable] == [f"{studio.source}/cat.lrcat"]
    database.close()


def test_a_file_that_only_looks_like_a_log_is_stored(studio: Studio) -> None:
    studio.write({"trip": b"no database", "trip-wal": b"mine", "alone-journal": b"dear diary"})
    assert set(studio.read_back(studio.backup())) == {"trip", "trip-wal", "alone-journal"}


def test_whatever_moment_a_backup_meets_its_copy_holds_whole_edits(studio: Studio, tmp_path: Path) -> None:
    catalogue(studio.source / "cat.lrcat").close()
    writer = (
        "import sqlite3, sys, time\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None); db.execute('PRAGMA wal_autocheckpoint=20')\n"
        "end = time.monotonic() + 6\n"
        "while time.monotonic() < end:\n"
        "    db.execute('BEGIN'); db.execute('UPDATE photo SET rating = rating + 1 WHERE id = abs(random() % 3000)')\n"
        "    db.execute('UPDATE total SET edits = edits + 1'); db.execute('COMMIT'); time.sleep(0.003)\n"
    )
    with subprocess.Popen([sys.executable, "-c", writer, str(studio.source / "cat.lrcat")]) as process:
        seen = []
        while process.poll() is None:
            result = studio.backup()
            if not result.unstable:
                seen.append(edits_in(studio.read_back(result)["cat.lrcat"], tmp_path))
    assert seen == sorted(seen) and seen and seen[-1] > 500
