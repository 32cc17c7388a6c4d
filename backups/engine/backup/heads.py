"""Whether a file can be what its name says, by its first bytes: a picture that begins with noise is none any more.

Only what is never meant counts: nothing but zeros, or noise without the mark of any known format. Text in a file called
.jpg, or a HEIC that a telephone calls .JPG, is odd but no loss. What an attacker writes behind an intact beginning is
not seen here.
"""

from __future__ import annotations

import math
import os
from enum import IntEnum

HEAD_BYTES = 256
_NOISE_FROM_BYTES = 64  # fewer say too little
_NOISE_SHARE = 0.8  # of the different byte values that so many random bytes have
_HIGH_SHARE = 0.25  # of bytes that no ASCII text has; half of random ones

KNOWN_SUFFIXES = frozenset({
    b".jpg", b".jpeg", b".jpe", b".png", b".gif", b".tif", b".tiff", b".heic", b".heif", b".avif", b".webp", b".jxl",
    b".bmp", b".psd", b".psb", b".svg",
    b".cr2", b".cr3", b".crw", b".nef", b".nrw", b".arw", b".srf", b".sr2", b".raf", b".dng", b".orf", b".rw2",
    b".pef", b".srw", b".3fr", b".fff", b".iiq", b".x3f", b".mrw", b".erf", b".kdc", b".rwl",
    b".mp4", b".mov", b".m4v", b".avi", b".mkv", b".webm", b".mts", b".m2ts", b".mpg", b".mpeg", b".mxf", b".braw",
    b".r3d", b".wmv",
    b".mp3", b".wav", b".m4a", b".aac", b".aif", b".aiff", b".flac", b".ogg",
    b".pdf", b".doc", b".docx", b".xls", b".xlsx", b".ppt", b".pptx", b".odt", b".ods", b".odp", b".rtf", b".indd",
    b".idml", b".ai", b".eps", b".pages", b".numbers", b".key",
    b".txt", b".csv", b".md", b".xmp", b".xml", b".html", b".htm", b".json", b".ics", b".vcf",
    b".zip", b".7z", b".rar", b".gz", b".lrcat", b".sqlite", b".sqlite3", b".db",
})  # fmt: skip

# Marks at the very beginning that no noise has by chance.
_MARKS = (
    b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"IIU\0", b"IIRO", b"IIRS", b"MMOR",
    b"II\x1a\0", b"FUJIFILM", b"FOVb", b"\0MRM", b"8BPS", b"\0\0\0\x0cJXL", b"\xff\x0a", b"RIFF", b"\x1aE\xdf\xa3",
    b"OggS", b"fLaC", b"ID3", b"FORM", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"\x06\x0e+4", b"0&\xb2u", b"%PDF", b"%!PS",
    b"\xc5\xd0\xd3\xc6", b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0", b"{\\rtf", b"\x06\x06\xed\xf5",
    b"7z\xbc\xaf", b"Rar!", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh", b"SQLite format 3\0",
)  # fmt: skip
_ASCII = bytes(range(128))
_BOXES = frozenset((b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"))  # at 4, of QuickTime's family


class Head(IntEnum):
    """What the first bytes say.

    SPOILED: no longer what the name says.   NOISE: noise, and the name promises nothing.
    """

    PLAIN = 0
    NOISE = 1
    SPOILED = 2
    BLANK = 3  # spoiled by zeros or by emptiness: content that many files share


def judge_head(name: bytes, head: bytes) -> Head:
    """Judge a file by its name and its first HEAD_BYTES bytes, all of them if it is shorter."""
    if not any(head):
        return Head.BLANK if suffix_of(name) in KNOWN_SUFFIXES else Head.PLAIN
    if head.startswith(_MARKS) or head[4:8] in _BOXES or not _is_noise(head):
        return Head.PLAIN
    return Head.SPOILED if suffix_of(name) in KNOWN_SUFFIXES else Head.NOISE


def is_relabelled(name: bytes, gone: frozenset[bytes]) -> bool:
    """Whether a new name is that of a file that is gone, with an unknown suffix added or instead of its own.

    gone: names of files with a known suffix that are not in the folder any more, and the same without their suffix.
    """
    stem, suffix = os.path.splitext(name)
    return bool(suffix) and suffix.lower() not in KNOWN_SUFFIXES and stem in gone


def suffix_of(name: bytes) -> bytes:
    return os.path.splitext(name)[1].lower()


def _is_noise(head: bytes) -> bool:
    if len(head) < _NOISE_FROM_BYTES:
        return False
    expected = 256 * (1 - math.exp(-len(head) / 256))
    if len(set(head)) < _NOISE_SHARE * expected:
        return False
    return len(head.translate(None, _ASCII)) >= _HIGH_SHARE * len(head)
