"""File names as restic writes them: the inner text of Go's `strconv.Quote`, inside a JSON string.

Names are bytes on Linux. Go quotes what is no valid UTF-8 as `\\xNN` and control characters by their escapes, so any
name survives the journey through JSON. restic trims the outer quotes (internal/restic/node.go).
"""

from __future__ import annotations

import re

import orjson

_PLAIN = re.compile(rb"[A-Za-z0-9 _.,+=@#%()\[\]{}~!$'^;:-]+").fullmatch
_SHORT = dict(zip('\a\b\f\n\r\t\v"\\', (f"\\{c}" for c in 'abfnrtv"\\'), strict=True))
_LONG = {short[1:]: char for char, short in _SHORT.items()} | {"'": "'"}
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)


def _quote_char(char: str) -> str:
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, kept by surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable():
        return char
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quote_name(name: bytes) -> str:
    """Return the inner text of Go's strconv.Quote of `name`."""
    if _PLAIN(name):
        return name.decode("ascii")
    return "".join(_quote_char(char) for char in name.decode("utf-8", "surrogateescape"))


def unquote_name(text: str) -> bytes:
    """Return the bytes of a quoted name; the inverse of `quote_name`."""

    def replace(match: re.Match[bytes]) -> bytes:
        body = match[1].decode("utf-8", "surrogateescape")
        if body[0] == "x" and len(body) == 3:
            return bytes([int(body[1:], 16)])
        if body[0] in "uU" and len(body) > 1:
            return chr(int(body[1:], 16)).encode("utf-8", "surrogatepass")
        if len(body) == 3:
            return bytes([int(body, 8)])
        return _LONG.get(body, body).encode()

    raw = text.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(replace, raw) if b"\\" in raw else raw


def shown_path(path: bytes) -> str:
    """Return a path as text for people, rows and messages: bytes that are not UTF-8 become `\\xNN`.

    Such text can be stored and sent anywhere, which text with lone surrogates (`os.fsdecode`) cannot.
    """
    return path.decode("utf-8", "backslashreplace")


def json_string(text: str) -> bytes:
    """Return `text` as a JSON string the way Go's encoder writes it (`<`, `>`, `&`, U+2028, U+2029 escaped).

    restic compares a re-encoded tree with the stored one before it rewrites it; the same escapes keep that true.
    """
    encoded = orjson.dumps(text)
    for char, escape in ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026")):
        encoded = encoded.replace(char, escape)
    return encoded.replace("\u2028".encode(), b"\\u2028").replace("\u2029".encode(), b"\\u2029")


def json_name(name: bytes) -> bytes:
    """Return the JSON string of a quoted file name, fast for ordinary names."""
    if _PLAIN(name):
        return b'"%b"' % name
    return json_string(quote_name(name))
