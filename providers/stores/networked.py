"""What every store behind a network has in common: its options, its line, and where its keys begin."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, Protocol, TypeVar

from providers.stores.base import ObjectStore, check_name
from providers.stores.options import LineOptions
from wedbackup.core.clock import SYSTEM_CLOCK, Clock


class Line(Protocol):
    """The way to a provider, for all threads; every process opens connections of its own (see PerProcess)."""

    def close(self) -> None:
        """Release this process's connections."""


OptionsT = TypeVar("OptionsT", bound=LineOptions)
LineT = TypeVar("LineT", bound=Line)


class NetworkedStore(ObjectStore, Generic[OptionsT, LineT]):
    """A store that is wholly described by its options: these alone travel to another process.

    A provider says how its line is made, maps its errors, and checks names if it takes fewer than `check_name` does.

    options: as given.
    """

    def __init__(self, options: OptionsT, *, clock: Clock = SYSTEM_CLOCK, folder: str = "") -> None:
        """folder: path at the location below which all our objects are; empty for the location's own top."""
        self.options = options
        self._clock = clock
        folder = folder.strip("/")
        self._prefix = f"{self._checked(folder)}/" if folder else ""
        self._line = self._make_line()

    def __getstate__(self) -> OptionsT:
        return self.options

    def __setstate__(self, options: OptionsT) -> None:
        self.__init__(options)  # type: ignore[misc]

    def close(self) -> None:
        self._line.close()

    @abstractmethod
    def _make_line(self) -> LineT:
        """Return the way to the provider, made of options and clock; nothing is opened before its first use."""

    @staticmethod
    def _checked(name: str) -> str:
        """Return `name` if the provider takes it as the name of an object; raise InvalidName otherwise."""
        return check_name(name)

    def _key(self, name: str) -> str:
        """Return what the provider is to call the object `name`."""
        return self._prefix + self._checked(name)
