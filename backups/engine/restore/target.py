"""The folder that receives a restore. Nothing outside it can be touched, whatever the snapshot says.

Every folder is reached from the target's own descriptor, one name at a time, and no symbolic link is followed on the
way. Files grow in a private staging folder and appear under their name when they are whole.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from backups.engine.errors import NoSpace, UnsafeTarget
from backups.engine.format.tree import Node, unix_permissions
from backups.engine.restore.disk import Disk, probe_disk
from backups.engine.restore.errnos import IN_THE_WAY, NO_LINKS, is_full
from backups.engine.restore.plan import ROOT

STAGING_PREFIX = b".wedbackup-restore-"
FOLDERS_OPEN = 24  # descriptors kept per thread
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STAGING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
HOLE_BYTES = 4096  # a shorter run of zeros is not worth a hole
_ZEROS = bytes(16)


class Attributes(NamedTuple):
    """What a restored entry gets besides its content. mode: Unix permission bits. mtime: Unix time [ns]."""

    mode: int
    uid: int
    gid: int
    mtime: int
    xattrs: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, node: Node) -> Attributes:
        return cls(unix_permissions(node.mode), node.uid, node.gid, node.mtime, tuple(node.xattrs))


class Target:
    """The open target folder and the folders of a plan in it. Safe to use from several threads; picklable.

    folders: (number of the parent, name) of each folder of the plan; number 0 is the target itself.
    """

    def __init__(
        self, root: bytes, identity: tuple[int, int], staging: bytes, folders: Sequence[tuple[int, bytes]]
    ) -> None:
        self.root, self.identity, self.staging, self.folders = root, identity, staging, folders
        self.is_admin = os.geteuid() == 0
        self._local = threading.local()
        self._root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        status = os.fstat(self._root_fd)
        if (status.st_dev, status.st_ino) != identity:
            raise UnsafeTarget("the target folder was replaced while the restore began")
        self._staging_fd = os.open(staging, _STAGING, dir_fd=self._root_fd)
        with contextlib.suppress(OSError):  # some network file systems cannot
            fcntl.flock(self._staging_fd, fcntl.LOCK_SH)  # as long as anyone holds it, it is not a left-over

    def __reduce__(self) -> tuple[Any, ...]:
        return Target, (self.root, self.identity, self.staging, self.folders)

    @classmethod
    def create(cls, path: str | bytes) -> Target:
        """Make the target folder if it is not there, and the staging folder in it; `folders` are to be set.

        Raises UnsafeTarget when something else has this path or we may not write there, NoSpace.
        """
        root = os.path.abspath(os.fsencode(path))
        staging = STAGING_PREFIX + os.urandom(8).hex().encode()
        try:
            os.makedirs(root, 0o700, exist_ok=True)
            fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            raise map_error(exc, f"the target folder {os.fsdecode(root)}") from exc
        try:
            status = os.fstat(fd)
            _remove_left_overs(fd)
            os.mkdir(staging, 0o700, dir_fd=fd)
        except OSError as exc:
            raise map_error(exc, f"the target folder {os.fsdecode(root)}") from exc
        finally:
            os.close(fd)
        return cls(root, (status.st_dev, status.st_ino), staging, [(ROOT, b"")])

    def probe(self) -> Disk:
        """Find out what the target's disk makes of names and links. Raises NoSpace or UnsafeTarget."""
        try:
            return probe_disk(self._staging_fd)
        except OSError as exc:
            raise map_error(exc, f"the target folder {os.fsdecode(self.root)}") from exc

    def close(self) -> None:
        """Remove the staging folder with whatever unfinished is in it, and release the descriptors."""
        _empty(self._staging_fd)
        os.rmdir(self.staging, dir_fd=self._root_fd)
        self.release()

    def release(self) -> None:
        """Release the descriptors of the target and of this thread."""
        self.release_thread()
        os.close(self._staging_fd)
        os.close(self._root_fd)

    def release_thread(self) -> None:
        """Release the descriptors that the calling thread has opened; every thread does so at its end."""
        opened = self._open_folders()
        while opened:
            os.close(opened.popitem()[1])

    def _open_folders(self) -> OrderedDict[int, int]:
        if not hasattr(self._local, "folders"):
            self._local.folders = OrderedDict()
        opened: OrderedDict[int, int] = self._local.folders
        return opened

    def folder(self, number: int) -> int:
        """Return a descriptor of a folder; valid until this thread has asked for FOLDERS_OPEN others.

        Raises FileNotFoundError when it does not exist, another OSError when a link or a file stands in its way.
        """
        if number == ROOT:
            return self._root_fd
        opened = self._open_folders()
        if number in opened:
            opened.move_to_end(number)
            return opened[number]
        chain = []
        while number != ROOT and number not in opened:
            chain.append(number)
            number = self.folders[number][0]
        fd = opened.get(number, self._root_fd)
        for below in reversed(chain):
            fd = opened[below] = os.open(self.folders[below][1], _FOLDER, dir_fd=fd)
            if len(opened) > FOLDERS_OPEN:
                os.close(opened.popitem(last=False)[1])
        return fd

    def is_empty(self) -> bool:
        """Whether the target folder holds nothing but the staging folder."""
        with os.scandir(self._root_fd) as entries:
            return all(os.fsencode(entry.name) == self.staging for entry in entries)

    def make_folder(self, number: int) -> None:
        """Make a folder whose parent exists, closed to others until it gets its own mode. Raises OSError."""
        parent, name = self.folders[number]
        os.mkdir(name, 0o700, dir_fd=self.folder(parent))

    def look(self, folder: int, name: bytes) -> os.stat_result | None:
        """Return the lstat of an entry, None when there is none."""
        try:
            return os.stat(name, dir_fd=self.folder(folder), follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open_staged(self, number: int) -> int:
        """Open the growing file of this number for writing, making it at first."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(b"%d" % number, flags, 0o600, dir_fd=self._staging_fd)

    def discard(self, number: int) -> None:
        """Remove the growing file of this number, if there is one."""
        try:
            os.unlink(b"%d" % number, dir_fd=self._staging_fd)
        except FileNotFoundError:
            pass

    def stage_link(self, target: bytes, number: int) -> None:
        """Make a symbolic link in the staging folder."""
        os.symlink(target, b"%d" % number, dir_fd=self._staging_fd)

    def stage_hard_link(self, folder: int, name: bytes, number: int) -> None:
        """Give a restored file a second name in the staging folder."""
        os.link(
            name, b"%d" % number, src_dir_fd=self.folder(folder), dst_dir_fd=self._staging_fd, follow_symlinks=False
        )

    def stage_special(self, mode: int, device: int, number: int) -> None:
        """Make a FIFO or device in the staging folder; mode with its file type bits."""
        os.mknod(b"%d" % number, mode, device, dir_fd=self._staging_fd)

    def publish(self, number: int, folder: int, name: bytes, *, replace: bool) -> None:
        """Move a staged entry to its place at once.

        replace: whether an entry of that name may be replaced (a link itself, never what it points to).
        Raises FileExistsError, and OSError when a folder stands there.
        """
        staged, place = b"%d" % number, self.folder(folder)
        if not replace:
            try:
                os.link(staged, name, src_dir_fd=self._staging_fd, dst_dir_fd=place, follow_symlinks=False)
            except OSError as exc:
                if exc.errno not in NO_LINKS:
                    raise
                if self.look(folder, name) is not None:
                    raise FileExistsError(errno.EEXIST, "there is something of that name") from exc
            else:
                os.unlink(staged, dir_fd=self._staging_fd)
                return
        os.rename(staged, name, src_dir_fd=self._staging_fd, dst_dir_fd=place)

    def open_for_reading(self, folder: int, name: bytes) -> int:
        """Open a restored file, never through a link and never waiting for a FIFO's other end."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(name, flags, dir_fd=self.folder(folder))

    def open_folder_for_change(self, number: int) -> int:
        """Open a folder itself, to give it its attributes."""
        parent, name = self.folders[number]
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.folder(parent))

    def apply(self, fd: int, attributes: Attributes) -> list[str]:
        """Give an open file or folder its owner, mode, extended attributes and time; return what was refused."""
        refused: list[str] = []
        mode, owner = attributes.mode, f"owner {attributes.uid}:{attributes.gid}"
        if self.is_admin:
            try:
                os.fchown(fd, attributes.uid, attributes.gid)
            except OSError as exc:
                refused.append(f"{owner} not set ({exc.strerror})")
        elif attributes.uid != os.geteuid():
            refused.append(f"{owner} not set (only root can give files away)")
        if refused and mode & 0o6000:
            mode &= 0o1777
            refused.append("set-id bit not set: it was meant for the owner it had")
        for name, value in attributes.xattrs:
            try:
                os.setxattr(fd, os.fsencode(name), value)
            except OSError as exc:
                refused.append(f"extended attribute {name} not set ({exc.strerror})")
        try:
            os.fchmod(fd, mode)
        except OSError as exc:
            refused.append(f"mode not set ({exc.strerror})")
        try:
            os.utime(fd, ns=(attributes.mtime, attributes.mtime))
        except (OSError, OverflowError) as exc:
            refused.append(f"time not set ({exc})")
        return refused

    def apply_to_staged(self, number: int, attributes: Attributes, *, chmod: bool) -> list[str]:
        """Give a staged link or special file its attributes without following or opening it."""
        staged, place = b"%d" % number, self._staging_fd
        try:
            if self.is_admin:
                os.chown(staged, attributes.uid, attributes.gid, dir_fd=place, follow_symlinks=False)
            if chmod:
                os.chmod(staged, attributes.mode, dir_fd=place)
            os.utime(staged, ns=(attributes.mtime, attributes.mtime), dir_fd=place, follow_symlinks=False)
        except (OSError, OverflowError) as exc:
            return [f"owner, mode or time not set ({exc})"]
        return []

    def sync(self) -> None:
        """Bring everything written to the medium, and hear of write errors. Raises NoSpace or UnsafeTarget."""
        if ctypes.CDLL(None, use_errno=True).syncfs(self._root_fd) != 0:
            number = ctypes.get_errno()
            raise map_error(OSError(number, os.strerror(number)), "the target's file system")


