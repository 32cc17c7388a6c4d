"""The campaign: backups of a changing source, each interrupted by a kill -9 of the server at a random moment."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from backups.models import Job
from backups.services.backups import backup_request
from backups.services.retention import prune_request
from tests.campaigns import proof
from tests.campaigns.installation import DISK, MEMORY, Installation, VaultUnderTest, server_environment
from tests.campaigns.interruption import Aim, Interruption, TooSlow, interrupt
from tests.campaigns.places import new_packs, new_snapshots, prune_stage, stage
from tests.campaigns.report import PRUNE, Report, Round
from tests.campaigns.server import Server
from tests.campaigns.source import Change
from tests.servers.ports import free_port

ROUNDS_PER_VAULT = 8  # then it is pruned and a new one begins, so that the copies stay small
RESTORE_EVERY = 5
ATTEMPTS_PER_ROUND = 10  # for a kill that comes too late
FAILURES_MAX = 8  # each keeps a copy of its vault


class Campaign:
    """Runs `count` rounds below the folder `work`, and tells `say` about each.

    aim: of all kills.
    """

    def __init__(self, work: Path, count: int, seed: str, aim: type[Aim], say: Callable[[str], None]) -> None:
        self.report = Report(seed)
        self._work = work
        self._count = count
        self._say = say
        self._installation = Installation(work)
        self._server = Server(server_environment(work), free_port(), work / "server.log")
        self._aims: defaultdict[str, Aim] = defaultdict(aim)
        self._rounds_per_vault = max(1, min(ROUNDS_PER_VAULT, count // 2))
        self._vault: VaultUnderTest | None = None

    def run(self) -> Report:
        """Run all rounds; a failure is noted, and the next round begins with a new vault."""
        try:
            self._server.start()
            self._server.wait()
            for number in range(1, self._count + 1):
                self._backup_round(number)
                if self._vault is not None and self._vault.rounds == self._rounds_per_vault:
                    self._prune_round(number, self._vault)
                    self._retire()
                if sum(bool(each.failures) for each in self.report.rounds) >= FAILURES_MAX:
                    self.report.failures.append(f"given up after {FAILURES_MAX} failed rounds")
                    break
        except KeyboardInterrupt:
            self.report.failures.append("ended by Ctrl-C")
        finally:
            self._server.stop()
            self._retire()
            self._installation.remove_memory()
        self.report.failures += proof.database_is_sound()
        return self.report

    def _backup_round(self, number: int) -> None:
        """Try until a kill hits a running backup."""
        for attempt in range(ATTEMPTS_PER_ROUND):
            noise = Random(seed := f"{self.report.seed}/{number}/{attempt}")
            vault = self._present_vault(number, noise)
            this = Round(number, seed, vault.where, _next_change(vault, noise))
            if self._try(this, vault, lambda: self._back_up(this, vault, noise)):  # noqa: B023 - called at once
                break
        else:
            this.failures.append(f"no kill in {ATTEMPTS_PER_ROUND} hit the running job")
        self._conclude(this, vault)

    def _prune_round(self, number: int, vault: VaultUnderTest) -> None:
        """A round beyond those that count: retention at the end of a vault's life is killed as well."""
        going = self._installation.let_expire(vault)
        if not going:
            return
        noise = Random(seed := f"{self.report.seed}/{number}/{PRUNE}")
        this = Round(number, seed, vault.where, PRUNE)
        if self._try(this, vault, lambda: self._prune(this, vault, noise, going)):
            self._conclude(this, vault)

    def _try(self, this: Round, vault: VaultUnderTest, attempt: Callable[[], bool]) -> bool:
        """Return whether the kill hit, or something failed, which ends the round as well."""
        began = time.monotonic()
        try:
            hit = attempt()
        except (TooSlow, RuntimeError) as exc:
            hit = True
            this.failures.append(str(exc))
            self._server.stop()
            self._server.start()
            self._server.wait()
        this.seconds = time.monotonic() - began
        self.report.missed += not hit
        return hit

    def _conclude(self, this: Round, vault: VaultUnderTest) -> None:
        if this.failures:
            this.kept = str(self._installation.keep(vault, f"round-{this.number}-{this.change}"))
            self._retire()
        self.report.rounds.append(this)
        self._say(str(this))
        for failure in this.failures:
            self._say(f"     {failure}")

    def _present_vault(self, number: int, noise: Random) -> VaultUnderTest:
        if self._vault is None:
            even = ((number - 1) // self._rounds_per_vault) % 2 == 0
            self._vault = self._installation.vault(DISK if even else MEMORY, noise)
        return self._vault

    def _retire(self) -> None:
        if self._vault is not None:
            self._vault.remove()
            self._vault = None

    def _back_up(self, this: Round, vault: VaultUnderTest, noise: Random) -> bool:
        """Back up, kill, restart, prove. False: the job had ended before the kill, nothing was proved."""
        if this.change != Change.FIRST:
            vault.source.change(Change(this.change), noise)
        known = vault.snapshots

        def ask() -> Job:
            (job,) = backup_request(vault=vault.vault, reason="campaign")
            return job

        found = interrupt(self._server, vault, self._aims[this.change], noise, this, ask=ask)
        if found is None:
            return False
        vault.rounds += 1
        answers = proof.stock_says(vault)
        _note_backup(this, vault, found, known, answers)
        this.failures += itertools.chain(
            self._findings(this, vault, found, answers),
            proof.backup_was_made(vault, known),
            self._restore(this, vault, noise),
        )
        return True

    def _prune(self, this: Round, vault: VaultUnderTest, noise: Random, going: set[str]) -> bool:
        """Let the snapshots `going` go, kill, restart, prove."""

        def ask() -> Job:
            job = prune_request(vault.vault)
            assert job is not None, "nothing has expired"
            return job

        found = interrupt(self._server, vault, self._aims[this.change], noise, this, ask=ask)
        if found is None:
            return False
        vault.promises.let_go(going)
        this.stage = prune_stage(found.before, found.at_kill)
        answers = proof.stock_says(vault)
        this.failures += itertools.chain(
            self._findings(this, vault, found, answers),
            proof.these_went(vault, going, answers),
            self._restore(this, vault, noise),
        )
        return True

    def _findings(
        self, this: Round, vault: VaultUnderTest, found: Interruption, answers: list[proof.Stock]
    ) -> Iterator[str]:
        """What must hold after every kill."""
        if this.orphans:
            yield f"{this.orphans} engine processes outlived the killed server"
        yield from proof.job_went_on(found.job)
        yield from proof.nothing_left_over(found, self._work / "tmp")
        yield from proof.copies_are_whole(vault, answers)
        yield from proof.copies_are_equal(found.after)
        yield from proof.promises_are_kept(vault)

    def _restore(self, this: Round, vault: VaultUnderTest, noise: Random) -> Iterator[str]:
        if this.change == PRUNE or this.number % RESTORE_EVERY == 0 or this.number == self._count:
            this.restored = True
            yield from proof.newest_restores(vault, noise.choice(vault.places), self._work / "restored")
            yield from proof.database_is_sound()


def _next_change(vault: VaultUnderTest, noise: Random) -> Change:
    if vault.newest is None:
        return Change.FIRST
    return noise.choice([change for change in Change if change != Change.FIRST])


def _note_backup(
    this: Round, vault: VaultUnderTest, found: Interruption, known: set[str], answers: list[proof.Stock]
) -> None:
    """Note how far the backup was at the kill, and what became of what it had stored."""
    recorded = vault.snapshots - known
    shown = new_snapshots(found.before, found.at_kill)
    this.stage = "recorded" if shown & recorded else stage(found.before, found.at_kill)
    this.twice_recorded = len(recorded) > 1
    this.unknown_snapshots = len(shown - recorded)
    stored: set[str] = new_packs(found.before, found.at_kill)
    this.packs, this.stored_at_kill = len(new_packs(found.before, found.after)), len(stored)
    this.reused = len(stored.difference(*(answer.unused for answer in answers)))
