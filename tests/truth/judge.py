"""The judge: what the product says, held against what is there.

It asks `vault_verdict` for its words, and finds the truth by this folder's reader and the model of the world alone.
A claim that fails is a finding; what a fault may take to be noticed is written down here, with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from backups.models import Copy, Job, Snapshot
from backups.services.verdicts import vault_verdict
from backups.states import JOB_UNFINISHED
from monitoring.models import Alert
from tests.truth.places import Mood, Place
from tests.truth.reader import Unreadable
from tests.truth.world import COPIES_NEEDED, Archive, Content, World

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

# How old the newest safe state may be, by the days to the wedding; docs: REQUIREMENTS B6, the product's priority.py.
RPO = ((7, 15 * MINUTE), (30, HOUR), (90, 4 * HOUR))
RPO_ARCHIVE = 2 * DAY
# What may go unnoticed for how long, and why:
PROBED = 3 * MINUTE  # a place is probed each half minute, and the second failure in a row counts
LISTED = DAY + HOUR  # packs that vanished are seen by the listing of the next backup, or the daily sample
READ = 8 * DAY  # a flipped bit by the weekly full read
TOLD = HOUR  # an alert follows the conditions and events that it watches


@dataclass(frozen=True)
class Finding:
    """kind: false green, silent, lost, stuck, untrue.   claim: what is shown.   truth: what is there."""

    kind: str
    claim: str
    truth: str

    def __str__(self) -> str:
        return f"{self.kind}: shown: {self.claim} | true: {self.truth}"


def judge(world: World) -> list[Finding]:
    """Hold everything that is said now against the truth."""
    found: list[Finding] = []
    for archive in world.archives:
        see(world, archive)
        found += _judge_verdict(world, archive)
        found += _judge_promises(world, archive)
    return found


def see(world: World, archive: Archive) -> None:
    """Note snapshots that are new anywhere: they hold the cards as they are now, for nothing changes meanwhile."""
    for place in world.places:
        repository = None if place.away else world.repository(place, archive)
        for snapshot_id in sorted(repository.snapshot_ids() - set(archive.order) if repository else ()):
            archive.order.append(snapshot_id)
            archive.recorded[snapshot_id] = (world.clock.true, archive.state())


def rpo(world: World) -> float:
    """Return the promise that holds for the wedding at the true time [s]."""
    days = abs((world.wedding.date - world.clock.true_now().date()).days)
    return next((seconds for limit, seconds in RPO if days <= limit), RPO_ARCHIVE)


def _judge_verdict(world: World, archive: Archive) -> list[Finding]:
    verdict = vault_verdict(archive.vault)
    good = [place for place in world.places if _serves(world, place, archive)]
    words = f"{archive.vault.protection_class}: {verdict.sentence}"
    true = f"{len(good)} of {COPIES_NEEDED} places hold the newest state: {', '.join(place.name for place in good)}"
    found = []
    if verdict.level == "safe":
        archive.unsafe_since = None
        if len(good) < COPIES_NEEDED:
            found.append(Finding("false green", words, f"{true}; {_why(world, archive)}"))
        if archive.alarming is not None and _ran_since(archive, archive.alarming):
            found.append(
                Finding("false green", words, "most of a card changed or went, and nobody has decided about it")
            )
    else:
        found += _judge_silence(world, archive, words)
    return found


def _judge_silence(world: World, archive: Archive, words: str) -> list[Finding]:
    """What is not safe for longer than it may take to be told has an open alert."""
    if archive.unsafe_since is None:
        archive.unsafe_since = world.clock.true
    if (
        world.clock.true - archive.unsafe_since > rpo(world) + TOLD
        and not Alert.objects.exclude(state="resolved").exists()
    ):
        return [
            Finding(
                "silent", "no alert is open", f"not safe for {world.clock.true - archive.unsafe_since:.0f} s: {words}"
            )
        ]
    return []


def _ran_since(archive: Archive, moment: float) -> bool:
    return any(at > moment for at, _ in archive.recorded.values())


def _serves(world: World, place: Place, archive: Archive) -> bool:
    """Whether this place would give back every wanted file as it was within the RPO, as far as it can be known yet."""
    since = world.clock.true - rpo(world) - MINUTE
    if not place.answers:
        return _excused(world, place, "unreachable", PROBED)
    newest = _newest_at(world, place, archive)
    if newest is None:
        return False
    repository = world.repository(place, archive)
    assert repository is not None
    try:
        held = repository.content(newest)
    except Unreadable:
        rotten = _excused(world, place, "flipped", READ) or _excused(world, place, "lost", LISTED)
        if not (rotten or _excused(world, place, "lied", READ)):
            return False
        held = archive.recorded[newest][1]
    return _fits(archive, held, since)


def _newest_at(world: World, place: Place, archive: Archive) -> str | None:
    repository = world.repository(place, archive)
    if repository is None:
        return None
    ids = repository.snapshot_ids()
    return next((snapshot_id for snapshot_id in reversed(archive.order) if snapshot_id in ids), None)


def _judge_equality(world: World, archive: Archive) -> list[Finding]:
    """What was forgotten is nowhere any more, and what is known is at every place."""
    known = set(Snapshot.unscoped.filter(vault=archive.vault).values_list("restic_id", flat=True))
    found = []
    for place in world.places:
        repository = world.repository(place, archive)
        held = repository.snapshot_ids() if repository else set()
        name = f"{archive.vault.protection_class} at {place.name}"
        if back := held - known:
            found.append(Finding("returned", f"{len(known)} snapshots are kept", f"{name} holds {len(back)} others"))
        if missing := known - held:
            found.append(Finding("lost", f"{len(known)} snapshots are kept", f"{name} lacks {len(missing)} of them"))
    return found


def newest_whole(world: World, place: Place, archive: Archive) -> bool:
    """Whether the newest snapshot of a place is there as a whole."""
    newest, repository = _newest_at(world, place, archive), world.repository(place, archive)
    if newest is None or repository is None:
        return False
    try:
        repository.content(newest)
    except Unreadable:
        return False
    return True


def sources_in(target: os.PathLike[str]) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of every regular file below a folder."""
    for above, _, names in os.walk(target):
        for name in names:
            path = os.path.join(above, name)
            with open(path, "rb") as stream:
                yield path, stream.read()


