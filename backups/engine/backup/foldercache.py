"""What the last run knew of each folder, so that an unchanged one costs one listing and no reading.

A local SQLite file per vault. It is only a cache: losing it costs time, and nothing in it is believed unless every
blob it names is still in the index. It also keeps index and snapshot files as they are stored, sealed, so that a run
does not fetch the same thousand small files again and again; their names prove their content.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import Any, NamedTuple

import zstandard

from backups.engine.errors import Damaged
from backups.engine.format import compression

_SCHEMA = """
CREATE TABLE IF NOT EXISTS vault (repository_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS folder (
    path BLOB PRIMARY KEY, signature BLOB NOT NULL, tree_id BLOB NOT NULL, content BLOB NOT NULL, nodes BLOB NOT NULL,
    settled_before INTEGER NOT NULL, settled INTEGER NOT NULL, odd BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS document (file_id TEXT PRIMARY KEY, stored BLOB NOT NULL);
"""
_VERSION = 3  # of the schema and of what the signature covers; another one starts anew


class CachedFolder(NamedTuple):
    """One folder as it was read last.

    signature:      over names and states of all entries.   tree_id: of the tree stored for it.
    content:        ids of all data blobs of its files, one after the other.
    nodes:          JSON nodes of all entries, by name; b"" for one that has none.
    settled_before: an entry written at or after this time [ns] may have changed again without showing it.
    settled:        no entry was that young.
    odd:            names of files that are noise or zeros (`heads`), joined by slashes.
    """

    signature: bytes
    tree_id: bytes
    content: bytes
    nodes: bytes
    settled_before: int
    settled: bool
    odd: bytes = b""

    @property
    def odd_names(self) -> list[bytes]:
        return self.odd.split(b"/") if self.odd else []

    def node_list(self) -> list[bytes]:
        """Return the nodes; raises Damaged."""
        return compression.decompress(self.nodes).split(b"\n")


def pack_nodes(nodes: list[bytes]) -> bytes:
    """Return the stored form of nodes; none contains a newline, JSON escapes it."""
    return compression.compress(b"\n".join(nodes), 1)


class FolderCache:
    """Belongs to one thread. Any trouble with the file ends in an empty cache, never in an error."""

    def __init__(self, path: str | None, repository_id: str) -> None:
        """path: of the SQLite file; None or an unusable place means no cache."""
        self._connection: sqlite3.Connection | None = None
        if path is None:
            return
        try:
            self._open(path, repository_id)
        except sqlite3.DatabaseError:
            self._give_up()
            with contextlib.suppress(OSError, sqlite3.Error):
                os.unlink(path)
                self._open(path, repository_id)

    def _open(self, path: str, repository_id: str) -> None:
        connection = self._connection = sqlite3.connect(path, timeout=1, isolation_level=None)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != _VERSION:
            connection.executescript(
                "DROP TABLE IF EXISTS vault; DROP TABLE IF EXISTS folder; DROP TABLE IF EXISTS document;"
                f"{_SCHEMA} PRAGMA user_version={_VERSION}"
            )
        if connection.execute("SELECT repository_id FROM vault").fetchone() != (repository_id,):
            connection.executescript("BEGIN; DELETE FROM vault; DELETE FROM folder; DELETE FROM document; COMMIT")
            connection.execute("INSERT INTO vault VALUES (?)", (repository_id,))

    def get(self, path: bytes) -> CachedFolder | None:
        row = self._run(
            "SELECT signature, tree_id, content, nodes, settled_before, settled, odd FROM folder WHERE path=?", (path,)
        )
        return CachedFolder(*row[0]) if row else None

    def document(self, file_id: str) -> bytes | None:
        """Return the stored bytes of an index or snapshot file."""
        row = self._run("SELECT stored FROM document WHERE file_id=?", (file_id,))
        return row[0][0] if row else None

    def put_document(self, file_id: str, stored: bytes) -> None:
        self._begin()
        self._run("REPLACE INTO document VALUES (?, ?)", (file_id, stored))

    def keep_documents(self, file_ids: set[str]) -> None:
        """Forget the documents that no destination has any more."""
        gone = [(row[0],) for row in self._run("SELECT file_id FROM document") if row[0] not in file_ids]
        for file_id in gone:
            self._begin()
            self._run("DELETE FROM document WHERE file_id=?", file_id)

    def put(self, path: bytes, folder: CachedFolder) -> None:
        """Remember a folder; becomes lasting with `commit`."""
        self._begin()
        self._run("REPLACE INTO folder VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (path, *folder))

    def forget(self, path: bytes) -> None:
        """Forget a folder and everything below it."""
        self._begin()
        self._run("DELETE FROM folder WHERE path=? OR (path>? AND path<?)", (path, path + b"/", path + b"0"))

    def clear(self) -> None:
        """Forget all folders, at once and for good."""
        self._begin()
        self._run("DELETE FROM folder")
        self.commit()

    def commit(self) -> None:
        """Keep what was put since the beginning. Call it when the snapshot is published."""
        if self._connection is not None and self._connection.in_transaction:
            self._run("COMMIT")

    def close(self) -> None:
        """Close the file; what was not committed is forgotten."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _begin(self) -> None:
        if self._connection is not None and not self._connection.in_transaction:
            self._run("BEGIN IMMEDIATE")

    def _run(self, statement: str, values: tuple[object, ...] = ()) -> list[Any]:
        if self._connection is None:
            return []
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error:  # locked by another run, full disk, broken file
            self._give_up()
            return []

    def _give_up(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.close()


def usable_nodes(folder: CachedFolder | None) -> list[bytes]:
    """Return the nodes of a cached folder, none when there is none or it is broken."""
    try:
        return folder.node_list() if folder else []
    except (Damaged, zstandard.ZstdError):
        return []
