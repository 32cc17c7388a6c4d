"""What patterns would leave out is counted and shown before anybody saves them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from backups.engine.backup import preview as previews
from backups.engine.backup.preview import preview
from backups.engine.backup.run import SourceFolder
from tests.backups.engine.backing import Studio


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    studio = Studio(tmp_path)
    studio.write({f"{number}.jpg": b"jpeg" for number in range(6)})
    studio.write({"cache/a.jpg": b"12", "cache/deep/b.tmp": b"3", "notes.txt": b"hello", "x.tmp": b"4"})
    return studio


def test_the_preview_tells_what_the_backup_then_leaves_out(studio: Studio) -> None:
    patterns = ("*.tmp", "cache/", "*.nef")

    seen = preview(str(studio.source), patterns)

    assert [(one.pattern, one.files, one.size_bytes) for one in seen.patterns] == [
        ("*.tmp", 1, 1), ("cache/", 2, 3), ("*.nef", 0, 0)
    ]  # fmt: skip
    assert seen.complete and seen.files == 10 and not seen.leaves_out_most
    assert sorted(seen.patterns[1].examples) == ["cache/a.jpg", "cache/deep/b.tmp"]
    result = studio.backup(sources=(SourceFolder(str(studio.source), patterns),))
    assert result.files_total == seen.files - seen.left_out


def test_leaving_out_most_is_noticed_by_files_and_by_bytes(studio: Studio) -> None:
    assert preview(str(studio.source), ("*.jpg",)).leaves_out_most
    studio.write({"film.mp4": bytes(1000)})
    assert preview(str(studio.source), ("*.mp4",)).leaves_out_most


def test_it_looks_no_longer_than_a_person_waits(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder on a dead network drive never answers."""
    released, asked = threading.Event(), threading.Event()
    honest = os.scandir

    def hang(path: bytes) -> object:
        asked.set()
        released.wait(30)
        return honest(path)

    monkeypatch.setattr("backups.engine.backup.preview.os.scandir", hang)
    seen = preview(str(studio.source), ("*.jpg",), seconds=0.1)
    released.set()
    assert asked.is_set() and not seen.complete


def test_it_stops_at_a_number_of_entries(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "ENTRIES_MAX", 3)
    assert not preview(str(studio.source), ("*.jpg",)).complete
