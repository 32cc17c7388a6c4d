"""Back up folders into a vault: one read of the source, the same packs to all destinations, acknowledged together.

The order is what makes it safe: packs, then index, then snapshot, at each destination; a destination that missed
anything gets neither of the last two, and with fewer whole copies than the policy asks for there is no snapshot at all.
Nothing stored is lost then: the next run finds the packs and adopts them.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from backups.engine.backup.blobwriter import OPEN_TREE_PACKS, BlobWriter
from backups.engine.backup.board import Board
from backups.engine.backup.claims import LocalClaims, SharedClaims
from backups.engine.backup.crew import BackupCrew, is_portable
from backups.engine.backup.fanout import FanOut
from backups.engine.backup.fileworker import OPEN_PACKS, FileWorker
from backups.engine.backup.foldercache import FolderCache
from backups.engine.backup.ledger import Ledger, Outcome
from backups.engine.backup.messages import Destination, SourceRoot, WorkerSetup
from backups.engine.backup.opening import Opening, vault_of
from backups.engine.backup.parents import find_parent, load_snapshot
from backups.engine.backup.publish import Document, Publishing, index_documents, snapshot_document
from backups.engine.backup.reading import Counts, SourceReading
from backups.engine.backup.rescue import rescue
from backups.engine.backup.scanner import Scanner
from backups.engine.backup.selection import FoundSource, Selection, SourceFolder, recorded_excludes
from backups.engine.backup.sources import find_root
from backups.engine.backup.survey import Survey, VaultCopy, survey
from backups.engine.errors import SourceMissing, SourceUnreadable
from backups.engine.format import BlobType, FileKind, to_nanoseconds
from backups.engine.format.compression import DEFAULT_LEVEL
from backups.engine.format.crypto import MasterKey
from backups.engine.format.repository import Config, read_config
from backups.engine.format.snapshot import Snapshot, encode_snapshot
from backups.engine.progress import CancelToken, Listener, ignore
from backups.engine.upkeep.copies import NOTHING_FORGOTTEN, Forgotten
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

__all__ = ["BackupRequest", "BackupResult", "Destination", "Outcome", "SourceFolder", "backup"]

ABANDON_SECONDS = 0.7  # for uploads under way after a cancel, so that they leave no temporary file


@dataclass(frozen=True)
class BackupRequest:
    """What to back up, and where to.

    sources:       folders, each with its own patterns.
    prefix:        of the vault at every location, "" or ending in "/".
    master:        the vault's master key.
    vault_files:   its (config file, key file), which a location that has nothing yet is given.
    config:        its config; None: read from `vault_files`.
    destinations:  one per location.
    copies_needed: fewer whole copies than this are no backup.
    cache_path:    of the local cache of folders; None: every file is read.
    level:         of zstd.
    workers:       processes for runs with much to read; 0: never any.
    """

    sources: tuple[SourceFolder, ...]
    prefix: str
    master: MasterKey
    vault_files: tuple[bytes, bytes]
    destinations: tuple[Destination, ...]
    copies_needed: int = 1
    config: Config | None = None
    cache_path: str | None = None
    hostname: str = "wedbackup"
    username: str = "wedbackup"
    tags: tuple[str, ...] = ()
    recorded: Collection[str] | None = None
    forgotten: Forgotten = NOTHING_FORGOTTEN
    level: int = DEFAULT_LEVEL
    workers: int = 2
    clock: Clock = SYSTEM_CLOCK


@dataclass
class BackupResult:
    """What a backup made.

    snapshot_id, parent: hex.   tree: id of the root tree.   time: when the reading began, Unix time [ns].
    files_*, folders_total: how many; total = new + changed + unchanged, as listed, and unread are not stored of them.
    bytes_total:  size of all files [bytes].   bytes_read: of those that were read.
    bytes_stored: of new packs, once, not per location.
    packs_lost:   packs that were gone everywhere; what the source still has of them was stored anew.
    unstable:     (path, reason) of files that changed whenever they were read; the last reading is stored.
    unreadable:   (path, reason) of what could not be read; it is not in the snapshot.
    partly:       (path, reason) of what is stored without something that belongs to it.
    sources:      each as it was found, also those that were missing and are not in the snapshot.
    outcomes:     by destination key.
    unrecorded:   earlier snapshots of ours that the caller does not know, oldest first: its process was killed between
                  their being published and recorded.
    """

    snapshot_id: str
    tree: bytes
    time: int
    parent: str | None
    files_total: int = 0
    files_unread: int = 0
    files_new: int = 0
    files_changed: int = 0
    files_unchanged: int = 0
    folders_total: int = 0
    bytes_total: int = 0
    bytes_read: int = 0
    bytes_stored: int = 0
    packs_lost: int = 0
    unstable: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    partly: list[tuple[str, str]] = field(default_factory=list)
    sources: list[FoundSource] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    unrecorded: list[Snapshot] = field(default_factory=list)


def backup(request: BackupRequest, listener: Listener = ignore, cancel: CancelToken | None = None) -> BackupResult:
    """Back the sources up and return what was made, once `copies_needed` destinations hold all of it.

    A source that is missing stops no other: it is told in the result. Call it from any thread. The listener is called
    at most about ten times a second, from this thread.

    Raises SourceMissing or SourceUnreadable when no source can be read, TooFewCopies (with the outcomes), Cancelled,
    WorkerDied, Damaged, Locked.
    After any of them the vault is as it was before, but for packs that the next run makes use of.
    """
    selection = Selection(request.sources)
    roots = _outermost(_find_roots(selection))
    board = Board()
    ledger = Ledger(
        request.destinations, request.copies_needed, board, listener, cancel or CancelToken(), request.clock
    )
    with contextlib.ExitStack() as stack:
        stack.callback(board.close)
        return _Run(request, selection, roots, ledger, cancel or CancelToken(), stack).run()


class _Run:
    """The steps of one backup. `stack` holds what must be released, whatever happens."""

    def __init__(
        self,
        request: BackupRequest,
        selection: Selection,
        roots: tuple[SourceRoot, ...],
        ledger: Ledger,
        cancel: CancelToken,
        stack: contextlib.ExitStack,
    ) -> None:
        self._request = request
        self._selection = selection
        self._roots = roots
        self._ledger = ledger
        self._cancel = cancel
        self._stack = stack
        self._forgotten = NOTHING_FORGOTTEN  # until it is known what is listed
        self._config = request.config or read_config(request.master, request.vault_files[0])
        vault = vault_of(request.master, self._config, request.vault_files)
        self._opening = Opening(request.destinations, request.prefix, vault, ledger)

    def run(self) -> BackupResult:
        request, ledger, opening = self._request, self._ledger, self._opening
        began = to_nanoseconds(request.clock.utcnow())
        ledger.pulse("open")
        opening.open()
        hold = opening.lock(self._stack, request.clock)
        copies = self._visible(opening.list())
        cache = FolderCache(request.cache_path, self._config.repository_id)
        self._stack.callback(cache.close)
        found = survey(copies, cache, ledger.pulse)
        rescue(found, copies, request.master, request.level, ledger.pulse)
        tree, counts = self._read(found, cache)
        self._note_unmet()
        paths = tuple(sorted(source.name for source in self._selection.sources if not source.missing))
        parent = find_parent(copies, paths, request.hostname, cache)

        opening.confirm(hold)
        snapshot_id = self._publish(copies, found, cache, tree, parent, paths, began)
        ledger.pulse("done")
        result = self._result(snapshot_id, tree, began, parent, counts, found)
        result.unrecorded = self._unrecorded(copies, cache)
        return result

    def _unrecorded(self, copies: list[VaultCopy], cache: FolderCache) -> list[Snapshot]:
        """Return our own snapshots that lay there when the run began and that the caller has not recorded."""
        if self._request.recorded is None:
            return []
        shown = {file_id for copy in copies for file_id in copy.listing[FileKind.SNAPSHOTS]}
        loaded = [load_snapshot(copies, file_id, cache) for file_id in shown.difference(self._request.recorded)]
        ours = [snapshot for snapshot in loaded if snapshot is not None and snapshot.is_ours]
        return sorted(ours, key=lambda snapshot: snapshot.time)

    def _visible(self, copies: list[VaultCopy]) -> list[VaultCopy]:
        """Hide what was forgotten, and what only forgotten snapshots needed."""
        keys = {copy.number: self._request.destinations[copy.number].key for copy in copies}
        listed = {snapshot for copy in copies for snapshot in copy.listing[FileKind.SNAPSHOTS]}
        self._forgotten = self._request.forgotten.asked_for(listed)
        shown = self._forgotten.visible({keys[copy.number]: copy.listing for copy in copies})
        unpruned = self._forgotten.unpruned
        return [
            replace(copy, listing=shown[keys[copy.number]], unpruned=keys[copy.number] in unpruned) for copy in copies
        ]

    def _publish(
        self,
        copies: list[VaultCopy],
        found: Survey,
        cache: FolderCache,
        tree: bytes,
        parent: str | None,
        paths: tuple[str, ...],
        began: int,
    ) -> str:
        """Make the packs of this run visible at every whole destination and return the snapshot's id."""
        request, ledger = self._request, self._ledger
        publishing = Publishing(
            request.destinations,
            self._opening,
            copies,
            found,
            ledger,
            request.copies_needed,
            self._forgotten,
            self._cancel,
        )
        publishing.catch_up()
        records = [*ledger.records, *found.adopted]
        all_answered = len(copies) == len(request.destinations)
        if all_answered:  # a destination that is away may hold what seems lost
            records += [record for kept in found.shrunk.values() for record in kept]
        documents = index_documents(request.master, records)
        publishing.publish(documents, "index")
        fields = encode_snapshot(
            time=began,
            tree=tree,
            paths=paths,
            hostname=request.hostname,
            username=request.username,
            tags=request.tags,
            parent=parent,
            excludes=recorded_excludes(request.sources),
        )
        documents.append(snapshot_document(request.master, fields))
        ledger.commit()
        publishing.publish(documents[-1:], "snapshot")
        if all_answered:
            publishing.remove_what_was_given_up()
        publishing.mark_complete()
        ledger.note_behind({copy.number: found.missing_at(copy) for copy in copies})
        self._keep(cache, copies, documents)
        return documents[-1][1]

    def _keep(self, cache: FolderCache, copies: list[VaultCopy], documents: list[Document]) -> None:
        """Make what the cache learned lasting, now that the snapshot which it describes is."""
        kinds = (FileKind.INDEX, FileKind.SNAPSHOTS)
        cache.keep_documents({file_id for copy in copies for kind in kinds for file_id in copy.listing[kind]})
        for _, file_id, stored in documents:
            cache.put_document(file_id, stored)
        cache.commit()

    def _read(self, found: Survey, cache: FolderCache) -> tuple[bytes, Counts]:
        """Read the sources, and return the root tree and the counts when every pack is where it must be."""
        request, ledger = self._request, self._ledger
        report = ledger.events.put
        fan_out = FanOut(
            request.destinations, request.prefix, ledger.board, report, open_packs=OPEN_TREE_PACKS + OPEN_PACKS
        )
        trees = BlobWriter(
            request.master, BlobType.TREE, LocalClaims(found.known.trees), fan_out, report, request.level
        )
        crew = self._crew(found, fan_out)
        scanner = Scanner(
            self._selection,
            cache,
            found.known,
            lambda: to_nanoseconds(request.clock.utcnow()),
            len(self._roots),
        )
        reading = SourceReading(self._roots, self._selection, scanner, crew, trees, cache, ledger)
        with _stopped_on_failure(crew, fan_out, ledger.board):
            tree = reading.run()
            ledger.pulse("upload")
            trees.flush()
            fan_out.finish(self._tell)
            ledger.take_all()
        return tree, reading.counts

    def _note_unmet(self) -> None:
        """A source within another is read with that one; behind a link, which is stored as a link, it is not."""
        for source in self._selection.sources:
            if not source.missing and not source.device:
                source.missing = f"the folder {source.name} was not met in the folder around it; is it behind a link?"

    def _tell(self) -> None:
        self._ledger.take_all()
        self._ledger.pulse()

    def _crew(self, found: Survey, fan_out: FanOut) -> BackupCrew:
        request, ledger, roots = self._request, self._ledger, self._roots
        spool = f"{request.cache_path}.spool" if request.cache_path else None
        if spool is not None:  # a killed run may have left copies there
            shutil.rmtree(spool, ignore_errors=True)
            self._stack.callback(shutil.rmtree, spool, ignore_errors=True)

        def make_setup(claims: SharedClaims) -> WorkerSetup:
            return WorkerSetup(
                request.master,
                self._config.polynomial,
                request.level,
                request.prefix,
                request.destinations,
                roots,
                ledger.board.fd,
                claims.fd,
                spool,
            )

        def make_local() -> FileWorker:
            return FileWorker(
                -1,
                master=request.master,
                polynomial=self._config.polynomial,
                level=request.level,
                roots=roots,
                board=ledger.board,
                claims=LocalClaims(found.known.data),
                fan_out=fan_out,
                report=ledger.events.put,
                spool=spool,
            )

        return BackupCrew(
            workers=request.workers,
            make_setup=make_setup,
            known=found.known.data,
            make_local=make_local,
            portable=is_portable(request.destinations),
            events=ledger.events,
        )

    def _result(
        self, snapshot_id: str, tree: bytes, began: int, parent: str | None, counts: Counts, found: Survey
    ) -> BackupResult:
        return BackupResult(
            snapshot_id=snapshot_id,
            tree=tree,
            time=began,
            parent=parent,
            files_total=counts.files_total,
            files_unread=counts.files_unread,
            files_new=counts.files_new,
            files_changed=counts.files_changed,
            files_unchanged=counts.files_unchanged,
            folders_total=counts.folders_total,
            bytes_total=counts.bytes_total,
            bytes_read=counts.bytes_read,
            bytes_stored=self._ledger.bytes_stored,
            packs_lost=len(found.lost),
            unstable=counts.unstable,
            unreadable=counts.unreadable,
            partly=counts.partly,
            sources=self._selection.sources,
            outcomes=self._ledger.by_key(),
        )


