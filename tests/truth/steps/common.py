"""What all steps need: time that passes, work that is done, and a choice among what is there."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from backups.worker import run_next
from tests.truth.judge import see
from tests.truth.world import Archive, Card, World
from wedbackup.tick import run_tick

Step = Callable[[World, Random], str]
JOBS_MAX = 60  # per tick: more would be a loop


def ticks(world: World, seconds: float, count: int) -> None:
    """Let time pass in `count` parts; after each the scheduler ticks and the worker does what waits."""
    for _ in range(count):
        world.clock.advance(seconds / count)
        run_tick()
        work(world)


def work(world: World) -> None:
    for _ in range(JOBS_MAX):
        job = run_next("oracle")
        if job is None:
            return
        if job.kind == "backup":
            world.backups += 1
            for archive in world.archives:
                see(world, archive)
    world.notes.append("the queue never ended")


def some_archive(world: World, noise: Random) -> Archive:
    return noise.choice(world.archives)


def some_card(world: World, noise: Random) -> tuple[Archive, Card] | None:
    archive = some_archive(world, noise)
    cards = [card for card in archive.cards if card.connected and card.files]
    return (archive, noise.choice(cards)) if cards else None


def alarm(world: World, archive: Archive) -> None:
    """A person must decide about what happened now, if there is a snapshot that it can be compared with."""
    if archive.recorded and archive.alarming is None:
        archive.alarming = world.clock.true