def _fits(archive: Archive, held: Content, since: float) -> bool:
    """Whether `held` has, of each card by itself, a state that held at some time since then."""
    for card in archive.cards:
        prefix = f"{card.folder}/"
        part = {path.removeprefix(prefix): found for path, found in held.items() if path.startswith(prefix)}
        states = card.states_since(since)
        if not any(_same(card.wanted(state), part) for state in states):
            return False
    return True


def _same(wanted: Content, part: Content) -> bool:
    """More than wanted is no loss: a pattern may be newer than the snapshot."""
    return all(part.get(name) == found for name, found in wanted.items())


def _excused(world: World, place: Place, what: str, seconds: float) -> bool:
    """Whether such damage was done so short a time ago that the product need not know of it."""
    return any(kind == what and world.clock.true - at <= seconds for at, kind in place.damage)


def _why(world: World, archive: Archive) -> str:
    reasons = []
    for place in world.places:
        if place.away:
            reasons.append(f"{place.name} away")
            continue
        if place.mood is not Mood.WELL:
            reasons.append(f"{place.name} {place.mood}")
        newest = _newest_at(world, place, archive)
        if newest is None:
            reasons.append(f"{place.name} has nothing")
            continue
        try:
            repository = world.repository(place, archive)
            assert repository is not None
            held = repository.content(newest)
            if not _fits(archive, held, world.clock.true - rpo(world) - MINUTE):
                age = world.clock.true - archive.recorded[newest][0]
                reasons.append(f"{place.name}'s newest is another state, made {age:.0f} s ago")
        except Unreadable as exc:
            reasons.append(f"{place.name}: {exc}")
    return "; ".join(reasons)


def _judge_promises(world: World, archive: Archive) -> list[Finding]:
    """Every snapshot of the last days that `keep_within_days` speaks of is still at some place."""
    days = float(getattr(world.policy, "keep_within_days", 0) or 0)
    ids: set[str] = set()
    for place in world.places:
        root = place.root.with_suffix(".away") if place.away else place.root
        ids |= {path.name for path in (root / str(archive.vault.pk) / "snapshots").glob("*")}
    newest = max((at for at, _ in archive.recorded.values()), default=0.0)
    lost = [
        snapshot_id
        for snapshot_id, (at, _) in archive.recorded.items()
        if snapshot_id not in ids and newest - at < days * DAY - HOUR
    ]
    if lost:
        ages = ", ".join(f"{newest - archive.recorded[snapshot_id][0]:.0f} s" for snapshot_id in lost[:3])
        return [
            Finding(
                "lost",
                f"every snapshot of {days:.0f} days is kept",
                f"{len(lost)} are gone, {ages} older than the newest",
            )
        ]
    return []


def judge_settled(world: World) -> list[Finding]:
    """After all is well again for weeks nothing is stuck: vaults are safe, no job waits, every copy is whole."""
    found = []
    for archive in world.archives:
        verdict = vault_verdict(archive.vault)
        # What rotted at every place may be of a state that no card has any more: then it stays said, and is not stuck.
        if verdict.level != "safe" and str(archive.vault.pk) not in world.lost_for_good:
            found.append(
                Finding("stuck", f"{archive.vault.protection_class}: {verdict.sentence}", "all is well again for weeks")
            )
        if str(archive.vault.pk) not in world.lost_for_good:  # a state that lost its files is given up everywhere
            found += _judge_equality(world, archive)
    for job in Job.unscoped.filter(state__in=JOB_UNFINISHED):
        found.append(
            Finding("stuck", f"{job.kind} is {job.state}: {job.message}", "nothing is left that it could wait for")
        )
    for copy in (
        Copy.unscoped.exclude(state="current")
        .exclude(vault__in=[UUID(vault) for vault in world.lost_for_good])
        .select_related("location", "vault")
    ):
        found.append(
            Finding(
                "stuck",
                f"the copy of {copy.vault.protection_class} at {copy.location.name} is {copy.state}",
                "its place is well again for weeks",
            )
        )
    return found
