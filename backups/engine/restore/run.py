"""Restore a snapshot, or a part of one, into a folder, from any of the vault's copies.

Order: look at the snapshot and at the target, make the folders, fill the files pack by pack (each appears under its
name when it is whole), then links, then the proof, then the folders' attributes. Interrupted at any moment, every
file that has its name is whole.
"""

from __future__ import annotations

import contextlib
from pickle import PicklingError

from backups.engine.format import MIB
from backups.engine.format.snapshot import Snapshot
from backups.engine.progress import CancelToken, Listener, Progress, ignore
from backups.engine.restore.browse import NotInSnapshot, locate, require
from backups.engine.restore.crew import Crew, ProcessCrew, ThreadCrew
from backups.engine.restore.fill import Filling
from backups.engine.restore.links import finish_folders, make_links
from backups.engine.restore.naming import give_names
from backups.engine.restore.plan import EVERYTHING, Miss, Plan, Subset, build_plan
from backups.engine.restore.proof import changed_files, prove_files
from backups.engine.restore.result import Existing, RestoreResult
from backups.engine.restore.shared import RestoreRun
from backups.engine.restore.survey import leave_out, make_folders, survey_target
from backups.engine.restore.target import Target
from backups.engine.restore.vault_reader import VaultReader

PROCESSES_FROM_BYTES = 192 * MIB  # below this the processes would end before they have begun
PROCESSES_FROM_FILES = 4_000
_PARTED = "made a file of its own: this disk gives a file no second name"


def restore(
    reader: VaultReader,
    snapshot: Snapshot,
    target: str | bytes,
    *,
    base: bytes = b"",
    subset: Subset = EVERYTHING,
    existing: Existing = Existing.FAIL,
    verify: bool = True,
    listener: Listener = ignore,
    cancel: CancelToken | None = None,
) -> RestoreResult:
    """Restore into the folder `target`, which is made if it is not there.

    reader:   the vault; its index is read unless it was already.
    base:     folder of the snapshot whose content goes directly into `target`, b"" for its root.
    subset:   what of it is wanted; paths count from `base`.
    existing: what becomes of files that are there.
    verify:   bring everything to the medium, read it back and compare.

    What cannot be restored is in the result's `misses`; the rest is restored. Raises NotInSnapshot, UnsafeTarget (then
    nothing was written), TargetFull (its `result` tells what was done), Cancelled, or StoreError if no copy answers.
    """
    if not len(reader.index):
        reader.load_index()
    tree = locate(reader, snapshot.tree, base).subtree
    if tree is None:
        raise NotInSnapshot(f"{base.decode(errors='replace')!r} is not a folder in the snapshot")
    for path in subset.paths:
        require(reader, tree, path)
    listener(Progress(step="plan"))
    plan = build_plan(reader, tree, subset)
    with contextlib.ExitStack() as stack:
        processes = _start_processes(plan)
        if processes is not None:
            stack.callback(processes.close)
        opened = Target.create(target)
        stack.callback(opened.close)
        disk = opened.probe()
        result = RestoreResult(renamed=give_names(plan, disk))
        opened.folders = [(folder.parent, folder.name) for folder in plan.folders]
        if not disk.hard_links:
            result.refused += [Miss(plan.path(item), _PARTED) for item in plan.part_links()]
        crew = _choose_crew(processes, reader, opened)
        replace = existing in (Existing.OVERWRITE, Existing.IF_CHANGED)
        run = RestoreRun(reader, plan, opened, crew, listener, cancel or CancelToken(), replace, disk.folds, result)
        return _carry_out(run, existing, verify)


def _start_processes(plan: Plan) -> ProcessCrew | None:
    large = plan.bytes_total >= PROCESSES_FROM_BYTES or len(plan.files) >= PROCESSES_FROM_FILES
    return ProcessCrew() if large else None


def _choose_crew(processes: ProcessCrew | None, reader: VaultReader, target: Target) -> Crew:
    if processes is not None:
        try:
            processes.equip(reader, target)
        except (TypeError, PicklingError, AttributeError):
            pass  # a store that lives in this process only
        else:
            return processes
    return ThreadCrew(reader, target)


def _carry_out(run: RestoreRun, existing: Existing, verify: bool) -> RestoreResult:
    result = run.result
    result.wanted = len(run.plan.files) + len(run.plan.hard_links)
    survey = survey_target(run.target, run.plan, existing)
    result.misses += run.plan.misses + survey.misses
    result.kept = survey.kept
    result.lost_folders = run.plan.lost_folders
    try:
        files = survey.files + changed_files(run, survey.candidates)
        made = make_folders(run.target, run.plan)
        result.folders = made.made
        leave_out(run, survey, made.lost)
        Filling(run).fill([number for number in files if run.plan.files[number].folder not in made.lost])
        make_links(run, survey)
        if verify:
            prove_files(run, sorted(run.in_place))
    finally:
        result.bytes_in_place = sum(run.plan.files[number].node.size for number in run.in_place)
        finish_folders(run, existing)
        result.problems = run.reader.problems
    return result