def _empty(folder: int) -> None:
    for name in os.listdir(folder):
        os.unlink(name, dir_fd=folder)


def _remove_left_overs(root: int) -> None:
    """Remove staging folders of restores that were killed: nobody holds their lock any more."""
    for name in map(os.fsencode, os.listdir(root)):
        if not name.startswith(STAGING_PREFIX):
            continue
        try:
            fd = os.open(name, _STAGING, dir_fd=root)
        except OSError:
            continue  # not a folder, or not ours
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _empty(fd)
            os.rmdir(name, dir_fd=root)
        except OSError:
            pass  # another restore is at work in it
        finally:
            os.close(fd)


def write_sparse(fd: int, content: bytes | memoryview, offset: int) -> bool:
    """Write `content` at `offset`, leaving holes for long runs of zeros at its ends; say whether holes were left."""
    start, end = 0, len(content)
    if end >= HOLE_BYTES and (content[:16] == _ZEROS or content[-16:] == _ZEROS):
        plain = bytes(content)
        leading = end - len(plain.lstrip(b"\0"))
        trailing = end - len(plain.rstrip(b"\0"))
        start = leading if leading >= HOLE_BYTES else 0
        end = max(start, end - trailing) if trailing >= HOLE_BYTES else end
    view = memoryview(content)[start:end]
    position = offset + start
    while view:
        written = os.pwrite(fd, view, position)
        view, position = view[written:], position + written
    return start > 0 or end < len(content)


def map_error(exc: OSError, what: str) -> NoSpace | UnsafeTarget:
    """Return the engine error that tells a person about an OSError at the target."""
    if is_full(exc):
        return NoSpace(f"no space left while writing {what}")
    if exc.errno in IN_THE_WAY:
        return UnsafeTarget(f"a link or a file stands where {what} should be")
    return UnsafeTarget(f"{what} cannot be used: {exc.strerror}")


def special_mode(node: Node) -> int:
    """Return the mode for mknod, 0 for an entry that is not made again (sockets)."""
    kinds = {"fifo": stat.S_IFIFO, "dev": stat.S_IFBLK, "chardev": stat.S_IFCHR}
    kind = kinds.get(node.type, 0)
    return kind | unix_permissions(node.mode) if kind else 0
