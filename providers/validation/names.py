"""Promises about the names of objects: letters, signs, lengths, and places that do not see each other's names."""

from __future__ import annotations

import contextlib
import unicodedata
from functools import partial

from providers.stores.base import NAME_BYTES_MAX, Capabilities
from providers.stores.errors import AccessDenied, InvalidName, ObjectNotFound, StoreError
from providers.validation.promise import Promise, require, require_error
from providers.validation.room import Room

LETTERS = ("Zoë & André", "Свадьба", "婚礼照片", "حفل زفاف", "विवाह", "ÅÄÖ ßþ")
SIGNS = ("100%41", "a+b c", "x&y=z", "q#r;s", "u@v,w!", "(k)[l]{m}", "~n'o^p`", "a$b", "%2F", "-_.z")
DEEP = "/".join(f"level-{number}" for number in range(1, 13))


def _no_letters(capabilities: Capabilities) -> str:
    return "" if capabilities.unicode_names else "its names take ASCII letters only; others are refused at once"


def _all_letters(capabilities: Capabilities) -> str:
    return "it takes every letter" if capabilities.unicode_names else ""


def _no_case(capabilities: Capabilities) -> str:
    return "" if capabilities.case_sensitive else "it takes names that differ by case only for one name"


def _case(capabilities: Capabilities) -> str:
    return "names that differ by case only are two objects there" if capabilities.case_sensitive else ""


def _come_back(room: Room, folder: str, parts: tuple[str, ...]) -> None:
    """Store an object under each name, and find every one by its own name with its own content."""
    names = {room.put(f"{folder}/{part}", part.encode()): part.encode() for part in parts}
    for name, content in names.items():
        require(room.store.get(name) == content, f"{name!r} came back with other content")
        require(room.store.head(name).name == name, f"{name!r} is called otherwise by head")
    listed = {info.name for info in room.list(f"{folder}/")}
    require(listed == set(names), f"listed {sorted(listed ^ set(names))!r} too much or too little")


def _check_letters(room: Room) -> None:
    _come_back(room, "letters", LETTERS)


def _check_letters_refused(room: Room) -> None:
    for part in LETTERS:
        name = room.name(f"letters/{part}")
        require_error(InvalidName, partial(room.store.put, name, b""), f"put of {name!r}")


def _check_letter_folders(room: Room) -> None:
    name = room.put("letters/Ana & Zoë/Гости", b"two folders deep")
    require({info.name for info in room.list("letters/Ana & Zoë/")} == {name}, "a folder with letters lists nothing")


def _check_signs(room: Room) -> None:
    _come_back(room, "signs", SIGNS)


def _check_beyond(room: Room) -> None:
    """Some providers take letters only from the first 65,536; then they have to say so."""
    name = room.name("beyond/party 🎉")
    try:
        room.store.put(name, b"cake")
    except StoreError as error:
        require(not error.retryable, f"a sign that is refused is refused every time, but it says: {error}")
        return
    require(room.store.get(name) == b"cake", "the object came back changed")
    require({info.name for info in room.list("beyond/")} == {name}, "it is listed under another name")


def _check_one_spelling(room: Room) -> None:
    name = unicodedata.normalize("NFD", room.name("spelling/Zoë"))
    require_error(InvalidName, partial(room.store.put, name, b""), "put of a letter that is spelled as two")


def _check_longest(room: Room) -> None:
    frame = len(room.name("length///").encode())
    rest = f"length/{'a' * 150}/{'b' * 150}/{'c' * (NAME_BYTES_MAX - 300 - frame)}"
    name = room.put(rest, b"at the end of a long way")
    require(len(name.encode()) == NAME_BYTES_MAX, "the check itself does not reach the limit")
    require(room.store.get(name) == b"at the end of a long way", "the object came back changed")
    require(name in {info.name for info in room.list("length/")}, "a long name is not listed in full")
    require_error(InvalidName, partial(room.store.put, name + "c", b""), "put of a name that is one letter too long")


def _check_deep(room: Room) -> None:
    _come_back(room, f"deep/{DEEP}", ("object",))


def _check_case(room: Room) -> None:
    _come_back(room, "case", ("ring", "Ring", "RING"))


def _check_case_ignored(room: Room) -> None:
    """Two names that are one: the second replaces the first, and nothing is there twice."""
    room.put("case/ring", b"silver")
    name = room.put("case/Ring", b"gold")
    require(room.store.get(name) == b"gold", "the second object did not replace the first")
    require(len(room.list("case/")) == 1, "one object is listed under two names")


def _check_begins(room: Room) -> None:
    names = [room.put(f"begins/{rest}", rest.encode()) for rest in ("ab", "abc", "ab-c", "abcd/e")]
    room.delete(names[0])
    require({info.name for info in room.list("begins/")} == set(names[1:]), "deleting one took others along")
    require(room.store.get(names[1]) == b"abc", "deleting one changed another")


def _check_isolation(room: Room) -> None:
    with room.inside("house") as house, room.inside("house-next-door") as neighbour:
        name = f"same.{room.mark}"
        house.put(name, b"mine")
        require_error(ObjectNotFound, lambda: neighbour.head(name), "head in a neighbouring folder")
        with contextlib.suppress(AccessDenied):  # a credential that may not delete takes nothing away either
            neighbour.delete(name)
        neighbour.put(name, b"not yours")
        require(house.get(name) == b"mine", "a store of a neighbouring folder changed the object")
        found = [info.name for info in house.list() if info.name.endswith(room.mark)]
        require(found == [name], f"a store of one folder lists {found}")
    names = {info.name for info in room.list("house")}
    expected = {room.name("house/same"), room.name("house-next-door/same")}
    require(names == expected, f"seen from above they are {sorted(names)}")


PROMISES = (
    Promise("names may hold letters of any script", _check_letters, unless=_no_letters),
    Promise("folders may hold letters of any script", _check_letter_folders, unless=_no_letters),
    Promise("letters that it does not take are refused at once", _check_letters_refused, unless=_all_letters),
    Promise("signs that mean something in addresses are plain signs in names", _check_signs),
    Promise("a picture in a name is stored, or refused for good", _check_beyond, unless=_no_letters),
    Promise("of two spellings of one letter only one is a name", _check_one_spelling),
    Promise("a name as long as allowed is a name, a longer one is refused", _check_longest),
    Promise("folders may be twelve deep", _check_deep),
    Promise("names that differ by case only are two objects", _check_case, unless=_no_case),
    Promise("where case does not matter there is one object, not two", _check_case_ignored, unless=_case),
    Promise("a name that begins another one stands alone", _check_begins),
    Promise("a store of another folder sees none of them", _check_isolation, reopens=True),
)
