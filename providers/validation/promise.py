"""A promise that a store makes, and what was found when it was put to the test."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from providers.stores.base import Capabilities
from providers.stores.errors import StoreError

if TYPE_CHECKING:
    from providers.validation.room import Room


class PromiseBroken(AssertionError):
    """The store does not do what it promises; the message says what it did instead."""


class Warned(Exception):
    """The promise is kept, but a person should know something; the message says what, and what to do."""


class Exempt(Exception):
    """The promise need not be kept here, as turned out on the way; the message says why."""


def _always(capabilities: Capabilities) -> str:
    del capabilities
    return ""


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise and the check that raises PromiseBroken or a StoreError when it is not kept.

    The check may also raise Warned or Exempt.

    unless:  returns why a store with these capabilities need not keep it, in words for a person; "" if it must.
    faulty:  needs a line to the provider that can be broken (`Room.bench`).
    reopens: opens the same place again with other options (`Room.reopened`).
    large:   moves more than a few MiB.
    long:    stores thousands of objects, or more than 64 MiB: always large, and not in the tests of every day.
    """

    name: str
    check: Callable[[Room], None]
    unless: Callable[[Capabilities], str] = _always
    faulty: bool = False
    reopens: bool = False
    large: bool = False
    long: bool = False

    def exemption(self, room: Room) -> str:
        """Return why it need not be kept in `room`; "" if it must."""
        capabilities = room.store.capabilities
        if reason := capabilities.exceptions.get(self.name) or self.unless(capabilities):
            return reason
        if self.faulty and room.bench is None:
            return "there is no network between us and it"
        if self.reopens and not room.can_reopen:
            return "it is opened without options, so there is no second way to open it"
        return ""


class State(enum.StrEnum):
    """How a promise fared."""

    KEPT = "kept"
    BROKEN = "broken"
    EXEMPT = "exempt"
    WARNED = "warned"  # kept, but a person should know something


@dataclass(frozen=True, slots=True)
class Finding:
    """How one promise fared.

    detail:  what happened instead and what to do now, or why it need not be kept; empty when simply kept.
    seconds: how long the check took [s].
    """

    promise: str
    state: State
    detail: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.state is not State.BROKEN


def require(kept: bool, otherwise: str) -> None:
    """Raise PromiseBroken with `otherwise` unless `kept`."""
    if not kept:
        raise PromiseBroken(otherwise)


def require_error(kind: type[StoreError], run: Callable[[], object], what: str) -> StoreError:
    """Return the error of this kind that `run` raises; raise PromiseBroken when it raises none."""
    try:
        run()
    except kind as error:
        return error
    raise PromiseBroken(f"{what} did not raise {kind.__name__}")
