"""A vault with several places and a source folder, for tests of the backup."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from backups.engine.backup.messages import Destination
from backups.engine.backup.run import BackupRequest, BackupResult, SourceFolder, backup
from backups.engine.format import BlobType
from backups.engine.format.repository import Repository
from backups.engine.format.tree import Node
from backups.engine.progress import CancelToken, Listener, ignore
from providers.stores.base import ObjectStore
from tests.backups.engine.places import PREFIX, SECRET, Place, fresh_vault, make_place
from tests.restic import stock
from wedbackup.core.clock import SystemClock


class LaterClock(SystemClock):
    """An hour ahead: all files of the test are old enough to be remembered as unchanged."""

    def utcnow(self) -> Any:
        return super().utcnow() + timedelta(hours=1)


class Studio:
    """A source folder and the places "a", "b", "c" ... that hold copies of its vault."""

    def __init__(self, root: Path, places: int = 1) -> None:
        self.source = root / "source"
        self.source.mkdir()
        self.cache = root / "cache.sqlite3"
        self.vault = fresh_vault()
        self.places = {key: make_place(root / key) for key in "abcdefg"[:places]}

    def write(self, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def request(
        self,
        *,
        stores: Mapping[str, ObjectStore] | None = None,
        optional: str = "",
        needed: int | None = None,
        sources: Sequence[str | SourceFolder] = (),
        excludes: tuple[str, ...] = (),
        **fields: Any,
    ) -> BackupRequest:
        """stores: instead of the places' own, by key.   optional: keys of destinations that may lag.

        sources: instead of the one folder; a path has `excludes`.
        """
        destinations = tuple(
            Destination(key, (stores or {}).get(key, place.store), key not in optional)
            for key, place in self.places.items()
        )
        request = BackupRequest(
            sources=tuple(
                SourceFolder(source, excludes) if isinstance(source, str) else source
                for source in sources or (str(self.source),)
            ),
            prefix=PREFIX,
            master=self.vault.master,
            vault_files=(self.vault.config_file, self.vault.key_file),
            destinations=destinations,
            copies_needed=len(destinations) if needed is None else needed,
            cache_path=str(self.cache),
            hostname="studio",
            username="ana",
            clock=LaterClock(),
        )
        return dataclasses.replace(request, **fields)

    def backup(self, listener: Listener = ignore, cancel: CancelToken | None = None, **fields: Any) -> BackupResult:
        return backup(self.request(**fields), listener, cancel)

    def check(self, keys: str = "") -> None:
        """Let stock restic read every byte of the copies at `keys`, all of them by default."""
        for key, place in self.places.items():
            if key in (keys or self.places):
                stock.check(place.path, SECRET)

    def names(self, key: str, kind: str) -> set[str]:
        return set(self.places[key].files(kind))

    def source_tree(self, result: BackupResult) -> bytes | None:
        """Return the tree of the source itself: those above it change with whatever else happens on the machine."""
        return node_at(self.places["a"], result, self.source).subtree

    def read_back(self, result: BackupResult, key: str = "a") -> dict[str, bytes]:
        """Return the content of all files of a snapshot by path below the source, read from one copy."""
        return read_files(self.places[key], result.tree, self.source)


def read_files(place: Place, tree: bytes, source: Path) -> dict[str, bytes]:
    repository = place.open()
    repository.load_index()
    below = str(source).lstrip("/") + "/"
    return {
        path.removeprefix(below): b"".join(bytes(repository.load_blob(BlobType.DATA, blob)) for blob in node.content)
        for path, node in walk(repository, tree)
        if node.type == "file"
    }


def walk(repository: Repository, tree: bytes, path: str = "") -> Iterator[tuple[str, Node]]:
    for node in repository.load_tree(tree):
        name = path + node.name.decode("utf-8", "surrogateescape")
        yield name, node
        if node.subtree is not None:
            yield from walk(repository, node.subtree, f"{name}/")


def node_at(place: Place, result: BackupResult, path: Path) -> Node:
    repository = place.open()
    repository.load_index()
    return dict(walk(repository, result.tree))[str(path).lstrip("/")]


class Interposed(ObjectStore):
    """Passes calls on, but for `put`, before which it calls `before_put(name)`. Not for other processes."""

    def __init__(self, inner: ObjectStore, before_put: Callable[[str], None]) -> None:
        self._inner = inner
        self._before_put = before_put
        self.put_names: list[str] = []

    def put(self, name: str, content: Any, *, sha256: str | None = None) -> Any:
        self._before_put(name)
        info = self._inner.put(name, content, sha256=sha256)
        self.put_names.append(name)
        return info

    def get(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        return self._inner.get(name, offset=offset, length=length)

    def head(self, name: str) -> Any:
        return self._inner.head(name)

    def list(self, prefix: str = "") -> Any:
        return self._inner.list(prefix)

    def delete(self, name: str) -> None:
        self._inner.delete(name)

    def verify(self, name: str, *, sha256: str) -> Any:
        return self._inner.verify(name, sha256=sha256)