@contextlib.contextmanager
def _stopped_on_failure(crew: BackupCrew, fan_out: FanOut, board: Board) -> Iterator[None]:
    try:
        yield
    except BaseException:
        board.cancel()
        fan_out.abandon(ABANDON_SECONDS)
        raise
    finally:
        crew.stop()


def _find_roots(selection: Selection) -> list[SourceRoot]:
    """Return the sources that are there and note which are not; raises the last one's reason when none is."""
    roots: list[SourceRoot] = []
    reason: SourceMissing | SourceUnreadable = SourceMissing("there is no folder to back up")
    for source in selection.sources:
        try:
            roots.append(find_root(source.name))
        except (SourceMissing, SourceUnreadable) as exc:
            source.missing, reason = str(exc), exc
    if not roots:
        raise reason
    return roots


def _outermost(roots: list[SourceRoot]) -> tuple[SourceRoot, ...]:
    """Return the sources without those that lie within another, sorted."""
    kept: list[SourceRoot] = []
    for root in sorted(set(roots), key=lambda root: (root.path != b"/", root.path.split(b"/"))):
        within = (kept_root.path.rstrip(b"/") + b"/" for kept_root in kept)
        if not any(root.path == b"/" or root.path.startswith(folder) for folder in within):
            kept.append(root)
    return tuple(kept)
