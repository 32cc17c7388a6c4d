"""Trees: one JSON document per directory, its nodes sorted by name (restic internal/restic/node.go and tree.go).

Nodes are written as text straight from `os.stat_result`, because a backup of 100,000 files writes 100,000 of them; the
order of fields is that of restic's Go struct.
"""

from __future__ import annotations

import base64
import functools
import grp
import os
import pwd
import stat
from binascii import b2a_hex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from backups.engine.errors import Damaged
from backups.engine.format import format_time, parse_time
from backups.engine.format.gonames import json_name, json_string, unquote_name

# Bits of Go's os.FileMode, which restic stores instead of Unix' mode.
_GO_DIR, _GO_SYMLINK, _GO_DEVICE, _GO_FIFO, _GO_SOCKET = 1 << 31, 1 << 27, 1 << 26, 1 << 25, 1 << 24
_GO_SETUID, _GO_SETGID, _GO_CHARDEV, _GO_STICKY = 1 << 23, 1 << 22, 1 << 21, 1 << 20
_SPECIAL_BITS = ((stat.S_ISUID, _GO_SETUID), (stat.S_ISGID, _GO_SETGID), (stat.S_ISVTX, _GO_STICKY))
_TYPES: tuple[tuple[int, str, int], ...] = (
    (stat.S_IFREG, "file", 0),
    (stat.S_IFDIR, "dir", _GO_DIR),
    (stat.S_IFLNK, "symlink", _GO_SYMLINK),
    (stat.S_IFBLK, "dev", _GO_DEVICE),
    (stat.S_IFCHR, "chardev", _GO_DEVICE | _GO_CHARDEV),
    (stat.S_IFIFO, "fifo", _GO_FIFO),
    (stat.S_IFSOCK, "socket", _GO_SOCKET),
)


def _go_mode(mode: int) -> int:
    result = mode & 0o777
    for unix_bit, go_bit in _SPECIAL_BITS:
        if mode & unix_bit:
            result |= go_bit
    kind = stat.S_IFMT(mode)
    return result | next((bits for fmt, _, bits in _TYPES if fmt == kind), 0)


def unix_permissions(go_mode: int) -> int:
    """Return the permission, setuid, setgid and sticky bits of a stored mode as Unix wants them."""
    result = go_mode & 0o777
    for unix_bit, go_bit in _SPECIAL_BITS:
        if go_mode & go_bit:
            result |= unix_bit
    return result


_EMPTY = b'"content":[]'


@functools.lru_cache(maxsize=256)
def _kind(mode: int) -> bytes:
    return b'"type":"%b","mode":%d' % (node_type(mode).encode(), _go_mode(mode))


def node_type(mode: int) -> str:
    """Return restic's name of the kind of a directory entry, "" for one it does not know."""
    kind = stat.S_IFMT(mode)
    return next((name for fmt, name, _ in _TYPES if fmt == kind), "")


@functools.lru_cache(maxsize=1024)
def _owner(uid: int, gid: int) -> bytes:
    fields = b'"uid":%d,"gid":%d,' % (uid, gid)
    try:
        fields += b'"user":%b,' % json_string(pwd.getpwuid(uid).pw_name)
    except KeyError:
        pass  # a number without a name is stored as the number alone
    try:
        fields += b'"group":%b,' % json_string(grp.getgrgid(gid).gr_name)
    except KeyError:
        pass
    return fields


