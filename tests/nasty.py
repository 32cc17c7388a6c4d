"""Folders as the field has them: every odd entry that ended a backup somewhere, each made by a function of its own.

`healthy` entries must be in the snapshot, byte for byte; the others must be named as a problem, or vanish quietly.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

FAR_PAST = -12_000_000_000 * 10**9  # the year 1589 [ns]: before what 64 bits of nanoseconds can say
FAR_FUTURE = 10_413_792_000 * 10**9  # the year 2300 [ns]: after it
DEEP_LEVELS = 90  # of 50 bytes: more than the 4,096 that a path may have
DEEP_FROM = 3840  # [bytes] of a folder's path, from where on a file in it may be out of reach


@dataclass
class Nasty:
    """What was made below `root`.

    healthy: content of every file that must be stored.   told: paths that must be named among the problems.
    """

    root: bytes
    healthy: dict[bytes, bytes] = field(default_factory=dict)
    told: set[bytes] = field(default_factory=set)

    def file(self, name: bytes, content: bytes) -> bytes:
        path = self.root + b"/" + name
        with open(path, "wb") as file:
            file.write(content)
        self.healthy[name] = content
        return path


def dated_before_1677(tree: Nasty, name: bytes) -> None:
    """restic #705, #1173: a camera without a clock."""
    os.utime(tree.file(name, b"old " + name), ns=(0, FAR_PAST))


def dated_after_2262(tree: Nasty, name: bytes) -> None:
    """restic #705: a photo of the year 30828; #2174."""
    os.utime(tree.file(name, b"new " + name), ns=(0, FAR_FUTURE))


def folder_dated_after_2262(tree: Nasty, name: bytes) -> None:
    os.mkdir(tree.root + b"/" + name)
    tree.file(name + b"/in", b"in " + name)
    os.utime(tree.root + b"/" + name, ns=(0, FAR_FUTURE))


def attribute_not_utf8(tree: Nasty, name: bytes) -> None:
    """xattr #82, borg #1462 and #6988."""
    os.setxattr(tree.file(name, b"tagged " + name), b"user.b\xffa", b"")
    tree.told.add(name)


def folder_attribute_not_utf8(tree: Nasty, name: bytes) -> None:
    os.mkdir(tree.root + b"/" + name)
    tree.file(name + b"/in", b"in " + name)
    os.setxattr(tree.root + b"/" + name, b"user.b\xffa", b"")
    tree.told.add(name)


def name_not_utf8(tree: Nasty, name: bytes) -> None:
    tree.file(name + b"caf\xe9", b"latin")


def name_with_line_ends(tree: Nasty, name: bytes) -> None:
    tree.file(name + b"\n\t\x01\x7f", b"control")


def longest_name(tree: Nasty, name: bytes) -> None:
    tree.file(name.ljust(255, b"n"), b"long")


def emptiness(tree: Nasty, name: bytes) -> None:
    tree.file(name, b"")
    os.mkdir(tree.root + b"/" + name + b".d")


def pipe(tree: Nasty, name: bytes) -> None:
    os.mkfifo(tree.root + b"/" + name)


def dangling_link(tree: Nasty, name: bytes) -> None:
    os.symlink(b"nowhere/caf\xe9", tree.root + b"/" + name)


def socket_file(tree: Nasty, name: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        fd = os.open(tree.root, os.O_RDONLY)
        try:
            server.bind(b"/proc/self/fd/%d/%b" % (fd, name))
        finally:
            os.close(fd)


def deeper_than_a_path(tree: Nasty, name: bytes) -> None:
    """Stock restic cannot restore it: its path is longer than 4,096 bytes."""
    fd = os.open(tree.root, os.O_RDONLY)
    parts = [name, *[b"d" * 50] * DEEP_LEVELS]
    for part in parts:
        os.mkdir(part, dir_fd=fd)
        below = os.open(part, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    bottom = os.open(b"bottom", os.O_WRONLY | os.O_CREAT, dir_fd=fd)
    os.write(bottom, b"deep")
    os.close(bottom)
    os.close(fd)
    tree.healthy[b"/".join([*parts, b"bottom"])] = b"deep"
    ends = [b"/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    tree.told.add(next(end for end in ends if len(tree.root) + 1 + len(end) > DEEP_FROM))


ODD: tuple[Callable[[Nasty, bytes], None], ...] = (
    dated_before_1677,
    dated_after_2262,
    folder_dated_after_2262,
    attribute_not_utf8,
    folder_attribute_not_utf8,
    name_not_utf8,
    name_with_line_ends,
    longest_name,
    emptiness,
    pipe,
    dangling_link,
    socket_file,
)
