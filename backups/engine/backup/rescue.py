"""What is still good in packs that are whole nowhere: it goes into new packs, so that the bad ones can be given up.

One flipped bit spoils one blob; the others of its pack may belong to files that the source no longer has. Of what one
copy does not give, the next is asked. What none gives is read from the source again, if that still has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from backups.engine.backup.fanout import BUFFER_BYTES, store_proved
from backups.engine.backup.survey import Survey, VaultCopy
from backups.engine.errors import Damaged
from backups.engine.format import PACK_TARGET_BYTES, BlobType, FileKind
from backups.engine.format.compression import compress_if_worth
from backups.engine.format.crypto import MasterKey
from backups.engine.format.index import Entry, PackRecord
from backups.engine.format.pack import PackBuilder, PackedBlob, open_blob
from backups.engine.parallel import each
from backups.engine.restore.ranges import BlobPlace, PackRange, merge_ranges
from providers.stores.errors import ChecksumMismatch, ObjectNotFound, StoreError


def rescue(
    found: Survey, copies: Sequence[VaultCopy], master: MasterKey, level: int, pulse: Callable[[], None]
) -> None:
    """Store the good blobs of `found.lost` packs anew and count them as adopted. `pulse` may raise Cancelled.

    A pack that was not answered for, at one copy or another, is not given up: then no index is shrunk in this run.
    """
    lying = {pack_id for pack_id in found.lost if any(pack_id in copy.listing[FileKind.DATA] for copy in copies)}
    if not lying:
        return
    work = _Rescue(found, copies, master, level, pulse)
    for pack_id in sorted(lying):
        work.take(pack_id)
    work.flush()
    if work.unanswered:
        found.shrunk.clear()
    else:
        found.given_up = lying


@dataclass
class _Rescue:
    found: Survey
    copies: Sequence[VaultCopy]
    master: MasterKey
    level: int
    pulse: Callable[[], None]
    unanswered: bool = False
    open_packs: dict[BlobType, PackBuilder] = field(default_factory=dict)

    def take(self, pack_id: str) -> None:
        for record in self.found.lost_records[pack_id]:
            known = self.found.known.data if record.blob_type is BlobType.DATA else self.found.known.trees
            wanted = [blob for blob in record.blobs if blob.blob_id not in known]
            for copy in self.copies:
                size = copy.listing[FileKind.DATA].get(pack_id)
                if size is None or not wanted:
                    continue
                self.pulse()
                for blob_id, plain in self._good(copy, pack_id, size, wanted):
                    self._keep(record.blob_type, blob_id, plain)
                    known.add(blob_id)
                wanted = [blob for blob in wanted if blob.blob_id not in known]

    def _good(
        self, copy: VaultCopy, pack_id: str, size: int, wanted: Sequence[PackedBlob]
    ) -> Iterator[tuple[bytes, bytes | memoryview]]:
        """Yield the wanted blobs that this copy gives, as plain text."""
        there = [
            (blob.blob_id, Entry(pack_id, blob.offset, blob.length, blob.plain_length))
            for blob in wanted
            if blob.offset + blob.length <= size
        ]
        for part in merge_ranges(there):
            stored = self._range(copy, part)
            for blob in part.blobs if stored is not None else ():
                opened = self._opened(blob, memoryview(stored or b"")[blob.offset - part.start :])
                if opened is not None:
                    yield blob.blob_id, opened

    def _range(self, copy: VaultCopy, part: PackRange) -> bytes | None:
        name = copy.repository.name(FileKind.DATA, part.pack_id)
        try:
            return copy.repository.store.get(name, offset=part.start, length=part.length)
        except (ObjectNotFound, ChecksumMismatch):
            return None
        except StoreError:
            self.unanswered = True
            return None

    def _opened(self, blob: BlobPlace, stored: memoryview) -> bytes | memoryview | None:
        try:
            return open_blob(self.master, stored[: blob.length], blob.plain_length, blob.blob_id)
        except Damaged:
            return None

    def _keep(self, blob_type: BlobType, blob_id: bytes, plain: bytes | memoryview) -> None:
        packed = compress_if_worth(plain, self.level)
        content, plain_length = (plain, 0) if packed is None else (packed, len(plain))
        pack = self.open_packs.get(blob_type)
        if pack is not None and (pack.length >= PACK_TARGET_BYTES or not pack.has_room(len(content))):
            self._send(self.open_packs.pop(blob_type))
            pack = None
        if pack is None:
            pack = self.open_packs[blob_type] = PackBuilder(self.master, blob_type, bytearray(BUFFER_BYTES))
        pack.add(blob_id, content, plain_length)

    def flush(self) -> None:
        for pack in self.open_packs.values():
            self._send(pack)
        self.open_packs.clear()

    def _send(self, pack: PackBuilder) -> None:
        """Store the pack at every copy; one that fails lacks it, and is brought up to date like any other."""
        view = pack.finish()
        pack_id, size = sha256(view).hexdigest(), len(view)
        by_number: Mapping[int, VaultCopy] = {copy.number: copy for copy in self.copies}

        def put(number: int) -> None:
            repository = by_number[number].repository
            store_proved(repository.store, repository.name(FileKind.DATA, pack_id), view, pack_id)

        answers = each(by_number, put, self.pulse)
        for number, answer in answers.items():
            if not isinstance(answer, Exception):
                by_number[number].listing[FileKind.DATA][pack_id] = size
        if any(not isinstance(answer, Exception) for answer in answers.values()):
            record = PackRecord(pack_id, pack.blob_type, pack.blobs)
            self.found.packs[pack_id] = size
            self.found.adopted.append(record)
            self.found.add(record)
        else:
            self.unanswered = True  # nothing took it: what it holds must not go
