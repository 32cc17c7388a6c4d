"""Which entries of a source are left out: glob patterns as people write them for restic or git."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

_PIECES = re.compile(r"\*\*/?|\*|\?|\[!?[^\]]+\]|[^*?\[]+|\[")


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
            inside = piece[1:-1].replace("\\", "\\\\")
            parts.append(f"[{'^' + inside[1:] if inside[0] == '!' else inside}]")
        else:
            parts.append(re.escape(piece))
    return "".join(parts)


class Excludes:
    """A pattern that begins with "/" is an absolute path; any other fits at the end of a path, after a "/".

    `*` and `?` stay within a name, `**` crosses folders. What is below an excluded folder is excluded with it.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        texts = [pattern.rstrip("/") for pattern in patterns if pattern.strip("/")]
        both = "|".join(_translate(text) if text.startswith("/") else f".*/{_translate(text)}" for text in texts)
        self._match = re.compile(os.fsencode(both), re.DOTALL).fullmatch if both else None

    def __bool__(self) -> bool:
        return self._match is not None

    def __contains__(self, path: bytes) -> bool:
        """Whether the absolute path is left out."""
        return self._match is not None and self._match(path) is not None
