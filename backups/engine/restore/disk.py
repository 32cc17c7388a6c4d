"""What the disk that receives a restore makes of names and links, found out by trying.

A camera's or an editor's disk is exFAT, FAT, NTFS or a share: it refuses names that are legal where the files came
from, takes two names that differ in case only for one, and may know no links. Asking it takes a dozen calls in the
staging folder, once per restore; asking which file system it is would say nothing of shares and drivers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from backups.engine.restore.errnos import NO_LINKS, is_full

_PLAIN, _ACCENT = b"probe", b"probe \xc3\xa9"
_OTHER_CASE, _OTHER_FORM = b"PROBE \xc3\xa9", b"probe e\xcc\x81"
_WINDOWS, _NOT_TEXT = b'probe:?*"<>|\\.', b"probe \xe9"


@dataclass(frozen=True, slots=True)
class Disk:
    """What a file system does.

    windows:    refuses names that Windows refuses, or is meant for Windows and would hide such files from it.
    text_only:  refuses names that are not UTF-8.
    folds:      takes names that differ only in case, or in how an accent is written, for one.
    hard_links: gives a file a second name.   longest: length of a name [bytes].
    """

    windows: bool = False
    text_only: bool = False
    folds: bool = False
    hard_links: bool = True
    longest: int = 255

    @property
    def takes_all(self) -> bool:
        """Whether every name that a Unix file has can be made as it is."""
        return not (self.windows or self.text_only or self.folds)


def probe_disk(folder: int) -> Disk:
    """Try in the open folder, which is ours alone and is left as it was. Raises OSError when it is full."""
    _make(folder, _ACCENT)
    try:
        folds = _is_there(folder, _OTHER_CASE) or _is_there(folder, _OTHER_FORM)
        hard_links = _links(folder, _ACCENT)
    finally:
        os.unlink(_ACCENT, dir_fd=folder)
    plain = _takes(folder, _WINDOWS + _NOT_TEXT)
    return Disk(
        windows=not plain and not _takes(folder, _WINDOWS),
        text_only=not plain and not _takes(folder, _NOT_TEXT),
        folds=folds,
        hard_links=hard_links,
        longest=os.fstatvfs(folder).f_namemax,
    )


def _make(folder: int, name: bytes) -> None:
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder))


def _takes(folder: int, name: bytes) -> bool:
    """Whether a file of this name can be made and is then listed under it."""
    try:
        _make(folder, name)
    except OSError as exc:
        if is_full(exc):
            raise
        return False
    listed = name in map(os.fsencode, os.listdir(folder))
    os.unlink(name, dir_fd=folder)
    return listed


def _is_there(folder: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def _links(folder: int, name: bytes) -> bool:
    try:
        os.link(name, _PLAIN, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as exc:
        return exc.errno not in NO_LINKS
    os.unlink(_PLAIN, dir_fd=folder)
    return True
