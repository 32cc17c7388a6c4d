"""What conditions deserve an alert, in pure functions.

A condition holds until it ends. `monitoring.watch` looks at all of them again and again, so that a lost event can
neither hide a trouble nor keep an alert alive.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from monitoring.wishes import Severity, Wish, location_link, wedding_link

OVERDUE_GRACE_MIN = timedelta(minutes=5)
OVERDUE_GRACE_MAX = timedelta(hours=2)
STALLED = timedelta(minutes=15)  # a running job without any progress for so long is not running
SETTLED = timedelta(minutes=10)  # time for catch-up to begin after a location came back


def location_key(location_id: object) -> str:
    """Return the key of the one alert about a location that does not answer."""
    return f"location.down:{location_id}"


def location_down(location_id: object, name: str, urgent: bool, reason: str, advice: str = "") -> Wish:
    """A location does not answer. urgent: a wedding within a week has copies there."""
    return Wish(
        key=location_key(location_id),
        severity=Severity.CRITICAL if urgent else Severity.WARNING,
        title=f"{name} does not answer",
        text=reason or "The last calls failed.",
        what_to_do=advice or "Put right what it says, then probe it again. Its copies are caught up by themselves.",
        link=location_link(location_id),
    )


def protected_silent(location_id: object, name: str, words: str) -> Wish:
    """The program that protects a folder shows no sign of life."""
    return Wish(
        key=f"protected.silent:{location_id}",
        severity=Severity.WARNING,
        title=f"Nobody seems to protect {name}",
        text=words,
        what_to_do="Open the Carbonite client on that machine: is it paused, signed out, or not started?",
        link=location_link(location_id),
    )


def disk_filling(free_bytes: int) -> Wish:
    """The disk that holds the database, uploads and caches is nearly full."""
    return Wish(
        key="disk.filling",
        severity=Severity.CRITICAL,
        title="The server's own disk is filling up",
        text=f"{free_bytes / 1000**3:.1f} GB are free. When it is full, no backup can be noted and no alert be raised.",
        what_to_do="Free space on the disk of this server, or move the installation to a larger one.",
    )


def clock_doubted(doubt: str) -> Wish:
    """The clock of a machine cannot be believed. doubt: why, in a sentence."""
    return Wish(
        key="clock.doubted",
        severity=Severity.CRITICAL,
        title="The date or time of this machine may be wrong",
        text=f"{doubt} Until that is settled nothing old is deleted and nothing is called safe. Backups go on.",
        what_to_do="Compare it with another clock. If it is wrong, set it right, and this is over by itself. If it is "
        "right, run: manage.py clock_is_right",
    )


_PARTS = {
    "folders_watch": "looking after the folders that another program protects",
    "probe_locations": "looking whether the locations answer",
    "count_next": "counting what lies at a location",
    "deliveries_send": "sending messages to webhooks",
    "unfinished_clear": "clearing what was left of broken-off uploads",
    "turn_credentials": "changing credentials",
    "ring_due": "waking the workers",
}


def part_stuck(part: str) -> Wish:
    """A part of the scheduler does not return, most likely from a disk or share that hangs. part: its dotted name."""
    work = _PARTS.get(part.rpartition(".")[2], part.rpartition(".")[2])
    return Wish(
        key=f"part.stuck:{part}",
        severity=Severity.CRITICAL,
        title=f"Something hangs: {work}",
        text="It waits for a disk, a share or a line that neither answers nor fails. Everything else goes on.",
        what_to_do="Look which disk or network share of this machine hangs and connect it again; then this goes on by "
        "itself. If it does not, start the service again.",
    )


def overdue_since(
    *,
    next_due_at: datetime | None,
    pause_seconds: float,
    unfinished_since: datetime | None,
    last_progress_at: datetime | None,
    now: datetime,
) -> datetime | None:
    """Return since when a vault's backup is missing; None if it is on time.

    pause_seconds:    the time between two backups that is asked for [s].
    unfinished_since: when the backup that has not ended was queued, if there is one.
    last_progress_at: when that one last moved; None if it was never started.
    """
    if unfinished_since is not None and last_progress_at is not None and now - last_progress_at < STALLED:
        return None
    due_at = unfinished_since or next_due_at
    grace = min(OVERDUE_GRACE_MAX, max(OVERDUE_GRACE_MIN, timedelta(seconds=pause_seconds / 2)))
    return due_at if due_at is not None and now > due_at + grace else None


def vault_overdue(
    vault_id: UUID, about: str, urgent: bool, organisation_id: UUID, wedding_id: UUID | None, since: datetime
) -> Wish:
    """A backup did not come when it should have; this also tells when workers or scheduler are dead."""
    return Wish(
        key=f"vault.overdue:{vault_id}",
        severity=Severity.CRITICAL if urgent else Severity.WARNING,
        title=f"Backup overdue: {about}",
        text=f"A backup should have run at {since:%Y-%m-%d %H:%M} UTC and has not.",
        what_to_do="Choose Back up now on its page. If that does not start either, tell the admins of the platform.",
        link=wedding_link(wedding_id),
        organisation_id=organisation_id,
    )


def vault_unsafe(
    vault_id: UUID, about: str, urgent: bool, organisation_id: UUID, wedding_id: UUID | None, since: datetime | None
) -> Wish:
    """Backups run, and none that is safe is as new as was promised. since: of the newest safe one, if there is any."""
    newest = f"The newest one that did is of {since:%Y-%m-%d %H:%M} UTC." if since else "None ever did."
    return Wish(
        key=f"vault.unsafe:{vault_id}",
        severity=Severity.CRITICAL if urgent else Severity.WARNING,
        title=f"Not in enough places: {about}",
        text=f"Backups are made, but not in as many places, and as far apart, as was promised. {newest}",
        what_to_do="Open the wedding's page: it names what is missing. Add a place elsewhere if there are too few.",
        link=wedding_link(wedding_id),
        organisation_id=organisation_id,
    )


def vault_suspicious(
    vault_id: object, about: str, urgent: bool, organisation_id: UUID | None, wedding_id: object, reason: str
) -> Wish:
    """The newest state must not be trusted until a person has looked, or a later backup is as it should be."""
    return Wish(
        key=f"snapshot.suspicious:{vault_id}",
        severity=Severity.CRITICAL if urgent else Severity.WARNING,
        title=f"The newest state looks wrong: {about}",
        text=reason or "It differs from the one before in a way that a mistake would.",
        what_to_do="Look at the source folder. If files are gone by mistake, restore them from the snapshot before; "
        "older snapshots are kept.",
        link=wedding_link(wedding_id),
        organisation_id=organisation_id,
    )


def copies_damaged(location_id: UUID, name: str, count: int) -> Wish:
    return Wish(
        key=f"copies.damaged:{location_id}",
        severity=Severity.CRITICAL,
        title=f"Damaged copies at {name}",
        text=f"{count} {'vault' if count == 1 else 'vaults'} with stored bytes there that are not what was written.",
        what_to_do="Keep the other copies: each damaged file is replaced from them by itself, or else from the source. "
        "If it comes again, check the disk or the provider of this location.",
        link=location_link(location_id),
    )


def copies_unread(location_id: UUID, name: str, count: int, days: int) -> Wish:
    """Copies of which not every byte was read within the time that is promised. days: that time."""
    return Wish(
        key=f"copies.unread:{location_id}",
        severity=Severity.WARNING,
        title=f"Copies at {name} could not be verified for more than {days} days",
        text=f"{count} {'copy was' if count == 1 else 'copies were'} not read in full there for so long. Whether each "
        "of their files is still whole is not known.",
        what_to_do="Look at the last checks of the vaults there: put right what they name, or start one by hand.",
        link=location_link(location_id),
    )


def files_lost(
    vault_id: UUID,
    about: str,
    organisation_id: UUID,
    wedding_id: UUID | None,
    *,
    names: Sequence[str],
    count: int,
    in_newest: bool,
) -> Wish:
    """Files that no copy can give any more. names: some of them; count: of all.   in_newest: also of today's state."""
    files = "1 file" if count == 1 else f"{count} files"
    named = ", ".join(names) + (" ..." if count > len(names) else "")
    which = "the newest state" if in_newest else "older states; the newest one is whole"
    return Wish(
        key=f"files.lost:{vault_id}",
        severity=Severity.CRITICAL,
        title=f"{files} cannot be read in any place: {about}",
        text=f"{named}: of {which}.",
        what_to_do="Keep the files where they came from. If you have them, put them into the source folder again: the "
        "next backup stores them. If not, and they are not needed, there is nothing to do.",
        link=wedding_link(wedding_id),
        organisation_id=organisation_id,
    )


def copies_behind(location_id: UUID, name: str, count: int) -> Wish:
    return Wish(
        key=f"copies.behind:{location_id}",
        severity=Severity.WARNING,
        title=f"Copies at {name} are behind",
        text=f"{count} {'vault misses' if count == 1 else 'vaults miss'} newer snapshots there and nothing catches up.",
        what_to_do="Start a backup of the weddings named on the location's page; it brings the copies up to date.",
        link=location_link(location_id),
    )


def credential_old(location_id: UUID, name: str, roles: Sequence[str], days: int) -> Wish:
    """A location's credential should have been replaced. roles: what it is for, in words; days: how long it may last.

    The words name no age: they stay true while the alert stands.
    """
    which = f"Its {'credential' if len(roles) == 1 else 'credentials'} for {' and for '.join(roles)}"
    return Wish(
        key=f"credential.old:{location_id}",
        severity=Severity.WARNING,
        title=f"The credential of {name} is more than {days} days old",
        text=f"{which} should be replaced every {days} days.",
        what_to_do="Make a new key at the provider and enter it on the location's page. It takes over without a pause; "
        "the page says when the old one may be deleted.",
        link=location_link(location_id),
    )
