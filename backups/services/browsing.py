"""Looking into a snapshot from the site: its folders, and parts of its files, from whichever copy answers.

An index takes longer to load than eight MiB to read, and a download asks for many pieces: the last few opened vaults
are kept for a minute. Snapshots never change, so what is kept cannot be wrong; a newer snapshot opens the vault again.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backups.engine.errors import RepositoryMissing
from backups.engine.format.tree import Node
from backups.engine.restore.browse import locate, read_range
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.upkeep.copies import Place
from backups.models import Copy, Snapshot
from backups.services.damage import damage_met
from backups.services.opening import copies_of, copy_key
from backups.services.vaults import vault_master
from providers.services.locations import RECOVERY, location_open
from providers.stores.base import ObjectStore
from providers.stores.errors import StoreError
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

KEPT = 4
KEPT_SECONDS = 60.0

_guard = threading.Lock()
_kept: OrderedDict[object, tuple[float, Browser]] = OrderedDict()


@dataclass(frozen=True)
class Browser:
    """One snapshot, opened. base: the folders above the sources, which say nothing to a person.

    copies: those it is read from. What is found damaged there is noted, and a check of that copy is queued.
    """

    reader: VaultReader
    tree: bytes
    base: bytes
    copies: tuple[Copy, ...]
    clock: Clock

    def locate(self, path: bytes) -> Node:
        """Return what is at `path` below `base`. Raises NotInSnapshot or Damaged."""
        with self._noting():
            return locate(self.reader, self.tree, b"/".join(part for part in (self.base, path) if part))

    def folder(self, path: bytes) -> list[Node]:
        """Return the entries of a folder, folders first. Raises NotInSnapshot or Damaged."""
        node = self.locate(path)
        with self._noting():
            nodes = self.reader.load_tree(node.subtree) if node.subtree is not None else []
        return sorted(nodes, key=lambda each: (each.subtree is None, each.name.lower()))

    def read(self, node: Node, *, offset: int, length: int) -> bytes:
        """Return `length` bytes of a file from `offset` on. Raises BlobMissing or Damaged."""
        with self._noting():
            return b"".join(read_range(self.reader, node, offset=offset, length=length))

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        before = len(self.reader.problems)
        try:
            yield
        finally:
            damage_met(self.copies, self.reader.problems[before:], clock=self.clock)


def snapshot_browse(snapshot: Snapshot, *, clock: Clock = SYSTEM_CLOCK) -> Browser:
    """Open `snapshot` for looking into it.

    Raises StoreError when no copy answers, RepositoryMissing when there is none, SealingError without the key file.
    """
    with _guard:
        known = _kept.get(snapshot.pk)
        if known is not None and clock.monotonic() - known[0] < KEPT_SECONDS:
            _kept.move_to_end(snapshot.pk)
            return known[1]
    browser = _open(snapshot, clock)
    with _guard:
        _kept[snapshot.pk] = (clock.monotonic(), browser)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return browser


def _open(snapshot: Snapshot, clock: Clock) -> Browser:
    vault = snapshot.vault
    copies = copies_of(vault)
    places, failure = _places(copies, vault.prefix)
    if not places:
        raise failure or RepositoryMissing("the vault has no copies")
    reader = VaultReader(places, vault_master(vault))
    tree = bytes.fromhex(snapshot.tree)
    try:
        reader.load_index()
        base = _base(reader, tree)
    finally:
        damage_met(copies, reader.problems, clock=clock)
    return Browser(reader, tree, base, tuple(copies), clock)


def _places(copies: Sequence[Copy], prefix: str) -> tuple[dict[str, Place], StoreError | None]:
    places: dict[str, Place] = {}
    failure: StoreError | None = None
    for copy in copies:
        try:
            # Not closed: the reader lives on in `_kept`, and its connections end with it.
            store: ObjectStore = location_open(copy.location, purpose=RECOVERY)
        except StoreError as error:
            failure = error
            continue
        places[copy_key(copy)] = Place(store, prefix)
    return places, failure


def _base(reader: VaultReader, tree: bytes) -> bytes:
    """Return the path from the root down to the first folder that holds more than one folder."""
    parts: list[bytes] = []
    nodes = reader.load_tree(tree)
    while len(nodes) == 1 and nodes[0].subtree is not None:
        parts.append(nodes[0].name)
        nodes = reader.load_tree(nodes[0].subtree)
    return b"/".join(parts)