def encode_node(
    name: bytes,
    status: os.stat_result,
    *,
    content: Sequence[bytes] | None = None,
    subtree: bytes | None = None,
    link_target: bytes | None = None,
    xattrs: Sequence[tuple[str, bytes]] = (),
    size: int | None = None,
) -> bytes:
    """Return the JSON text of one node.

    name:        as the file system has it.
    status:      lstat of the entry; for a file the fstat that belongs to the bytes read.
    content:     blob ids of a file, [] for an empty one, None for everything else.
    subtree:     tree id of a directory.   link_target: of a symlink.   xattrs: (name, value) pairs.
    size:        of the content stored [bytes], when it may differ from `status`, as for a file that grew.
    """
    mode = status.st_mode
    mtime = format_time(status.st_mtime_ns).encode()
    parts = [
        b'{"name":%b,%b,"mtime":"%b","atime":"%b","ctime":"%b",%b"inode":%d,'
        % (
            json_name(name),
            _kind(mode),
            mtime,
            mtime,  # as restic does: the true access time would make every tree differ from its parent's
            format_time(status.st_ctime_ns).encode(),
            _owner(status.st_uid, status.st_gid),
            status.st_ino,
        ),
    ]
    is_file = stat.S_ISREG(mode)
    if status.st_nlink > 1 and is_file:
        parts.append(b'"device_id":%d,' % status.st_dev)  # with the inode it tells which names are one file
    if is_file and (stored := status.st_size if size is None else size):
        parts.append(b'"size":%d,' % stored)
    if status.st_nlink:
        parts.append(b'"links":%d,' % status.st_nlink)
    if link_target is not None:
        parts.append(b'"linktarget":%b,' % json_string(link_target.decode("utf-8", "replace")))
        if link_target.decode("utf-8", "replace").encode() != link_target:
            parts.append(b'"linktarget_raw":"%b",' % base64.b64encode(link_target))
    if xattrs:
        pairs = (b'{"name":%b,"value":"%b"}' % (json_string(n), base64.b64encode(v)) for n, v in xattrs)
        parts.append(b'"extended_attributes":[%b],' % b",".join(pairs))
    if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
        parts.append(b'"device":%d,' % status.st_rdev)
    if content is None:
        parts.append(b'"content":null')
    else:
        parts.append(b'"content":["%b"]' % b'","'.join([b2a_hex(blob) for blob in content]) if content else _EMPTY)
    if subtree is not None:
        parts.append(b',"subtree":"%b"' % subtree.hex().encode())
    parts.append(b"}")
    return b"".join(parts)


def encode_tree(nodes: Iterable[bytes]) -> bytes:
    """Return the tree blob's plain text; `nodes` come sorted by name."""
    return b'{"nodes":[%b]}\n' % b",".join(nodes)


@dataclass(slots=True)
class Node:
    """One decoded directory entry. Times are Unix times [ns]; mode is Go's; content and subtree are blob ids."""

    name: bytes
    type: str
    mode: int = 0
    mtime: int = 0
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    inode: int = 0
    device_id: int = 0
    size: int = 0
    links: int = 0
    link_target: bytes = b""
    device: int = 0
    xattrs: list[tuple[str, bytes]] = field(default_factory=list)
    content: list[bytes] = field(default_factory=list)
    subtree: bytes | None = None


def _decode_node(fields: dict[str, Any]) -> Node:
    subtree = fields.get("subtree")
    target = fields.get("linktarget", "")
    raw_target = fields.get("linktarget_raw")
    return Node(
        name=unquote_name(fields["name"]),
        type=fields["type"],
        mode=fields.get("mode", 0),
        mtime=parse_time(fields["mtime"]) if "mtime" in fields else 0,
        uid=fields.get("uid", 0),
        gid=fields.get("gid", 0),
        user=fields.get("user", ""),
        group=fields.get("group", ""),
        inode=fields.get("inode", 0),
        device_id=fields.get("device_id", 0),
        size=fields.get("size", 0),
        links=fields.get("links", 0),
        link_target=base64.b64decode(raw_target) if raw_target else target.encode(),
        device=fields.get("device", 0),
        xattrs=[(x["name"], base64.b64decode(x["value"] or "")) for x in fields.get("extended_attributes") or ()],
        content=[bytes.fromhex(blob) for blob in fields.get("content") or ()],
        subtree=bytes.fromhex(subtree) if subtree else None,
    )


def decode_tree(plain: bytes | memoryview) -> list[Node]:
    """Return the nodes of a tree blob; raises Damaged when it is no tree."""
    try:
        return [_decode_node(fields) for fields in orjson.loads(plain)["nodes"] or ()]
    except (KeyError, TypeError, ValueError) as exc:
        raise Damaged("a tree cannot be read") from exc
