"""One sequence: a world of its own, random steps, and the judge after each. Runs in a process of its own."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from django.db import connections

from backups.models import Copy, Vault
from backups.services.vaults import vault_trust
from tests.restic import stock
from tests.truth.clock import WorldClock, start_of_worlds
from tests.truth.judge import DAY, Finding, judge, judge_settled
from tests.truth.places import Mood
from tests.truth.planted import Planted
from tests.truth.steps import STEPS
from tests.truth.steps.common import ticks
from tests.truth.steps.work import back_up
from tests.truth.world import World, home_of
from wedbackup.core.clockwatch import clock_confirm

BACKUP_EVERY = 4  # steps at the latest, so that each sequence has its ten backups
RESTIC_SHARE = 0.05  # of the steps after which stock restic judges as well
MEMORY = Path("/dev/shm")


@dataclass
class Told:
    """What came of a sequence. steps: in words. findings: (step, finding in words, kind)."""

    number: int
    seed: str
    steps: list[str] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    backups: int = 0
    restic_judgements: int = 0
    seconds: float = 0.0


def run(
    seed: str,
    number: int,
    count: int,
    template: Path,
    skip: Sequence[int] = (),
    planted: Planted | None = None,
) -> Told:
    """Run sequence `number` of `seed` with `count` steps and return what came of it.

    template: an empty, migrated database.   skip: steps to leave out, to find out which ones matter.
    planted:  an error that is put into the product, in this process.
    """
    told, began = Told(number, seed), time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="wedbackup-truth-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        home_of(root)
        shutil.copy(template, root / "home" / "truth.sqlite3")
        connections.close_all()
        connections["default"].settings_dict["NAME"] = str(root / "home" / "truth.sqlite3")
        _play(told, root, count, set(skip), planted)
    finally:
        connections.close_all()
        shutil.rmtree(root, ignore_errors=True)
        told.seconds = round(time.monotonic() - began, 1)
    return told


def _play(told: Told, root: Path, count: int, skip: set[int], planted: Planted | None) -> None:
    clock = WorldClock(start_of_worlds())
    clock.install()
    world = World(root, clock, _noise(told, "world"))
    world.make()
    often: tuple[str, ...] = ()
    if planted is not None:
        planted.plant()
        often = planted.steps
    names, weights = [*STEPS], [weight + (12 if name in often else 0) for name, (_, weight) in STEPS.items()]
    for place in range(count):
        noise = _noise(told, place)
        name = noise.choices(names, weights)[0]
        if place in skip:
            continue
        _take(told, world, place, name, noise)
        if told.findings:
            break
    if not told.findings:
        _end(told, world, count)
    told.backups, told.restic_judgements = world.backups, world.restic_judgements


def _take(told: Told, world: World, place: int, name: str, noise: Random) -> None:
    try:
        if place % BACKUP_EVERY == BACKUP_EVERY - 1:
            back_up(world, noise)
        what = STEPS[name][0](world, noise)
        told.steps.append(f"{place}: {name}{f' ({what})' if what else ''}")
        world.note_cards()
        found, world.found = [*world.found, *judge(world)], []
        if noise.random() < RESTIC_SHARE:
            found += _stock(world)
    except Exception as exc:
        told.steps.append(f"{place}: {name}, which raised")
        found = [Finding("raised", f"{type(exc).__name__}: {exc}", traceback.format_exc()[-1500:])]
    _note(told, place, found)


def _end(told: Told, world: World, count: int) -> None:
    """All is put right, a person decides what waits for one, and weeks pass: nothing may be left that is not well."""
    try:
        heal(world)
        found = judge_settled(world) + judge(world) + _stock(world, always=True)
    except Exception as exc:
        found = [Finding("raised", f"{type(exc).__name__}: {exc}", traceback.format_exc()[-1500:])]
    told.steps.append("the end: all is well again for weeks")
    _note(told, count, found)


def heal(world: World) -> None:
    world.clock.error = 0.0
    for place in world.places:
        if place.away:
            place.come_back()
        place.mood = Mood.WELL
    for archive in world.archives:
        for card in archive.cards:
            if not card.connected:
                card.connect()
    world.note_cards()
    ticks(world, 20 * 60, 4)
    for _ in range(3):
        ticks(world, DAY, 2)
        clock_confirm()
        for archive in world.archives:
            vault_trust(Vault.unscoped.get(pk=archive.vault.pk), actor=world.admin)
            archive.alarming = None
    ticks(world, 10 * DAY, 12)
    ticks(world, 10 * 60, 4)
    for archive in world.archives:
        vault_trust(Vault.unscoped.get(pk=archive.vault.pk), actor=world.admin)


def _stock(world: World, always: bool = False) -> list[Finding]:
    """Let stock restic read every byte of every copy that is said to be current, and that nobody damaged unseen."""
    found = []
    for place in world.places:
        for archive in world.archives:
            if str(archive.vault.pk) in world.lost_for_good:
                continue  # stock restic rightly says that it is damaged; so must we, which the verdict is asked for
            copy = Copy.unscoped.get(vault=archive.vault, location=place.location)
            damaged = any(kind != "unreachable" for _, kind in place.damage)
            if place.away or copy.state != "current" or (damaged and not always):
                continue
            world.restic_judgements += 1
            try:
                stock.check(place.repository(archive.vault.pk), archive.secret, "--no-lock")
            except stock.StockResticFailed as exc:
                found.append(
                    Finding(
                        "false green",
                        f"the copy of {archive.vault.protection_class} at {place.name} is current",
                        str(exc)[-600:],
                    )
                )
    return found


def _note(told: Told, place: int, found: Sequence[Finding]) -> None:
    told.findings += [{"step": place, "words": str(finding), **asdict(finding)} for finding in found]


def _noise(told: Told, what: object) -> Random:
    return Random(hashlib.sha256(f"{told.seed}/{told.number}/{what}".encode()).digest())
