"""Verify a copy of a vault without its key: names, sizes and hashes. All that rot and loss can do shows here."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from backups.engine.format import CONFIG_NAME, FileKind, file_name
from backups.engine.progress import CancelToken, Listener, Progress, ignore
from backups.engine.streams import in_streams
from backups.engine.upkeep.copies import Copy, Listing, fetch_config, list_copy
from backups.engine.upkeep.findings import CheckResult, Finding, Kind
from providers.stores.errors import ChecksumMismatch, ObjectNotFound, StoreError

STREAMS = 4


def verify_without_key(
    copy: Copy,
    *,
    expected: Listing | None = None,
    streams: int = STREAMS,
    listener: Listener = ignore,
    cancel: CancelToken | None = None,
) -> CheckResult:
    """Verify that every file of a copy has the content its name says, by the provider's hash or by reading it.

    expected: what the copy shall have, as `list_copy` of a good copy gives it; None means what is there.

    Raises StoreError when the location cannot be listed, Cancelled.
    """
    cancel = cancel or CancelToken()
    listing = list_copy(copy)
    result = CheckResult(findings=list(_compare_listings(listing, expected or listing)))
    if fetch_config(copy) is None:
        result.findings.append(
            Finding(Kind.CONFIG_MISSING, CONFIG_NAME, "without it no program takes this for a vault")
        )
    sizes = {file_name(kind, file_id): size for kind, files in listing.items() for file_id, size in files.items()}
    progress = Progress(step="verify", files_total=len(sizes), bytes_total=sum(sizes.values()), total_known=True)
    guard = threading.Lock()

    def verify(name: str) -> None:
        cancel.check()
        finding: Finding | None = None
        try:
            copy.store.verify(copy.prefix + name, sha256=name.rsplit("/", 1)[1])
        except (ObjectNotFound, ChecksumMismatch) as exc:
            finding = Finding(_damage_of(name), name, str(exc))
        except StoreError as exc:
            finding = Finding(Kind.NOT_READ, name, str(exc))
        with guard:
            result.findings += [finding] if finding else []
            result.packs += name.startswith(FileKind.DATA)
            result.bytes_read += sizes[name]
            progress.files_done += 1
            progress.bytes_done += sizes[name]
        listener(progress)

    in_streams(sizes, verify, streams)
    return result


def _compare_listings(listing: Listing, expected: Listing) -> Iterable[Finding]:
    for kind, files in expected.items():
        for file_id, size in files.items():
            there = listing[kind].get(file_id)
            if there is None:
                missing = Kind.PACK_MISSING if kind is FileKind.DATA else Kind.FILE_MISSING
                yield Finding(missing, file_name(kind, file_id), "other copies have it")
            elif there != size:
                yield Finding(
                    _damage_of(file_name(kind, file_id)), file_name(kind, file_id), f"{there} bytes, not {size}"
                )


def _damage_of(name: str) -> Kind:
    kinds = {
        FileKind.DATA: Kind.PACK_DAMAGED,
        FileKind.INDEX: Kind.INDEX_DAMAGED,
        FileKind.SNAPSHOTS: Kind.SNAPSHOT_DAMAGED,
        FileKind.KEYS: Kind.KEY_DAMAGED,
    }
    return kinds[FileKind(name.split("/")[0])]
