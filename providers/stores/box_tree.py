"""Paths and ids: Box knows its items by number, we know them by path.

A name is looked up by Box's check before an upload: it answers "item_name_in_use" with the item's id and SHA-1. That is
one request for a folder of any size, where a listing takes one per 1000 entries. Ids of folders are remembered.
Functions here raise the SDK's own exceptions, and NameTaken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from box_sdk_gen import BoxAPIError, CreateFolderParent, PreflightFileUploadCheckParent

from providers.stores.box_errors import NameTaken, conflict_of, status_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Item:
    """What has a name; sha1 (lower-case hex) and the id of the newest version are empty for folders."""

    id: str
    is_file: bool
    sha1: str = ""
    version_id: str = ""


class BoxTree:
    """The folders below the location's own. Paths are relative to it, "" is itself; safe for several threads."""

    def __init__(self, client: Any, root_id: str) -> None:
        self._client, self._root_id = client, root_id
        self._known: dict[str, str] = {}  # ids by path in lower case, as Box compares names
        self._lock = threading.Lock()

    def find(self, path: str) -> Item | None:
        """Return what is at `path`; None if nothing is."""
        above, _, leaf = path.rpartition("/")
        return self.within(above, lambda folder_id: self.look(folder_id, leaf))

    def look(self, folder_id: str, name: str, *, size_bytes: int = 0) -> Item | None:
        """Return what is called `name` in this folder; None if a file of `size_bytes` may take the name.

        Raises BoxAPIError also when the check refuses such a file: no space, a bad name, no right to write.
        """
        parent = PreflightFileUploadCheckParent(id=folder_id)
        try:
            checked = self._client.uploads.preflight_file_upload_check(name=name, size=size_bytes, parent=parent)
        except BoxAPIError as exc:
            found = conflict_of(exc)
            if found is None:
                raise
            return _item(found)
        if not checked.upload_url:
            raise ValueError("no upload_url")
        return None

    def within(self, above: str, use: Callable[[str], T], *, make: bool = False) -> T | None:
        """Return `use` of the folder `above`; None if there is none, with `make` it is made.

        When the id that we remembered is gone, once more with the one that is there now.
        """
        folder_id = self.folder(above, make=make)
        try:
            return use(folder_id) if folder_id else None
        except BoxAPIError as exc:
            if status_of(exc) != 404 or not self._forget(above):
                raise
        folder_id = self.folder(above, make=make)
        return use(folder_id) if folder_id else None

    def folder(self, path: str, *, make: bool = False) -> str | None:
        """Return the id of the folder at `path`; None if there is none, with `make` it is made."""
        if not path:
            return self._root_id
        if known := self._known.get(path.lower()):
            return known
        above, _, leaf = path.rpartition("/")
        parent_id = self.folder(above, make=make)
        if parent_id is None:
            return None
        found = self._make(parent_id, leaf) if make else self.look(parent_id, leaf)
        if found is None or (found.is_file and not make):
            return None
        if found.is_file:
            raise NameTaken(f"{path} is a document")
        with self._lock:
            self._known[path.lower()] = found.id
        return found.id

    def items(self, folder_id: str, fields: list[str], page: int) -> Iterator[Any]:
        """Yield the entries of one folder, page by page."""
        marker = None
        while True:
            found = self._client.folders.get_folder_items(
                folder_id, fields=fields, usemarker=True, marker=marker, limit=page
            )
            if found.entries is None:
                raise ValueError("no entries")
            yield from found.entries
            marker = found.next_marker
            if not marker:
                return

    def _make(self, parent_id: str, name: str) -> Item:
        """Make a folder; one that is there already will do."""
        try:
            made = self._client.folders.create_folder(name, CreateFolderParent(id=parent_id))
        except BoxAPIError as exc:
            found = conflict_of(exc)
            if found is None:
                raise
            return _item(found)
        return Item(str(made.id), is_file=False)

    def _forget(self, path: str) -> bool:
        """Forget the ids on the way to `path` and below; say whether any was remembered."""
        path = path.lower()
        with self._lock:
            stale = [known for known in self._known if _is_above(known, path) or _is_above(path, known)]
            for known in stale:
                del self._known[known]
        return bool(stale)


def _item(found: dict[str, Any]) -> Item:
    """Return the item in Box's own words."""
    version = found.get("file_version") or {}
    is_file = found.get("type") == "file"
    return Item(str(found["id"]), is_file, str(found.get("sha1", "")), str(version.get("id", "")))


def _is_above(folder: str, path: str) -> bool:
    return f"{path}/".startswith(f"{folder}/")
