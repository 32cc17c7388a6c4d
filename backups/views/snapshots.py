"""Looking into a snapshot, and downloads by ranges: one file of a snapshot, or the zip of a recovery."""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_safe

from backups.engine.errors import EngineError
from backups.engine.format.tree import Node
from backups.engine.restore.browse import NotInSnapshot
from backups.models import Job, Snapshot
from backups.services.browsing import Browser, snapshot_browse
from providers.stores.errors import StoreError
from wedbackup.core.access import NOT_THERE, fetch
from wedbackup.core.ranges import ranged
from wedbackup.core.sealing import SealingError

log = logging.getLogger(__name__)

ENTRIES_SHOWN = 2000
NOT_READABLE = "No copy gives this file at the moment. Try again in a few minutes; tell an admin if it stays.\n"


@dataclass(frozen=True)
class EntryLine:
    """One entry of a folder. address: its path, made safe for a query string."""

    name: str
    address: str
    is_folder: bool
    is_file: bool
    size_bytes: int


@require_GET
def snapshot_page(request: HttpRequest, snapshot_id: uuid.UUID) -> HttpResponse:
    """One folder of a snapshot."""
    snapshot = fetch(Snapshot, request.user, snapshot_id, "vault__wedding", "vault__organisation")
    path = request.GET.get("path", "").strip("/")
    context: dict[str, Any] = {"snapshot": snapshot, "crumbs": _crumbs(path), "folder": path.rpartition("/")[2]}
    try:
        nodes = snapshot_browse(snapshot).folder(os.fsencode(path))
    except NotInSnapshot as error:
        raise Http404(str(error)) from error
    except (EngineError, StoreError) as error:
        context["error"] = f"{error}. {error.advice}"
    except SealingError as error:
        context["error"] = str(error)
    else:
        context["entries"] = [_entry(path, node) for node in nodes[:ENTRIES_SHOWN]]
        context["more"] = max(0, len(nodes) - ENTRIES_SHOWN)
    if "error" in context and not request.user.sees_everything:  # type: ignore[union-attr]
        context["error"] = "The files cannot be listed at the moment. Try again in a few minutes."
    return render(request, "backups/snapshot.html", context)


def _entry(path: str, node: Node) -> EntryLine:
    name = os.fsdecode(node.name)
    address = quote(os.fsencode(f"{path}/{name}" if path else name), safe="/")
    return EntryLine(_printable(name), address, node.subtree is not None, node.type == "file", node.size)


def _printable(name: str) -> str:
    """Return a name with what could mislead the eye (line ends, direction marks, broken bytes) made visible."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in name)


def _crumbs(path: str) -> list[tuple[str, str]]:
    parts = [part for part in path.split("/") if part]
    return [(part, quote(os.fsencode("/".join(parts[: place + 1])), safe="/")) for place, part in enumerate(parts)]


@require_safe
async def snapshot_file(request: HttpRequest, snapshot_id: uuid.UUID) -> HttpResponse:
    """One file of a snapshot, by ranges."""
    user = await request.auser()
    try:
        browser, node = await sync_to_async(_file)(user, snapshot_id, request.GET.get("path", "").strip("/"))
    except (EngineError, StoreError, SealingError):
        log.exception("a file of snapshot %s cannot be read", snapshot_id)
        return HttpResponse(NOT_READABLE, status=503, content_type="text/plain")

    async def read(offset: int, length: int) -> bytes:
        return await sync_to_async(browser.read, thread_sensitive=False)(node, offset=offset, length=length)

    name = _printable(os.fsdecode(node.name))
    etag = hashlib.sha256(b"".join(node.content)).hexdigest()[:32]
    return await ranged(request, name=name, size_bytes=node.size, etag=etag, read=read)


def _file(user: Any, snapshot_id: uuid.UUID, path: str) -> tuple[Browser, Node]:
    snapshot = fetch(Snapshot, user, snapshot_id, "vault")
    browser = snapshot_browse(snapshot)
    try:
        node = browser.locate(os.fsencode(path))
    except NotInSnapshot as error:
        raise Http404(str(error)) from error
    if node.type != "file":
        raise Http404("This is a folder, not a file.")
    return browser, node


@require_safe
async def job_zip(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """The zip that a recovery made, by ranges."""
    user = await request.auser()
    job = await sync_to_async(fetch)(Job, user, job_id)
    path = job.result.get("zip")
    if job.kind != Job.Kind.RECOVERY or not path or not os.path.isfile(path):
        raise Http404(NOT_THERE)
    state = os.stat(path)

    def read_now(offset: int, length: int) -> bytes:
        with open(path, "rb") as stream:
            stream.seek(offset)
            return stream.read(length)

    async def read(offset: int, length: int) -> bytes:
        return await sync_to_async(read_now, thread_sensitive=False)(offset, length)

    etag = f"{state.st_ino:x}-{state.st_size:x}-{state.st_mtime_ns:x}"
    return await ranged(request, name=os.path.basename(path), size_bytes=state.st_size, etag=etag, read=read)
