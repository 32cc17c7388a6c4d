"""Downloads by ranges of at most 8 MiB: the web server holds a whole answer in memory and knows no back-pressure."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse

RANGE_BYTES_MAX = 8 * 1024 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
HOW = (
    "This file is handed out in pieces of at most 8 MiB. Ask for one with a Range header, for example\n"
    "  curl -r 0-8388607 ...\nand for the next one where it ended; Content-Range names the whole size.\n"
)

Reader = Callable[[int, int], Awaitable[bytes]]


def wanted_range(header: str, size_bytes: int) -> tuple[int, int] | None:
    """Return (offset, length) of the piece to send, cut to 8 MiB; None for a range that cannot be satisfied.

    header: the Range header, "" for none; then the whole file is meant, if it is small enough for one piece.
    """
    if not header:
        return (0, size_bytes) if size_bytes <= RANGE_BYTES_MAX else None
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), size_bytes)
        offset, end = size_bytes - length, size_bytes
    else:
        offset, end = int(first), min(int(last) + 1 if last else size_bytes, size_bytes)
    if offset >= end:
        return None
    return offset, min(end - offset, RANGE_BYTES_MAX)


async def ranged(request: HttpRequest, *, name: str, size_bytes: int, etag: str, read: Reader) -> HttpResponse:
    """Answer a request for a piece of a file: 206 with at most 8 MiB, 416 for anything else.

    name:  what the browser shall call it.   etag: changes when the content does, without quotes.
    read:  gives `length` bytes from `offset` on.
    """
    piece = wanted_range(request.headers.get("Range", ""), size_bytes)
    if request.method == "HEAD":
        response = HttpResponse(headers={"Content-Length": str(size_bytes)})
    elif piece is None:
        response = HttpResponse(HOW, status=416, content_type="text/plain; charset=utf-8")
        response["Content-Range"] = f"bytes */{size_bytes}"
    else:
        offset, length = piece
        partial = "Range" in request.headers
        response = HttpResponse(await read(offset, length) if length else b"", status=206 if partial else 200)
        if partial:
            response["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{size_bytes}"
    if response.status_code != 416:
        response["Content-Type"] = "application/octet-stream"
        response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name)}"
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = f'"{etag}"'
    response["Cache-Control"] = "private, no-store"
    return response
