"""What must hold after a backup that was killed has gone on by itself. Each function yields what does not, in words."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from django.db import connection

from backups.models import Job, JobMove
from backups.states import JOB_MOVES, JobState
from tests.campaigns.installation import COPIES, VaultUnderTest
from tests.campaigns.interruption import Interruption
from tests.campaigns.places import Place, Seen
from tests.restic import stock
from tests.restic.trees import assert_equal
from wedbackup.core.audit import verify_chain


@dataclass
class Stock:
    """What stock restic says of one copy. unused: packs that no index names."""

    snapshots: set[str] = field(default_factory=set)
    unused: set[str] = field(default_factory=set)
    error: str = ""


def stock_says(vault: VaultUnderTest) -> list[Stock]:
    """Let restic read every byte of every copy and list its snapshots, all copies at once."""
    with ThreadPoolExecutor(COPIES) as pool:
        return list(pool.map(lambda place: _ask(place, vault.secret), vault.places))


def _ask(place: Place, secret: bytes) -> Stock:
    try:
        printed = stock.run(place.repository, secret, "check", "--read-data")
        if "no errors were found" not in printed:
            return Stock(error=printed)
        listed = {snapshot["id"] for snapshot in stock.snapshots(place.repository, secret)}
        return Stock(listed, set(re.findall(r"pack ([0-9a-f]{64}): not referenced", printed)))
    except stock.StockResticFailed as exc:
        return Stock(error=str(exc))


def copies_are_whole(vault: VaultUnderTest, answers: list[Stock]) -> Iterator[str]:
    """Restic finds no error in any copy, and in each the acknowledged snapshots that it confirmed."""
    for place, answer in zip(vault.places, answers, strict=True):
        if answer.error:
            yield f"restic refuses {place.repository}: {answer.error}"
        for restic_id, roots in vault.promises.acknowledged.items():
            if str(place.root) in roots and not answer.error and restic_id not in answer.snapshots:
                yield f"acknowledged snapshot {restic_id[:8]} is lost at {place.root}"


def copies_are_equal(seen: list[Seen]) -> Iterator[str]:
    first, *others = seen
    for other in others:
        for kind in ("packs", "indexes", "snapshots"):
            if differing := getattr(first, kind) ^ getattr(other, kind):
                yield f"{len(differing)} {kind} are not in all copies: {sorted(differing)[:3]}"


def promises_are_kept(vault: VaultUnderTest) -> Iterator[str]:
    """The database still knows every acknowledged snapshot and who confirmed it."""
    present = vault.promises.present()
    for restic_id, roots in vault.promises.acknowledged.items():
        if len(roots) < COPIES:
            yield f"snapshot {restic_id[:8]} was acknowledged with {len(roots)} of {COPIES} copies"
        if not roots <= present.get(restic_id, set()):
            yield f"the database has forgotten the acknowledged snapshot {restic_id[:8]}"


def job_went_on(job: Job) -> Iterator[str]:
    """The killed job has ended well, in legal moves, and never ran twice at a time."""
    if job.state != JobState.COMPLETED:
        yield f"the job ended as {job.state}: {job.message} {job.advice}"
    state, starts = "", 0
    for move in JobMove.objects.filter(job=job).order_by("id"):
        if move.old_state != state or (state and move.new_state not in JOB_MOVES[state]):
            yield f"illegal move of the job: it was {state or 'new'}, then {move}"
        state = move.new_state
        starts += state == JobState.RUNNING
    if state != job.state or starts != job.fence:
        yield f"the job's moves end in {state} after {starts} starts, the row says {job.state} and {job.fence}"


def backup_was_made(vault: VaultUnderTest, known_before: set[str]) -> Iterator[str]:
    """There is a new snapshot, acknowledged and without gaps."""
    newest = vault.newest
    if newest is None or newest.restic_id in known_before:
        yield "the job left no snapshot in the database"
    elif newest.acknowledged_at is None:
        yield "the newest snapshot is not acknowledged"
    elif newest.problem_files:
        yield f"the newest snapshot misses files of a source at rest: {newest.problem_files[:3]}"


def these_went(vault: VaultUnderTest, going: set[str], answers: list[Stock]) -> Iterator[str]:
    """What retention let go is gone from the database and from every copy."""
    if left := going & vault.snapshots:
        yield f"the database still has {len(left)} expired snapshots"
    for place, answer in zip(vault.places, answers, strict=True):
        if left := going & answer.snapshots:
            yield f"{place.root} still shows {len(left)} expired snapshots"


def nothing_left_over(found: Interruption, temporary: Path) -> Iterator[str]:
    """No locks, and of unfinished files only those of the run that was killed.

    Those that lay there before were made to look a day old, see `places.let_age`.
    """
    for was, killed, seen in zip(found.before, found.at_kill, found.after, strict=True):
        if seen.locks:
            yield f"lock files are left over: {sorted(seen.locks)}"
        if aged := was.unfinished.keys() & seen.unfinished.keys():
            yield f"old unfinished files are still there: {sorted(map(str, aged))}"
        if strange := seen.unfinished.keys() - was.unfinished.keys() - killed.unfinished.keys():
            yield f"a run that was not killed left unfinished files: {sorted(map(str, strange))}"
    if left := sorted(temporary.iterdir()):
        yield f"temporary files are left over: {[path.name for path in left]}"


def newest_restores(vault: VaultUnderTest, place: Place, target: Path) -> Iterator[str]:
    """Stock restic restores the newest snapshot from `place`, equal to the source in every byte and attribute."""
    newest = vault.newest
    assert newest is not None
    try:
        stock.restore(place.repository, vault.secret, newest.restic_id, target)
        assert_equal(target / str(vault.source.folder).lstrip("/"), vault.source.folder)
    except AssertionError as exc:  # also what restic says
        yield f"the newest snapshot does not restore from {place.root}: {exc}"
    finally:
        shutil.rmtree(target, ignore_errors=True)


def database_is_sound() -> Iterator[str]:
    if (broken := verify_chain()) is not None:
        yield f"the audit chain is broken at line {broken}"
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA integrity_check")
        answer = [row[0] for row in cursor.fetchall()]
        if answer != ["ok"]:
            yield f"SQLite finds {answer[:5]}"
        cursor.execute("PRAGMA foreign_key_check")
        if rows := cursor.fetchall():
            yield f"SQLite finds rows that refer to nothing: {rows[:5]}"
