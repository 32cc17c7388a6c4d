"""Snapshots: one small document that names a tree, a time and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backups.engine.errors import Damaged
from backups.engine.format import format_time, parse_time

PROGRAM_VERSION = "wedbackup 0.1.0"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the source.

    snapshot_id: hex; the SHA-256 of the stored file.   time: when the reading began, Unix time [ns].
    tree:        id of the root tree.                   paths: absolute source paths.
    program:     what wrote it, with its version; "" where it does not say.
    """

    snapshot_id: str
    time: int
    tree: bytes
    paths: tuple[str, ...]
    hostname: str
    username: str = ""
    tags: tuple[str, ...] = ()
    parent: str | None = None
    program: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether this program wrote it, in whatever version; anybody with the key may add snapshots of his own."""
        return self.program.split(" ")[0] == PROGRAM_VERSION.split(" ")[0]


def encode_snapshot(
    *,
    time: int,
    tree: bytes,
    paths: tuple[str, ...],
    hostname: str,
    username: str,
    tags: tuple[str, ...] = (),
    parent: str | None = None,
    excludes: tuple[str, ...] = (),
    summary: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the JSON object of a snapshot file. `summary` follows restic's statistics fields, `excludes` its list of
    patterns: what was left out on purpose."""
    fields: dict[str, Any] = {"time": format_time(time)}
    if parent:
        fields["parent"] = parent
    fields |= {"tree": tree.hex(), "paths": list(paths), "hostname": hostname, "username": username}
    if excludes:
        fields["excludes"] = list(excludes)
    if tags:
        fields["tags"] = list(tags)
    fields["program_version"] = PROGRAM_VERSION
    if summary:
        fields["summary"] = dict(summary)
    return fields


def decode_snapshot(snapshot_id: str, fields: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot of a file's JSON object; raises Damaged."""
    try:
        return Snapshot(
            snapshot_id=snapshot_id,
            time=parse_time(fields["time"]),
            tree=bytes.fromhex(fields["tree"]),
            paths=tuple(fields["paths"] or ()),
            hostname=fields.get("hostname", ""),
            username=fields.get("username", ""),
            tags=tuple(fields.get("tags") or ()),
            parent=fields.get("parent"),
            program=str(fields.get("program_version", "")),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise Damaged(f"snapshot {snapshot_id[:8]} cannot be read") from exc
