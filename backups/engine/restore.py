"""Restore a snapshot, or a part of one, into a folder, from any of the vault's copies.

Order: look at the snapshot and at the target, make the folders, fill the files pack by pack (each appears under its
name when it is whole), then links, then the proof, then the folders' attributes. Interrupted at any moment, every
file that has its name is whole.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pickle import PicklingError

from backups.engine.browse import NotInSnapshot, locate
from backups.engine.format import MIB, BlobType
from backups.engine.progress import CancelToken, Listener, Progress, ignore
from backups.engine.restore_crew import Crew, ProcessCrew, ThreadCrew
from backups.engine.restore_plan import EVERYTHING, ROOT, Item, Miss, Plan, Subset, build_plan, plan_ranges, portions
from backups.engine.restore_result import Existing, Proof, RestoreResult, TargetFull
from backups.engine.restore_survey import Survey, make_folders, survey_target
from backups.engine.restore_target import Attributes, Target, is_full, special_mode, write_sparse
from backups.engine.restore_worker import FileEnd, FillTask, Outcome, ProofTask, Task, end_file, explain
from backups.engine.snapshot import Snapshot
from backups.engine.vault_reader import VaultReader

PROCESSES_FROM_BYTES = 192 * MIB  # below this the processes would end before they have begun
PROCESSES_FROM_FILES = 4_000
_PROOF_FILES = 64  # small files read back by one task
_PROOF_BYTES = 32 * MIB
_LOST = "a piece of it is readable in no copy of the vault"


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
    listener(Progress(step="plan"))
    plan = build_plan(reader, tree, subset)
    with contextlib.ExitStack() as stack:
        processes = _start_processes(plan)
        if processes is not None:
            stack.callback(processes.close)
        folders = [(folder.parent, folder.name) for folder in plan.folders]
        opened = Target.create(target, folders)
        stack.callback(opened.close)
        crew = _choose_crew(processes, reader, opened)
        return _Restore(reader, plan, opened, crew, listener, cancel or CancelToken()).run(existing, verify)


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


class _Restore:
    """One restore under way. All of it runs in the caller's thread; only tasks run elsewhere."""

    def __init__(
        self,
        reader: VaultReader,
        plan: Plan,
        target: Target,
        crew: Crew,
        listener: Listener,
        cancel: CancelToken,
    ) -> None:
        self._reader = reader
        self._plan = plan
        self._target = target
        self._crew = crew
        self._listener = listener
        self._cancel = cancel
        self._result = RestoreResult(misses=list(plan.misses))
        self._progress = Progress(step="restore", total_known=True)
        self._replace = False
        self._in_place: set[int] = set()  # files that have their name: restored, kept or equal
        self._failed: set[int] = set()

    def run(self, existing: Existing, verify: bool) -> RestoreResult:
        self._replace = existing in (Existing.OVERWRITE, Existing.IF_CHANGED)
        survey = survey_target(self._target, self._plan, existing)
        self._result.misses += survey.misses
        self._result.kept = survey.kept
        try:
            files = survey.files + self._changed(survey.candidates)
            self._result.folders = make_folders(self._target, self._plan)
            self._fill(files)
            self._link(survey)
            if verify:
                self._prove(sorted(self._in_place))
        finally:
            self._finish_folders(existing)
            self._result.problems = self._reader.problems
        return self._result

    # --- files -------------------------------------------------------------------------------------------------

    def _changed(self, candidates: list[int]) -> list[int]:
        """Read the files that are there with the right size; return those with another content."""
        if not candidates:
            return []
        differing = self._compare(candidates, "compare")
        for number in candidates:
            if number not in differing:
                self._result.unchanged += 1
                self._in_place.add(number)
                self._refresh_attributes(number)
        return sorted(differing)

    def _refresh_attributes(self, number: int) -> None:
        item = self._plan.files[number]
        try:
            fd = self._target.open_for_reading(item.folder, item.node.name)
        except OSError as exc:
            self._refuse(item, [explain(exc)])
            return
        try:
            self._refuse(item, self._target.apply(fd, Attributes.of(item.node)))
        finally:
            os.close(fd)

    def _fill(self, files: list[int]) -> None:
        self._progress.step = "restore"
        self._progress.files_total, self._progress.files_done = len(files), 0
        self._progress.bytes_total = sum(self._plan.files[number].node.size for number in files)
        self._progress.bytes_done = 0
        for portion in portions(self._plan, files):
            empty = [number for number in portion if not self._plan.files[number].node.content]
            for number in empty:
                self._end(number)
            self._fill_portion([number for number in portion if self._plan.files[number].node.content])

    def _fill_portion(self, files: list[int]) -> None:
        ranges, lost = plan_ranges(self._reader, self._plan, files)
        for number in lost:
            self._fail(number, "a piece of it is in no index of the vault")
        tasks_left = Counter(
            number for planned in ranges for number in {number for places in planned.targets for number, _ in places}
        )
        single = {number for number, count in tasks_left.items() if count == 1}
        unread: list[tuple[int, int, bytes]] = []
        waiting: dict[int, list[int]] = {}  # task -> files that get pieces from other tasks too

        def tasks() -> Iterator[Task]:
            for task_number, (part, targets) in enumerate(ranges):
                filled = {number for places in targets for number, _ in places}
                waiting[task_number] = [number for number in filled if number not in single]
                ends = {number: self._file_end(number) for number in filled if number in single}
                yield FillTask(task_number, part, targets, ends)

        for outcome in self._outcomes(tasks()):
            unread += outcome.unread
            self._note_finished(outcome)
            late = {number for number, _, _ in outcome.unread}
            for number in waiting.pop(outcome.number):
                tasks_left[number] -= 1
                if number in late or outcome.full:
                    tasks_left[number] = -1  # never 0 again: `_fill_unread` ends it, or nobody does
                if tasks_left[number] == 0:
                    self._end(number)
        self._fill_unread(unread)

    def _fill_unread(self, unread: list[tuple[int, int, bytes]]) -> None:
        """Try the blobs that their pack did not give in the other packs that hold them, and end their files."""
        places: dict[bytes, list[tuple[int, int]]] = {}
        for number, offset, blob_id in unread:
            places.setdefault(blob_id, []).append((number, offset))
        for blob_id, plain in self._reader.read_blobs(BlobType.DATA, places):
            for number, offset in places[blob_id]:
                if plain is None:
                    self._fail(number, _LOST)
                    continue
                with self._file_errors(number):
                    fd = self._target.open_staged(number)
                    try:
                        write_sparse(fd, plain, offset)
                    finally:
                        os.close(fd)
        for number in sorted({number for number, _, _ in unread}):
            self._end(number)

    def _file_end(self, number: int) -> FileEnd:
        item = self._plan.files[number]
        entries = self._reader.index.entries(BlobType.DATA)
        size = sum(entries[blob_id].size_bytes for blob_id in item.node.content)
        return FileEnd(item.folder, item.node.name, size, Attributes.of(item.node), self._may_replace(item))

    def _may_replace(self, item: Item) -> bool:
        return self._replace or self._plan.folders[item.folder].fresh

    def _end(self, number: int) -> None:
        """Finish a file whose pieces are all written."""
        if number in self._failed:
            return
        with self._file_errors(number):
            fd = self._target.open_staged(number)
            try:
                refused = end_file(self._target, number, fd, self._file_end(number), cut=True)
            finally:
                os.close(fd)
            self._restored(number, refused)

    def _restored(self, number: int, refused: list[str]) -> None:
        self._in_place.add(number)
        self._result.files += 1
        self._progress.files_done += 1
        self._refuse(self._plan.files[number], refused)
        self._listener(self._progress)

    @contextlib.contextmanager
    def _file_errors(self, number: int) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            if is_full(exc):
                raise self._no_space() from exc
            self._fail(number, explain(exc))

    def _fail(self, number: int, reason: str) -> None:
        if number not in self._failed:
            self._failed.add(number)
            self._result.misses.append(Miss(self._plan.path(self._plan.files[number]), reason))
            self._target.discard(number)

    def _note_finished(self, outcome: Outcome) -> None:
        self._result.bytes_written += outcome.bytes_done
        self._progress.bytes_done += outcome.bytes_done
        for problem in outcome.problems:
            self._reader.note(problem)
        for number in outcome.finished:
            self._restored(number, outcome.refused.get(number, []))
        for number, reason in outcome.failed.items():
            self._fail(number, reason)
        self._listener(self._progress)

    def _outcomes(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Yield what the crew has done; raises Cancelled, TargetFull."""
        full = False

        def supply() -> Iterator[Task]:
            for task in tasks:
                if full:
                    return  # what is under way is still brought to its end, and counted
                yield task

        with contextlib.closing(self._crew.run(supply())) as outcomes:
            for outcome in outcomes:
                self._cancel.check()
                full = full or outcome.full
                yield outcome
        if full:
            raise self._no_space()

    def _no_space(self) -> TargetFull:
        done, wanted = len(self._in_place), len(self._plan.files)
        return TargetFull(
            f"the disk of {os.fsdecode(self._target.root)} is full: {done} of {wanted} files are restored and whole, "
            "the others were not begun or were taken away again",
            self._result,
        )

    # --- links, folders, proof ---------------------------------------------------------------------------------

    def _link(self, survey: Survey) -> None:
        """Make further names of files, symbolic links and special files."""
        for number, item in enumerate([*survey.hard_links, *survey.others], start=len(self._plan.files)):
            self._cancel.check()
            try:
                refused = self._stage(number, item)
                if refused is None:
                    continue
                self._target.publish(number, item.folder, item.node.name, replace=self._may_replace(item))
            except OSError as exc:
                self._target.discard(number)
                if is_full(exc):
                    raise self._no_space() from exc
                self._miss(item, explain(exc))
            else:
                self._refuse(item, refused)
                self._result.files += item.linked_to >= 0
                self._result.links += item.linked_to < 0

    def _stage(self, number: int, item: Item) -> list[str] | None:
        """Make a link or special file in the staging folder; None when it is not to be made."""
        node = item.node
        if item.linked_to >= 0:
            first = self._plan.files[item.linked_to]
            if item.linked_to not in self._in_place and self._target.look(first.folder, first.node.name) is None:
                self._miss(item, "the file of which this is another name was not restored")
                return None
            self._target.stage_hard_link(first.folder, first.node.name, number)
            return []
        if node.type == "symlink":
            self._target.stage_link(node.link_target, number)
            return self._target.apply_to_staged(number, Attributes.of(node), chmod=False)
        mode = special_mode(node)
        if not mode:
            self._refuse(item, [f"a {node.type or 'thing of unknown kind'} is not restored: its program makes it anew"])
            return None
        self._target.stage_special(mode, node.device, number)
        return self._target.apply_to_staged(number, Attributes.of(node), chmod=True)

    def _finish_folders(self, existing: Existing) -> None:
        """Give folders their attributes, children first, so that nothing changes their times afterwards."""
        for number in range(len(self._plan.folders) - 1, ROOT, -1):
            folder = self._plan.folders[number]
            if folder.node is None or not folder.wanted or (existing is Existing.KEEP and not folder.fresh):
                continue
            try:
                fd = self._target.open_folder_for_change(number)
            except OSError:
                continue  # the restore stopped before it was made
            try:
                refused = self._target.apply(fd, Attributes.of(folder.node))
            finally:
                os.close(fd)
            self._result.refused += [Miss(self._plan.folder_path(number), reason) for reason in refused]

    def _prove(self, files: list[int]) -> None:
        self._target.sync()
        differing = self._compare(files, "verify")
        misses = (Miss(self._plan.path(self._plan.files[number]), why) for number, why in sorted(differing.items()))
        self._result.proof = Proof(len(files), tuple(misses))

    def _compare(self, files: list[int], step: str) -> dict[int, str]:
        """Read files of the target and return how they differ, by number."""
        self._progress.step, self._progress.files_done, self._progress.bytes_done = step, 0, 0
        self._progress.files_total = len(files)
        self._progress.bytes_total = sum(self._plan.files[number].node.size for number in files)
        differing: dict[int, str] = {}
        for outcome in self._outcomes(self._proof_tasks(files)):
            differing |= outcome.failed
            self._progress.files_done += len(outcome.finished) + len(outcome.failed)
            self._progress.bytes_done += outcome.bytes_done
            self._listener(self._progress)
        return differing

    def _proof_tasks(self, files: list[int]) -> Iterator[Task]:
        entries = self._reader.index.entries(BlobType.DATA)
        batch: list[tuple[int, int, bytes, list[tuple[bytes, int]]]] = []
        size = task_number = 0
        for number in files:
            item = self._plan.files[number]
            blobs = [(blob_id, entries[blob_id].size_bytes) for blob_id in item.node.content if blob_id in entries]
            batch.append((number, item.folder, item.node.name, blobs))
            size += item.node.size
            if len(batch) >= _PROOF_FILES or size >= _PROOF_BYTES:
                yield ProofTask(task_number, batch)
                batch, size, task_number = [], 0, task_number + 1
        if batch:
            yield ProofTask(task_number, batch)

    # --- notes -------------------------------------------------------------------------------------------------

    def _miss(self, item: Item, reason: str) -> None:
        self._result.misses.append(Miss(self._plan.path(item), reason))

    def _refuse(self, item: Item, reasons: list[str]) -> None:
        self._result.refused += [Miss(self._plan.path(item), reason) for reason in reasons]
