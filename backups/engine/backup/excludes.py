"""Which entries of a source are left out: glob patterns as people write them for restic or git.

Names are compared as text in Unicode's composed form, because macOS writes an accent as a character of its own and a
keyboard does not. A pattern that cannot be understood leaves nothing out: that is the safe side.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence

WILDCARDS_MAX = 12  # each costs a search of its own for every name that nearly fits
_PIECES = re.compile(r"\*\*/?|\*|\?|\[[!^]?[^\]]+\]|[^*?\[]+|\[")
_CHARS_MAX = 300


def _translate(pattern: str) -> str:
    parts = []
    for piece in _PIECES.findall(pattern):
        if piece.startswith("**"):
            parts.append("(?:.*/)?" if piece.endswith("/") else ".*")
        elif piece == "*":
            parts.append("[^/]*")
        elif piece == "?":
            parts.append("[^/]")
        elif len(piece) > 1 and piece[0] == "[":
            negated = piece[1] in "!^"
            inside = re.sub(r"([\\\[&~|])", r"\\\1", piece[1 + negated : -1])
            parts.append(f"[{'^' * negated}{inside}]")
        else:
            parts.append(re.escape(piece))
    return "".join(parts)


def _expression(pattern: str) -> str:
    """Return the pattern as a regular expression over whole paths; raises re.error."""
    text = unicodedata.normalize("NFC", pattern.rstrip("/"))
    found = _translate(text) if text.startswith("/") else f".*/{_translate(text)}"
    re.compile(found)
    return found


def pattern_fault(pattern: str) -> str:
    """Return in one sentence why a pattern cannot be used, "" when it can."""
    if not pattern.strip("/"):
        return f"{pattern} names nothing that could be left out."
    if len(pattern) > _CHARS_MAX or sum(map(pattern.count, "*?[")) > WILDCARDS_MAX:
        return f"{pattern[:60]} is too long to be matched against every name; use several shorter patterns."
    try:
        _expression(pattern)
    except re.error:
        return (
            f"{pattern} cannot be understood. Between [ and ] write single characters or ranges that rise, "
            "such as [a-z]."
        )
    return ""


class Excludes:
    """A pattern that begins with "/" is an absolute path; any other fits at the end of a path, after a "/".

    `*` and `?` stay within a name, `**` crosses folders. What is below an excluded folder is excluded with it. Upper
    and lower case differ, as in restic.

    faults: (pattern, reason) of those that cannot be used and leave nothing out.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        judged = [(pattern, pattern_fault(pattern)) for pattern in patterns]
        self.faults = [(pattern, fault) for pattern, fault in judged if fault]
        self._patterns = [pattern for pattern, fault in judged if not fault]
        either = "|".join(f"({_expression(pattern)})" for pattern in self._patterns)
        self._match = re.compile(either, re.DOTALL).fullmatch if either else None

    def __bool__(self) -> bool:
        return self._match is not None

    def which(self, path: bytes) -> str | None:
        """Return the first pattern that leaves this absolute path out, None when it is kept."""
        if self._match is None:
            return None
        text = os.fsdecode(path)
        match = self._match(text if text.isascii() else unicodedata.normalize("NFC", text))
        return self._patterns[(match.lastindex or 1) - 1] if match else None
