"""One job, interrupted: it is asked for, the server is killed while it runs, started again, and watched to the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from backups.models import Job
from backups.states import JOB_ENDED, JOB_UNFINISHED, JobState
from tests.campaigns.installation import VaultUnderTest
from tests.campaigns.places import Seen, let_age
from tests.campaigns.report import Round
from tests.campaigns.server import Server, wait_for_orphans
from wedbackup.core.clock import SYSTEM_CLOCK

START_SECONDS = 30.0
END_SECONDS = 90.0
REACH_SECONDS, LATE_REACH_SECONDS = 0.7, 0.06
LONGER, SHORTER = 1.04, 0.85


class TooSlow(Exception):
    """Something that should have happened did not; the message says what."""


@dataclass
class Aim:
    """When to kill: at a random moment of [0, reach) after the start.

    A kill that was too late shortens the reach, one that hit extends it, so that about one in five is too late: the
    last moments of a job are hit as often as the others, however fast the machine is.
    """

    reach: float = REACH_SECONDS

    def wait(self, found: Interruption, vault: VaultUnderTest, noise: Random) -> None:
        """Return when it is time to kill the job, which has just started."""
        time.sleep(noise.uniform(0, self.reach))

    def learn(self, *, hit: bool) -> None:
        self.reach *= LONGER if hit else SHORTER


@dataclass
class LateAim(Aim):
    """The same from the moment on when the first new index appears: the short time in which promises are made."""

    reach: float = LATE_REACH_SECONDS

    def wait(self, found: Interruption, vault: VaultUnderTest, noise: Random) -> None:
        before = [seen.indexes for seen in found.before]
        while [place.indexes() for place in vault.places] == before and _job(found).state not in JOB_ENDED:
            time.sleep(0.001)
        super().wait(found, vault, noise)


@dataclass
class Interruption:
    """A killed job, and what lay at its vault's places before it, at the kill, and after its end."""

    job: Job
    before: list[Seen]
    at_kill: list[Seen] = field(default_factory=list)
    after: list[Seen] = field(default_factory=list)


def interrupt(
    server: Server, vault: VaultUnderTest, aim: Aim, noise: Random, this: Round, *, ask: Callable[[], Job]
) -> Interruption | None:
    """Have the server killed while it works on the job that `ask` queues, and restarted; `this` takes the figures.

    None: the job had ended before the kill. Raises TooSlow, RuntimeError when the server does not start.
    """
    before = vault.look()
    let_age(before)
    found = Interruption(ask(), before)
    _wait_for(lambda: _job(found).state != JobState.QUEUED, START_SECONDS, "the job does not start")
    aim.wait(found, vault, noise)
    if _job(found).state in JOB_ENDED:
        aim.learn(hit=False)
        return None
    this.crew = len(server.children)
    session = server.kill()
    killed, killed_at = time.monotonic(), SYSTEM_CLOCK.utcnow()
    job, found.at_kill = _job(found), vault.look()
    vault.promises.note()
    server.start()
    this.orphans_seconds, this.orphans = wait_for_orphans(session)
    for seen, later in zip(found.at_kill, vault.look(), strict=True):
        seen.unfinished.update(later.unfinished)  # children may have begun another file before they noticed
    if job.state != JobState.RUNNING:  # it has ended just now
        server.wait()
        return None
    aim.learn(hit=True)
    assert job.started_at is not None
    this.killed_after = (killed_at - job.started_at).total_seconds()
    this.step = job.progress.get("step", "start")
    _note_unfinished(this, found)
    _watch_going_on(server, vault, found, this, fence=job.fence, killed=killed)
    return found


def _watch_going_on(
    server: Server, vault: VaultUnderTest, found: Interruption, this: Round, *, fence: int, killed: float
) -> None:
    _wait_for(lambda: _job(found).fence > fence, END_SECONDS, "the killed job does not start again")
    this.going_on = time.monotonic() - killed
    _wait_for(lambda: _job(found).state in JOB_ENDED, END_SECONDS, "the killed job does not end")
    this.done = time.monotonic() - killed
    unfinished = Job.unscoped.filter(vault=vault.vault, state__in=JOB_UNFINISHED)
    _wait_for(lambda: not unfinished.exists(), END_SECONDS, "jobs that followed the killed one do not end")
    server.wait()
    vault.promises.note()
    found.after = vault.look()


def _note_unfinished(this: Round, found: Interruption) -> None:
    for was, seen in zip(found.before, found.at_kill, strict=True):
        left = [size for path, size in seen.unfinished.items() if path not in was.unfinished]
        this.unfinished_files += len(left)
        this.unfinished_bytes += sum(left)


def _job(found: Interruption) -> Job:
    """Return the job as it is now."""
    found.job.refresh_from_db()
    return found.job


def _wait_for(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TooSlow(f"{otherwise} ({seconds:.0f} s)")
        time.sleep(0.005)
