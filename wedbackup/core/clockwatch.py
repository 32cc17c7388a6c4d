"""Whether a machine's clock may be believed: the wall clock held against the monotonic one, and against the last run.

The row of a machine keeps a moment that was believed, with the monotonic seconds at it. Everything later follows from
those seconds; a wall clock that says something else has jumped. After a start only this is known: it must not be
earlier than what was written before, nor so much later that nobody would believe it.

A doubt ends when the clock agrees again, or when a person says that it is right (`clock_confirm`). Backups go on in any
case; what ages things does not.
"""

from __future__ import annotations

import socket
import uuid
from datetime import timedelta

from wedbackup.core.clock import SLACK, SYSTEM_CLOCK, Clock
from wedbackup.core.models import ClockReading

KEEP_EVERY = timedelta(minutes=1)
OFF_AT_MOST = timedelta(days=30)  # a program that was off for longer asks


def clock_watch(*, clock: Clock = SYSTEM_CLOCK) -> str:
    """Compare the clocks, keep what is found, and return the doubt in a sentence, "" where there is none."""
    now = clock.utcnow()
    row = ClockReading.objects.filter(machine=_machine()).first()
    if row is None:
        _believe(clock)
        return ""
    doubt, jumped = _judge(row, clock)
    mine = ClockReading.objects.filter(machine=row.machine)
    if doubt and doubt != row.doubt:
        mine.update(doubt=doubt, jumped=jumped, doubted_since=row.doubted_since or now)
    elif not doubt and (row.doubt or row.boot != _BOOT or now - row.at >= KEEP_EVERY):
        _believe(clock)
    return doubt


def clock_doubt(*, clock: Clock = SYSTEM_CLOCK) -> str:
    """Return why no machine's clock, this one's above all, may be believed at present; "" where it may."""
    for row in ClockReading.objects.all():
        doubt = _judge(row, clock)[0] if row.machine == _machine() else row.doubt
        if doubt:
            return doubt
    return ""


def clock_confirm(*, clock: Clock = SYSTEM_CLOCK) -> None:
    """Believe this machine's clock from now on, because a person compared it with another."""
    _believe(clock)


def _believe(clock: Clock) -> None:
    believed = {"boot": _BOOT, "at": clock.utcnow(), "monotonic": clock.monotonic()}
    nothing = {"doubt": "", "jumped": False, "doubted_since": None}
    ClockReading.objects.update_or_create(machine=_machine(), defaults=believed | nothing)


def _judge(row: ClockReading, clock: Clock) -> tuple[str, bool]:
    """Return the doubt, and whether it is of a jump, which a restart does not settle."""
    now, seconds = clock.utcnow(), clock.monotonic() - row.monotonic
    if row.boot == _BOOT and seconds >= 0:
        off = now - row.at - timedelta(seconds=seconds)
        if abs(off) <= SLACK:
            return "", False
        way = "ahead" if off > timedelta(0) else "back"
        return f"The clock of this machine jumped {way} by {_words(off)}. Look whether it is right.", True
    if row.jumped:
        return row.doubt, True
    if now < row.at - SLACK:
        return f"The clock of this machine is {_words(row.at - now)} behind what was written before.", False
    if now - row.at > OFF_AT_MOST:
        return f"By its clock this machine last worked {_words(now - row.at)} ago. Look whether it is right.", False
    return "", False


def _words(span: timedelta) -> str:
    minutes = round(abs(span).total_seconds() / 60)
    for size, unit in ((2 * 24 * 60, "days"), (2 * 60, "hours")):
        if minutes >= size:
            return f"{minutes // (size // 2)} {unit}"
    return f"{minutes} minutes"


def _machine() -> str:
    return socket.gethostname()[:100]


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as stream:
            return stream.read().strip()
    except OSError:
        return str(uuid.uuid4())  # then each process is a start of its own


_BOOT = _boot()
