"""Somebody else's disk: the system calls of a restore answered as an exFAT stick's driver answers them.

Mounting a real one needs rights and a kernel that not every machine has. Errors and folding are those that
exfat-fuse 1.3 gave for the same calls; only files below the stick's folder are concerned.
"""

from __future__ import annotations

import errno
import os
import unicodedata
from typing import Any

REFUSED = frozenset(b'\\:*?"<>|') | frozenset(range(32))


class Stick:
    """Stands for the module `os` where a restore uses it. hits: which answers were given, by errno."""

    def __init__(self, root: str, *, folds: bool = True) -> None:
        self._root = os.path.realpath(root)
        self._folds = folds
        self.hits: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _fail(self, number: int) -> OSError:
        self.hits.append(number)
        return OSError(number, os.strerror(number))

    def _inside(self, folder: int | None) -> bool:
        if folder is None:
            return False
        path = os.readlink(f"/proc/self/fd/{folder}")
        return path == self._root or path.startswith(self._root + "/")

    def _there(self, name: bytes, folder: int | None) -> bytes:
        """Return the name under which an entry is there, or will be."""
        name = os.fsencode(name)
        if not self._inside(folder):
            return name
        if REFUSED & set(name):
            raise self._fail(errno.ENOENT)
        try:
            name.decode()
        except UnicodeDecodeError:
            raise self._fail(errno.EILSEQ) from None
        if self._folds:
            for known in map(os.fsencode, os.listdir(f"/proc/self/fd/{folder}")):
                if _fold(known) == _fold(name):
                    return known
        return name

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        return os.open(self._there(path, dir_fd), flags, mode, dir_fd=dir_fd)

    def stat(self, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        return os.stat(self._there(path, dir_fd), dir_fd=dir_fd, follow_symlinks=follow_symlinks)

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        os.mkdir(self._there(path, dir_fd), mode, dir_fd=dir_fd)

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        os.unlink(self._there(path, dir_fd), dir_fd=dir_fd)

    def rename(self, source: Any, target: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        os.rename(source, self._there(target, dst_dir_fd), src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def link(self, *_: Any, **__: Any) -> None:
        raise self._fail(errno.EPERM)

    def symlink(self, *_: Any, **__: Any) -> None:
        raise self._fail(errno.ENOSYS)

    def fchown(self, *_: Any) -> None:
        raise self._fail(errno.EPERM)

    def fchmod(self, *_: Any) -> None:
        raise self._fail(errno.EPERM)

    def setxattr(self, *_: Any) -> None:
        raise self._fail(errno.EOPNOTSUPP)


def _fold(name: bytes) -> str:
    return unicodedata.normalize("NFC", name.decode("utf-8", "replace")).casefold()
