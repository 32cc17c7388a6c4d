"""Names of uploaded files: what a browser gives may lead anywhere, be invisible, or be too long."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath

NAME_BYTES_MAX = 240  # file systems take 255; room for " (2)"
_RESERVED = {"", ".", ".."}


class UploadRefused(Exception):
    """The file or piece was not taken; the message says why and what to do."""


def safe_name(path: str) -> str:
    """Return a relative path of a file as it may be stored. Raises UploadRefused for a hostile one.

    path: as the browser gives it, "/" between folders.
    """
    if len(path) > 2000:
        raise UploadRefused("The name of this file with its folders is too long. Shorten it and try again.")
    parts = [part for part in unicodedata.normalize("NFC", path).split("/") if part]
    if not parts or len(parts) > 20:
        raise UploadRefused("This file has no usable name. Rename it and try again.")
    for part in parts:
        _check_part(part)
    return "/".join(parts)


def free_names(name: str) -> Iterator[str]:
    """Yield `name`, then "name (2).ext" and so on: where to put a file beside another one of the same name."""
    yield name
    path = PurePosixPath(name)
    number = 2
    while True:
        yield str(path.with_name(f"{path.stem} ({number}){path.suffix}"))
        number += 1


def _check_part(part: str) -> None:
    if part in _RESERVED or "\\" in part or part.startswith("."):
        raise UploadRefused(
            f"The name {_shown(part)} leads out of its folder or is hidden. Rename it without a dot or slash in front."
        )
    # Cc: control characters and line ends; Cf: marks that turn the direction of writing; Cs: broken characters.
    if any(unicodedata.category(letter) in {"Cc", "Cf", "Cs"} for letter in part):
        raise UploadRefused(f"The name {_shown(part)} holds invisible characters. Rename the file and try again.")
    if len(part.encode()) > NAME_BYTES_MAX:
        raise UploadRefused(f"The name {_shown(part[:30])}… is too long. Shorten it and try again.")


def _shown(part: str) -> str:
    """Return a name as it can be shown without doing harm."""
    return "“" + "".join(letter if letter.isprintable() else "�" for letter in part[:60]) + "”"
