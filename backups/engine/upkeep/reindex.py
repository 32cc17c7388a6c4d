"""Index files lost in every copy are made again from the packs: each carries a sealed list of what it holds."""

from __future__ import annotations

import contextlib

from backups.engine.errors import Damaged
from backups.engine.format import FileKind, file_name
from backups.engine.format.crypto import MasterKey
from backups.engine.format.index import PackRecord, decode_records, encode_records
from backups.engine.format.pack import read_header
from backups.engine.format.repository import pack_document, unpack_document
from backups.engine.upkeep.copies import Copy, fetch_verified, list_kind, object_name
from providers.stores.errors import ObjectNotFound, StoreError


def reindex(copy: Copy, master: MasterKey) -> set[str]:
    """Write index files for the packs of `copy` that no readable index names; return the names of what is mended by it.

    Only packs whose bytes hash to their name are taken. Index files that are damaged are removed once every pack is in
    another one, unless the right to do so is missing. Raises StoreError when the copy cannot be read or written.
    """
    named, broken = _named_packs(copy, master)
    unnamed = list_kind(copy, FileKind.DATA).keys() - named
    records = []
    for pack_id in unnamed:
        with contextlib.suppress(Damaged, ObjectNotFound):
            stored = fetch_verified(copy, FileKind.DATA, pack_id)
            if stored is not None:
                blob_type, blobs = read_header(master, stored, len(stored))
                records.append(PackRecord(pack_id, blob_type, blobs))
    for fields in encode_records(records):
        file_id, sealed = pack_document(master, fields)
        if copy.store.put(object_name(copy, FileKind.INDEX, file_id), sealed, sha256=file_id).proof is None:
            copy.store.verify(object_name(copy, FileKind.INDEX, file_id), sha256=file_id)
    mended = {file_name(FileKind.DATA, record.pack_id) for record in records}
    for file_id in broken if len(records) == len(unnamed) else ():
        with contextlib.suppress(StoreError):
            copy.store.delete(object_name(copy, FileKind.INDEX, file_id))
            mended.add(file_name(FileKind.INDEX, file_id))
    return mended


def _named_packs(copy: Copy, master: MasterKey) -> tuple[set[str], list[str]]:
    """Return the packs that the readable index files name, and the index files that are not readable."""
    named: set[str] = set()
    broken: list[str] = []
    for file_id in list_kind(copy, FileKind.INDEX):
        stored = fetch_verified(copy, FileKind.INDEX, file_id)
        if stored is None:
            broken.append(file_id)
            continue
        named.update(record.pack_id for record in decode_records(unpack_document(master, file_id, stored)))
    return named, broken
