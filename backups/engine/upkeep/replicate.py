"""Bring one copy of a vault up to date from other copies, or repair it. Needs no key.

The order is that of every writer: keys, packs, index, snapshots. Whatever step is interrupted, the target is whole; it
only misses the newest snapshots. What a source gives is hashed before it is put, so rot never travels.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from backups.engine.errors import Damaged, RepositoryExists, RepositoryMissing
from backups.engine.format import CONFIG_NAME, FileKind, file_name, hash_hex
from backups.engine.progress import CancelToken, Listener, Progress, ignore
from backups.engine.streams import in_streams
from backups.engine.upkeep.copies import (
    NOTHING_FORGOTTEN,
    PUBLISHING_ORDER,
    Copy,
    CopyProblem,
    Forgotten,
    Listing,
    fetch_config,
    fetch_verified,
    list_copy,
    object_name,
)
from providers.stores.errors import ChecksumMismatch, ObjectNotFound, StoreError

STREAMS = 4  # each holds one pack in memory


@dataclass(slots=True)
class ReplicateResult:
    """What a replication did.

    copied:          names put at the target (relative to the vault), with their size [bytes].
    present:         how many files the target had already.
    deleted:         names removed from the target (only with `mirror`).
    missing:         names that no source could give; then nothing that might need them was published.
    source_problems: what was unreadable or damaged at which source.
    """

    copied: dict[str, int] = field(default_factory=dict)
    present: int = 0
    deleted: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    source_problems: list[CopyProblem] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether the target holds everything that the sources have."""
        return not self.missing

    @property
    def bytes_copied(self) -> int:
        return sum(self.copied.values())


def replicate(
    sources: Mapping[str, Copy],
    target: Copy,
    *,
    damaged: Collection[str] = (),
    forgotten: Forgotten = NOTHING_FORGOTTEN,
    mirror: bool = False,
    streams: int = STREAMS,
    listener: Listener = ignore,
    cancel: CancelToken | None = None,
) -> ReplicateResult:
    """Copy to `target` what it lacks and the sources have.

    sources: copies by label, the preferred one first; that one also decides which key files exist, so that a key
             taken away does not come back from a copy that lagged behind.
    damaged: names at the target, such as "data/3f/3f1a..." or "config", to be put again although they are there.
    forgotten: what is never copied again; its labels are those of `sources`.
    mirror:  the first source was pruned: remove at the target what it does not have (snapshots, index, packs).
    streams: transfers at once; memory is about one pack each.

    A file counts as present when name and size agree. Raises RepositoryMissing when no source has a vault,
    RepositoryExists when the target holds another one, Damaged when no good config is left, Cancelled, and
    StoreError when the target fails; trouble at a source is noted and the next one is asked.
    """
    work = _Replication(sources, target, frozenset(damaged), forgotten, streams, listener, cancel or CancelToken())
    return work.run(mirror)


