"""A file's first bytes say whether it can be what its name says."""

from __future__ import annotations

import random

import pytest

from backups.engine.backup.heads import Head, judge_head

noise = random.Random(3)


def test_noise_and_zeros_are_no_pictures() -> None:
    for size in (64, 100, 256):
        assert all(judge_head(b"DSC_1.JPG", noise.randbytes(size)) is Head.SPOILED for _ in range(200))
    assert judge_head(b"DSC_1.NEF", bytes(256)) is Head.BLANK
    assert judge_head(b"contract.pdf", b"") is Head.BLANK
    assert judge_head(b"notes.txt", noise.randbytes(256)) is Head.SPOILED


def test_names_that_promise_nothing_are_noise_or_nothing() -> None:
    assert judge_head(b"tiles.cache", noise.randbytes(256)) is Head.NOISE
    assert judge_head(b"swap.img", bytes(256)) is Head.PLAIN


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        (b"a.jpg", b"\xff\xd8\xff\xe1"),
        (b"a.cr2", b"II*\0"),
        (b"a.cr3", b"\0\0\0\x18ftypcrx "),
        (b"a.heic", b"\0\0\0\x18ftypheic"),
        (b"a.raf", b"FUJIFILMCCD-RAW "),
        (b"a.mov", b"\0\0\0\x14wide"),
        (b"a.docx", b"PK\x03\x04"),
        (b"locked by its password.docx", b"\xd0\xcf\x11\xe0"),
        (b"a.lrcat", b"SQLite format 3\0"),
        (b"IMG_0001.JPG", b"\0\0\0\x18ftypheic"),
    ],
)
def test_what_has_the_mark_of_a_known_format_is_plain_even_under_another_name(name: bytes, mark: bytes) -> None:
    """Telephones call HEIC .JPG; a document with a password has another container."""
    assert judge_head(name, mark + noise.randbytes(256 - len(mark))) is Head.PLAIN


@pytest.mark.parametrize(
    "text", [b"Liebe Ada, lieber Grace, " * 12, "Ελληνικά και 中文 ".encode() * 12, b"R0lGODlhAQABAIAAAP" * 12]
)
def test_text_is_no_noise_in_any_script(text: bytes) -> None:
    assert judge_head(b"vows.txt", text[:256]) is Head.PLAIN
