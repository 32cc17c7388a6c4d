"""Hears of every attempt (as `on_call` of the meter) and keeps what others need: failures, bytes stored, line speed.

A plain object of plain values, so that it travels to the engine's worker processes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from providers.wrappers.base import Operation
from providers.wrappers.metered import Measurement
from providers.wrappers.valve import Valve
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.logs import integration_event

_ANSWERS = {"ObjectNotFound", "InvalidName"}  # how one asks whether something is there, and a caller's mistake


@dataclass(frozen=True)
class CallNotes:
    """Notes of the calls to one location. label: its name for people; purpose: what the calls are for."""

    label: str
    purpose: str
    valve: Valve
    clock: Clock = SYSTEM_CLOCK

    def __call__(self, call: Measurement) -> None:
        if call.error is None:
            if call.operation is Operation.PUT:
                ended = self.clock.monotonic()
                self.valve.note_sent(call.sent_bytes, began=ended - call.seconds, ended=ended)
        elif call.error not in _ANSWERS:
            integration_event(
                "call failed",
                level=logging.WARNING,
                location=self.label,
                purpose=self.purpose,
                operation=call.operation,
                object=call.name,
                error=call.error,
                message=call.message,
                seconds=round(call.seconds, 3),
            )
