"""Lets a call through only while the location may be used: not paused, not left alone, and with room for what is sent.

Calls under way finish their object; the next one is refused. So a pause takes effect within one object's time, and
nothing is left half written. Recoveries go round the gate: they get a stack without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from providers.stores.base import ObjectStore
from providers.stores.errors import BreakerOpen, LocationFull, Paused
from providers.wrappers.base import Call, Operation, Wrapper
from providers.wrappers.valve import Valve

T = TypeVar("T")


class QuotaReached(LocationFull):
    advice = "Raise its quota on the location's page, or free space: prune its vaults or move copies elsewhere."


class GatedStore(Wrapper):
    """Raises Paused, BreakerOpen or QuotaReached instead of calling; reads and deletes need no room."""

    def __init__(self, inner: ObjectStore, valve: Valve, *, label: str = "the location", quota: bool = True) -> None:
        """label: its name for people.   quota: whether the quota counts; pruning has to write a little to free much."""
        super().__init__(inner)
        self._valve = valve
        self._label = label
        self._quota = quota

    def _around(self, call: Call, run: Callable[[], T]) -> T:
        rules = self._valve.rules
        if rules.paused:
            raise Paused(f"{self._label} is paused")
        if rules.left_alone:
            raise BreakerOpen(f"{self._label} is being left alone: it failed too often a moment ago")
        sends = self._quota and call.operation is Operation.PUT
        if sends and rules.room_bytes is not None and call.sent_bytes > rules.room_bytes:
            raise QuotaReached(f"{self._label} has reached its quota")
        return run()
