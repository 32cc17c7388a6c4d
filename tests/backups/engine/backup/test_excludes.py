from __future__ import annotations

import unicodedata
from typing import Literal

import pytest

from backups.engine.backup.excludes import Excludes, pattern_fault


@pytest.mark.parametrize(
    ("pattern", "left_out", "kept"),
    [
        ("Thumbs.db", b"/photos/Thumbs.db", b"/photos/Thumbs.db.jpg"),
        ("*.tmp", b"/a/b/x.tmp", b"/a/x.tmp.jpg"),
        ("cache/", b"/a/cache", b"/a/cache2"),
        ("/a/cache", b"/a/cache", b"/b/a/cache"),
        ("a?c", b"/x/abc", b"/x/a/c"),
        ("[!a]b", b"/xb", b"/ab"),
        ("[ab]c", b"/bc", b"/cc"),
        ("deep/**/x", b"/deep/1/2/x", b"/deeper/x"),
        ("deep/**/x", b"/deep/x", b"/x"),
        ("a.b", b"/a.b", b"/aXb"),
        ("[", b"/[", b"/]"),
        ("né", "/né".encode(), b"/n\xff"),
    ],
)
def test_patterns_mean_what_people_expect(pattern: str, left_out: bytes, kept: bytes) -> None:
    excludes = Excludes([pattern])
    assert excludes.which(left_out) == pattern and excludes.which(kept) is None


def test_nothing_is_left_out_without_patterns() -> None:
    assert not Excludes([]) and not Excludes(["", "/"]) and Excludes([]).which(b"/a") is None


def test_names_that_are_no_text_are_matched_too() -> None:
    assert Excludes(["*.tmp"]).which(b"/a/\xff\n.tmp") == "*.tmp"


def test_a_mark_stands_for_one_character_and_not_for_one_byte() -> None:
    assert Excludes(["caf?.jpg"]).which("/a/café.jpg".encode()) == "caf?.jpg"
    assert Excludes(["caf[é].jpg"]).which("/a/café.jpg".encode()) == "caf[é].jpg"


@pytest.mark.parametrize("typed", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_an_accent_is_the_same_however_it_is_written(
    typed: Literal["NFC", "NFD"], stored: Literal["NFC", "NFD"]
) -> None:
    """syncthing #9597, rclone #7757: macOS stores é as e and an accent, a keyboard types one character."""
    name = unicodedata.normalize(stored, "/fêtes/Zoë été.jpg").encode()
    assert Excludes([unicodedata.normalize(typed, "Zoë été.*")]).which(name) is not None


def test_upper_and_lower_case_differ_as_in_restic() -> None:
    assert Excludes(["*.jpg"]).which(b"/a/IMG.JPG") is None


def test_a_wrong_pattern_costs_only_itself() -> None:
    """restic #3819: one pattern that nobody can read, and no backup for ever."""
    excludes = Excludes(["*.tmp", "[z-a].jpg"])
    assert excludes.which(b"/a/x.tmp") == "*.tmp" and excludes.which(b"/a/z.jpg") is None
    ((pattern, reason),) = excludes.faults
    assert pattern == "[z-a].jpg" and "ranges that rise" in reason


def test_a_pattern_that_would_take_ages_is_refused() -> None:
    assert "too long" in pattern_fault("a*" * 20) and pattern_fault("deep/**/*.jpg") == ""


def test_brackets_hold_characters_and_nothing_clever() -> None:
    assert Excludes(["[&&||~~]"]).which(b"/a/|") is not None
    assert Excludes([r"[\d]"]).which(b"/a/5") is None
    assert Excludes(["[^a]b"]).which(b"/xb") is not None and Excludes(["[^a]b"]).which(b"/ab") is None