class _Replication:
    def __init__(
        self,
        sources: Mapping[str, Copy],
        target: Copy,
        damaged: frozenset[str],
        forgotten: Forgotten,
        streams: int,
        listener: Listener,
        cancel: CancelToken,
    ) -> None:
        self._sources = sources
        self._target = target
        self._damaged = damaged
        self._forgotten = forgotten
        self._streams = streams
        self._listener = listener
        self._cancel = cancel
        self._result = ReplicateResult()
        self._progress = Progress(step="compare")
        self._guard = threading.Lock()

    def run(self, mirror: bool) -> ReplicateResult:
        listings = self._forgotten.visible(self._list_sources(mirror))
        config = self._choose_config(listings)
        before = list_copy(self._target)
        wanted = _wanted(listings, mirror)
        lacking = {kind: self._lacking(kind, wanted[kind], before[kind]) for kind in PUBLISHING_ORDER}
        self._progress.files_total = sum(map(len, lacking.values()))
        self._progress.bytes_total = sum(size for files in lacking.values() for size in files.values())
        self._progress.total_known = True
        for kind in PUBLISHING_ORDER:
            if kind is FileKind.INDEX and self._result.missing:
                return self._result  # an index that promises packs which are not there must not appear
            self._transfer(kind, lacking[kind], listings)
            if kind is FileKind.KEYS:
                self._put_config(config)
        if mirror and self._result.complete:
            self._delete_extra(before, wanted)
        return self._result

    def _list_sources(self, mirror: bool) -> dict[str, Listing]:
        listings: dict[str, Listing] = {}
        for label, source in self._sources.items():
            try:
                listings[label] = list_copy(source)
            except StoreError as exc:
                if mirror and not listings:
                    raise  # its list is the pattern to mirror: another one will not do
                self._note(label, "", exc)
        if not listings:
            raise RepositoryMissing("no source of the replication answers")
        return listings

    def _choose_config(self, listings: Iterable[str]) -> bytes:
        """Return the config most sources agree on: without the key that is all that can be said about it."""
        votes: Counter[bytes] = Counter()
        for label in listings:
            try:
                content = fetch_config(self._sources[label])
            except StoreError as exc:
                self._note(label, CONFIG_NAME, exc)
                continue
            if content is None:
                self._note(label, CONFIG_NAME, ObjectNotFound("it has no config file"))
            else:
                votes[content] += 1
        there = fetch_config(self._target)
        if there is not None and CONFIG_NAME not in self._damaged:
            if votes and there not in votes:
                raise RepositoryExists("the target holds another vault, or its config is damaged")
            return there
        if not votes:
            raise RepositoryMissing("no source has a config file")
        (config, most), *others = votes.most_common(2)
        if others and others[0][1] == most:
            raise Damaged("the sources' config files differ; check them with the vault's key and name the damaged one")
        return config

    def _put_config(self, config: bytes) -> None:
        if fetch_config(self._target) != config:
            self._put(CONFIG_NAME, config, hash_hex(config))
        else:
            self._result.present += 1

    def _lacking(self, kind: FileKind, wanted: Mapping[str, int], there: Mapping[str, int]) -> dict[str, int]:
        lacking = {
            file_id: size
            for file_id, size in wanted.items()
            if there.get(file_id) != size or file_name(kind, file_id) in self._damaged
        }
        self._result.present += len(wanted) - len(lacking)
        return lacking

    def _transfer(self, kind: FileKind, files: Mapping[str, int], listings: Mapping[str, Listing]) -> None:
        self._progress.step = kind.value

        def transfer(file_id: str) -> None:
            self._cancel.check()
            holders = [label for label, listing in listings.items() if file_id in listing[kind]]
            content = self._fetch(kind, file_id, holders)
            if content is not None:
                self._put(file_name(kind, file_id), content, file_id)
            elif not self._is_whole(kind, file_id):
                with self._guard:
                    self._result.missing.append(file_name(kind, file_id))

        in_streams(files, transfer, self._streams)

    def _fetch(self, kind: FileKind, file_id: str, holders: Iterable[str]) -> bytes | None:
        for label in holders:
            try:
                content = fetch_verified(self._sources[label], kind, file_id)
            except StoreError as exc:
                self._note(label, file_name(kind, file_id), exc)
                continue
            if content is not None:
                return content
            self._note(label, file_name(kind, file_id), Damaged("its bytes do not hash to its name"))
        return None

    def _is_whole(self, kind: FileKind, file_id: str) -> bool:
        """Whether the target's own file is good after all: the sources may be the ones with the wrong size."""
        try:
            self._target.store.verify(object_name(self._target, kind, file_id), sha256=file_id)
        except (ObjectNotFound, ChecksumMismatch):
            return False
        return True

    def _put(self, name: str, content: bytes, sha256: str) -> None:
        store = self._target.store
        if store.put(self._target.prefix + name, content, sha256=sha256).proof is None:
            store.verify(self._target.prefix + name, sha256=sha256)
        with self._guard:
            self._result.copied[name] = len(content)
            self._progress.files_done += 1
            self._progress.bytes_done += len(content)
            self._progress.bytes_new += len(content)
            self._progress.current = name
        self._listener(self._progress)

    def _delete_extra(self, before: Listing, wanted: Listing) -> None:
        """Remove what the first source no longer has; snapshots first, so that what is listed is always whole."""
        self._progress.step = "delete"
        for kind in (FileKind.SNAPSHOTS, FileKind.INDEX, FileKind.DATA, FileKind.KEYS):
            for file_id in before[kind].keys() - wanted[kind].keys():
                self._cancel.check()
                self._target.store.delete(object_name(self._target, kind, file_id))
                self._result.deleted.append(file_name(kind, file_id))

    def _note(self, label: str, name: str, error: Exception) -> None:
        with self._guard:
            self._result.source_problems.append(CopyProblem.of(label, name, error))


def _wanted(listings: Mapping[str, Listing], mirror: bool) -> Listing:
    """Return what the target shall have: the first source's files, and without `mirror` everybody's."""
    first, *others = listings.values()
    wanted: Listing = {kind: dict(first[kind]) for kind in PUBLISHING_ORDER}
    for other in () if mirror else others:
        for kind in (FileKind.DATA, FileKind.INDEX, FileKind.SNAPSHOTS):
            wanted[kind] = other[kind] | wanted[kind]
    return wanted
