"""Lets nothing be changed at a location: during a recovery, on a protected day, for a second reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from providers.stores.errors import ReadOnly
from providers.wrappers.base import Call, Operation, Wrapper

T = TypeVar("T")

_CHANGING = {
    Operation.PUT,
    Operation.DELETE,
    Operation.REMOVE_UNFINISHED,
    Operation.CHANGE_CLASS,
    Operation.PROTECT,
}


class ReadOnlyStore(Wrapper):
    """Raises ReadOnly for whatever would change the location."""

    def _around(self, call: Call, run: Callable[[], T]) -> T:
        if call.operation in _CHANGING:
            raise ReadOnly(f"{call.operation} {call.name} was refused: the location is read-only now")
        return run()
