from __future__ import annotations

import pytest

from backups.engine.backup.excludes import Excludes


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
    assert left_out in excludes and kept not in excludes


def test_nothing_is_left_out_without_patterns() -> None:
    assert not Excludes([]) and not Excludes(["", "/"]) and b"/a" not in Excludes([])


def test_names_that_are_no_text_are_matched_too() -> None:
    assert b"/a/\xff\n.tmp" in Excludes(["*.tmp"])
