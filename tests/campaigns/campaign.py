"""The campaign: backups of a changing source, each interrupted by a kill -9 of the server at a random moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from backups.models import Job, Snapshot
from backups.services.backups import backup_request
from backups.states import JOB_ENDED, JOB_UNFINISHED, JobState
from tests.campaigns import proof
from tests.campaigns.installation import DISK, MEMORY, Installation, VaultUnderTest, server_environment
from tests.campaigns.places import Seen, let_age, new_packs, new_snapshots, stage
from tests.campaigns.proof import Promises
from tests.campaigns.report import Report, Round
from tests.campaigns.server import Server, wait_for_orphans
from tests.campaigns.source import Change
from tests.servers.ports import free_port
from wedbackup.core.clock import SYSTEM_CLOCK

ROUNDS_PER_VAULT = 8  # then a new one begins, so that the copies stay small
RESTORE_EVERY = 5
ATTEMPTS_PER_ROUND = 10  # for a kill that comes too late
FAILURES_MAX = 8  # each keeps a copy of its vault
START_SECONDS = 30.0
END_SECONDS = 90.0
# The kill comes at a random moment of [0, reach). A kill that was too late shortens the reach, one that hit extends it,
# so that about one in five is too late: the last moments of a backup are hit as often as the others.
REACH_SECONDS, LONGER, SHORTER = 0.7, 1.04, 0.85


class TooSlow(Exception):
    """Something that should have happened did not; the message says what."""


class Campaign:
    """Runs `count` rounds below the folder `work`, and tells `say` about each."""

    def __init__(self, work: Path, count: int, seed: str, say: Callable[[str], None]) -> None:
        self.report = Report(seed)
        self._work = work
        self._count = count
        self._say = say
        self._installation = Installation(work)
        self._environment = server_environment(work)
        self._server = Server(self._environment, free_port(), work / "server.log")
        self._reach = dict.fromkeys(Change, REACH_SECONDS)
        self._rounds_per_vault = max(1, min(ROUNDS_PER_VAULT, count // 2))
        self._vault: VaultUnderTest | None = None
        self._promises = Promises()

    def run(self) -> Report:
        """Run all rounds; a failure is noted, and the next round begins with a new vault."""
        try:
            self._server.start()
            self._server.wait()
            for number in range(1, self._count + 1):
                self._one_round(number)
                if sum(bool(each.failures) for each in self.report.rounds) >= FAILURES_MAX:
                    self.report.failures.append(f"given up after {FAILURES_MAX} failed rounds")
                    break
        finally:
            self._server.stop()
            self._retire()
            self._installation.remove_memory()
        self.report.failures += proof.database_is_sound()
        return self.report

    def _one_round(self, number: int) -> None:
        for attempt in range(ATTEMPTS_PER_ROUND):
            seed = f"{self.report.seed}/{number}/{attempt}"
            noise = Random(seed)
            vault = self._present_vault(number, noise)
            this = Round(number, seed, vault.where, _next_change(vault, noise))
            began = time.monotonic()
            try:
                hit = self._attempt(this, vault, noise)
            except (TooSlow, RuntimeError) as exc:
                hit = True
                this.failures.append(str(exc))
                self._server.stop()
                self._server.start()
                self._server.wait()
            this.seconds = time.monotonic() - began
            if hit:
                break
            self.report.missed += 1
        else:
            this.failures.append(f"no kill in {ATTEMPTS_PER_ROUND} hit the running job")
        if this.failures:
            this.kept = str(self._installation.keep(vault, f"round-{number}"))
            self._retire()
        self.report.rounds.append(this)
        self._say(str(this))
        for failure in this.failures:
            self._say(f"     {failure}")

    def _present_vault(self, number: int, noise: Random) -> VaultUnderTest:
        if self._vault is not None and self._vault.rounds >= self._rounds_per_vault:
            self._retire()
        if self._vault is None:
            even = ((number - 1) // self._rounds_per_vault) % 2 == 0
            self._vault = self._installation.vault(DISK if even else MEMORY, noise)
            self._promises = Promises()
        return self._vault

    def _retire(self) -> None:
        if self._vault is not None:
            self._vault.remove()
            self._vault = None

    def _attempt(self, this: Round, vault: VaultUnderTest, noise: Random) -> bool:
        """Back up, kill, restart, prove. False: the job had ended before the kill, nothing was proved."""
        if this.change != Change.FIRST:
            vault.source.change(this.change, noise)
        before, snapshots = vault.look(), Snapshot.unscoped.filter(vault=vault.vault).count()
        let_age(before)
        (job,) = backup_request(vault=vault.vault, reason="campaign")
        _wait_for(lambda: _state(job) != JobState.QUEUED, START_SECONDS, "the job does not start")
        time.sleep(noise.uniform(0, self._reach[this.change]))
        if _state(job) in JOB_ENDED:
            self._reach[this.change] *= SHORTER
            return False
        this.crew = len(self._server.children)
        session = self._server.kill()
        killed, killed_at = time.monotonic(), SYSTEM_CLOCK.utcnow()
        self._promises.note(vault)
        job.refresh_from_db()
        at_kill = vault.look()
        self._server.start()
        this.orphans_seconds, this.orphans = wait_for_orphans(session)
        if job.state != JobState.RUNNING:  # it has ended just now
            self._server.wait()
            return False
        self._reach[this.change] *= LONGER
        assert job.started_at is not None
        this.killed_after = (killed_at - job.started_at).total_seconds()
        _note_hit(this, job, before, at_kill)
        if Snapshot.unscoped.filter(vault=vault.vault).count() > snapshots:
            this.stage = "recorded"
        self._watch_going_on(this, job, vault, killed)
        vault.rounds += 1
        this.failures += self._findings(this, vault, job, snapshots, before, at_kill, noise)
        return True

    def _watch_going_on(self, this: Round, job: Job, vault: VaultUnderTest, killed: float) -> None:
        fence = job.fence
        _wait_for(lambda: _fence(job) > fence, END_SECONDS, "the killed job does not start again")
        this.going_on = time.monotonic() - killed
        _wait_for(lambda: _state(job) in JOB_ENDED, END_SECONDS, "the killed job does not end")
        this.done = time.monotonic() - killed
        unfinished = Job.unscoped.filter(vault=vault.vault, state__in=JOB_UNFINISHED)
        _wait_for(lambda: not unfinished.exists(), END_SECONDS, "jobs that followed the killed one do not end")
        self._server.wait()
        job.refresh_from_db()

    def _findings(
        self,
        this: Round,
        vault: VaultUnderTest,
        job: Job,
        snapshots: int,
        before: list[Seen],
        at_kill: list[Seen],
        noise: Random,
    ) -> Iterator[str]:
        if this.orphans:
            yield f"{this.orphans} engine processes outlived the killed server"
        self._promises.note(vault)
        now = vault.look()
        yield from proof.job_went_on(job, snapshots)
        yield from proof.nothing_left_over(before, at_kill, now, self._work / "tmp")
        answers = proof.stock_says(vault)
        yield from proof.copies_are_whole(vault, self._promises, answers)
        yield from proof.copies_are_equal(now)
        yield from proof.promises_are_kept(vault, self._promises)
        known = set(Snapshot.unscoped.filter(vault=vault.vault).values_list("restic_id", flat=True))
        this.unknown_snapshots = len(new_snapshots(before, at_kill) - known)
        this.twice_recorded = len(known) > snapshots + 1
        stored: set[str] = new_packs(before, at_kill)
        this.packs, this.stored_at_kill = len(new_packs(before, now)), len(stored)
        this.reused = len(stored.difference(*(answer.unused for answer in answers)))
        if this.number % RESTORE_EVERY == 0 or this.number == self._count:
            this.restored = True
            yield from proof.newest_restores(vault, noise.choice(vault.places), self._work / "restored")
            yield from proof.database_is_sound()


def _next_change(vault: VaultUnderTest, noise: Random) -> Change:
    if not Snapshot.unscoped.filter(vault=vault.vault).exists():
        return Change.FIRST
    return noise.choice([change for change in Change if change != Change.FIRST])


def _note_hit(this: Round, job: Job, before: list[Seen], at_kill: list[Seen]) -> None:
    this.step = job.progress.get("step", "start")
    this.stage = stage(before, at_kill)
    left = [size for was, seen in zip(before, at_kill, strict=True)
            for path, size in seen.unfinished.items() if path not in was.unfinished]  # fmt: skip
    this.unfinished_files, this.unfinished_bytes = len(left), sum(left)


def _wait_for(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TooSlow(f"{otherwise} ({seconds:.0f} s)")
        time.sleep(0.005)


def _state(job: Job) -> str:
    return Job.unscoped.values_list("state", flat=True).get(pk=job.pk)


def _fence(job: Job) -> int:
    return Job.unscoped.values_list("fence", flat=True).get(pk=job.pk)
