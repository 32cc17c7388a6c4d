"""Folders with everything a file system can hold, and a comparison that forgives nothing."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

MTIME = 1_700_000_000_123_456_789  # [ns]


def every_kind_of_node(root: Path) -> Path:
    """Make files, links and names of every kind below `root`; devices too when we may."""
    noise = random.Random(7)
    root.mkdir()
    (root / "photos" / "raw").mkdir(parents=True)
    (root / "empty folder").mkdir()
    (root / "photos" / "dance.jpg").write_bytes(noise.randbytes(3_000_000))
    (root / "photos" / "raw" / "dance.cr3").write_bytes(noise.randbytes(12_000_000))
    (root / "plan.txt").write_text("18:00 dinner\n" * 20_000)
    (root / "empty").write_bytes(b"")
    for i in range(300):
        (root / "photos" / f"thumb-{i:03}.jpg").write_bytes(noise.randbytes(noise.randint(1, 9000)))
    with open(root / "film.raw", "wb") as film:
        film.write(b"head")
        film.seek(40_000_000)
        film.write(b"tail")
        film.truncate(60_000_000)
    os.link(root / "plan.txt", root / "photos" / "plan, again.txt")
    os.link(root / "plan.txt", root / "third name")
    (root / "latest").symlink_to("photos/dance.jpg")
    (root / "dangling").symlink_to("/nowhere/<&>\u2028")
    os.mkfifo(root / "pipe", 0o640)
    base = os.fsencode(root)
    for name in (b"two\nlines", b"no utf-8 \xff", "naïve 💍".encode(), b"n" * 255, b'q"\\', b"\xe2\x80\xaegpj.exe"):
        with open(base + b"/" + name, "wb") as file:
            file.write(name)
    os.setxattr(root / "plan.txt", "user.couple", b"Ana & Bo\0\xff")
    os.setxattr(root / "photos", "user.empty", b"")
    (root / "photos" / "dance.jpg").chmod(0o4711)
    (root / "empty folder").chmod(0o1777)
    if os.geteuid() == 0:
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(root / "disk", stat.S_IFBLK | 0o660, os.makedev(7, 250))
        os.chown(root / "plan.txt", 1234, 4321)
        os.chown(root / "latest", 1234, 4321, follow_symlinks=False)
    for folder, folders, files in os.walk(base, topdown=False):
        for name in [*folders, *files]:
            os.utime(folder + b"/" + name, ns=(MTIME, MTIME), follow_symlinks=False)
    os.utime(root, ns=(MTIME, MTIME))
    return root


def describe(root: Path) -> dict[bytes, tuple[object, ...]]:
    """Return everything that a restore must bring back, by path; names of one file share a group number."""
    base = os.fsencode(root)
    found: dict[bytes, tuple[object, ...]] = {}
    groups: dict[int, int] = {}
    for folder, folders, files in sorted(os.walk(base)):
        for name in sorted([*folders, *files]):
            path = folder + b"/" + name
            status = os.lstat(path)
            kind = stat.S_IFMT(status.st_mode)
            content: object = None
            if stat.S_ISREG(kind):
                with open(path, "rb") as file:
                    content = file.read()
            elif stat.S_ISLNK(kind):
                content = os.readlink(path)
            elif stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
                content = status.st_rdev
            linked = (
                groups.setdefault(status.st_ino, len(groups)) if status.st_nlink > 1 and kind != stat.S_IFDIR else -1
            )
            xattrs = {n: os.getxattr(path, n, follow_symlinks=False) for n in os.listxattr(path, follow_symlinks=False)}
            attributes = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns)
            found[path[len(base) + 1 :]] = (attributes, linked, tuple(sorted(xattrs.items())), content)
    return found


def assert_equal(restored: Path, original: Path) -> None:
    """Compare two folders entry by entry; the message names what differs, not its bytes."""
    ours, theirs = describe(restored), describe(original)
    assert ours.keys() == theirs.keys()
    differing = [path for path in theirs if ours[path] != theirs[path]]
    assert not differing, [(path, ours[path][:3], theirs[path][:3]) for path in differing]
