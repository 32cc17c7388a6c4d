"""Reads restored files back and compares them with what was backed up."""

from __future__ import annotations

import os
from collections.abc import Iterator

from backups.engine.format import MIB, BlobType
from backups.engine.restore.errnos import explain
from backups.engine.restore.plan import Miss
from backups.engine.restore.result import Proof
from backups.engine.restore.shared import RestoreRun
from backups.engine.restore.target import Attributes
from backups.engine.restore.worker import ProofTask, Task

_FILES = 64  # small files read back by one task
_BYTES = 32 * MIB


def changed_files(run: RestoreRun, candidates: list[int]) -> list[int]:
    """Read the files that are there with the right size; return those with another content."""
    if not candidates:
        return []
    differing = _compare(run, candidates, "compare")
    for number in candidates:
        if number not in differing:
            run.result.unchanged += 1
            run.in_place.add(number)
            _refresh_attributes(run, number)
    return sorted(differing)


def prove_files(run: RestoreRun, files: list[int]) -> None:
    """Bring everything to the medium, read these files back from it and note the proof in the result."""
    run.target.sync()
    differing = _compare(run, files, "verify")
    misses = [Miss(run.plan.path(run.plan.files[number]), why) for number, why in sorted(differing.items())]
    # A further name leads to the same bytes: what was read stands for it as well.
    misses += [
        Miss(run.plan.path(item), differing[item.linked_to]) for item in run.linked if item.linked_to in differing
    ]
    run.result.proof = Proof(len(files) + len(run.linked), tuple(misses))


def _compare(run: RestoreRun, files: list[int], step: str) -> dict[int, str]:
    """Read files of the target and return how they differ, by number."""
    run.begin(step, files)
    differing: dict[int, str] = {}
    for outcome in run.outcomes(_tasks(run, files)):
        differing |= outcome.failed
        run.progress.files_done += len(outcome.finished) + len(outcome.failed)
        run.progress.bytes_done += outcome.bytes_done
        run.listener(run.progress)
    return differing


def _tasks(run: RestoreRun, files: list[int]) -> Iterator[Task]:
    entries = run.reader.index.entries(BlobType.DATA)
    batch: list[tuple[int, int, bytes, list[tuple[bytes, int]]]] = []
    size = task_number = 0
    for number in files:
        item = run.plan.files[number]
        blobs = [(blob_id, entries[blob_id].size_bytes) for blob_id in item.node.content if blob_id in entries]
        batch.append((number, item.folder, item.name, blobs))
        size += item.node.size
        if len(batch) >= _FILES or size >= _BYTES:
            yield ProofTask(task_number, batch)
            batch, size, task_number = [], 0, task_number + 1
    if batch:
        yield ProofTask(task_number, batch)


def _refresh_attributes(run: RestoreRun, number: int) -> None:
    item = run.plan.files[number]
    try:
        fd = run.target.open_for_reading(item.folder, item.name)
    except OSError as exc:
        run.refuse(item, [explain(exc)])
        return
    try:
        run.refuse(item, run.target.apply(fd, Attributes.of(item.node)))
    finally:
        os.close(fd)
