"""Fills the files of a restore, and finishes those that got pieces from several tasks."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator

from backups.engine.format import BlobType
from backups.engine.restore.errnos import explain, is_full
from backups.engine.restore.plan import plan_ranges, portions
from backups.engine.restore.shared import RestoreRun
from backups.engine.restore.target import Attributes, write_sparse
from backups.engine.restore.worker import FileEnd, FillTask, Outcome, Task, end_file

_LOST = "a piece of it is readable in no copy of the vault"
_UNINDEXED = "a piece of it is in no index of the vault"


class Filling:
    """Fills files by their numbers in the plan."""

    def __init__(self, run: RestoreRun) -> None:
        self._run = run

    def fill(self, files: list[int]) -> None:
        """Fill these files. Raises TargetFull, Cancelled."""
        self._run.begin("restore", files, self._run.in_place)
        for portion in portions(self._run.plan, files):
            empty = [number for number in portion if not self._run.plan.files[number].node.content]
            for number in empty:
                self._end(number)
            self._fill_portion([number for number in portion if self._run.plan.files[number].node.content])

    def _fill_portion(self, files: list[int]) -> None:
        ranges, lost = plan_ranges(self._run.reader, self._run.plan, files)
        for number in lost:
            self._fail(number, _UNINDEXED)
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

        for outcome in self._run.outcomes(tasks()):
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
        for blob_id, plain in self._run.reader.read_blobs(BlobType.DATA, places):
            for number, offset in places[blob_id]:
                if plain is None:
                    self._fail(number, _LOST)
                    continue
                with self._file_errors(number):
                    fd = self._run.target.open_staged(number)
                    try:
                        write_sparse(fd, plain, offset)
                    finally:
                        os.close(fd)
        for number in sorted({number for number, _, _ in unread}):
            self._end(number)

    def _file_end(self, number: int) -> FileEnd:
        item = self._run.plan.files[number]
        entries = self._run.reader.index.entries(BlobType.DATA)
        size = sum(entries[blob_id].size_bytes for blob_id in item.node.content)
        return FileEnd(item.folder, item.name, size, Attributes.of(item.node), self._run.may_replace(item))

    def _end(self, number: int) -> None:
        """Finish a file whose pieces are all written."""
        if number in self._run.failed:
            return
        with self._file_errors(number):
            fd = self._run.target.open_staged(number)
            try:
                refused = end_file(self._run.target, number, fd, self._file_end(number), cut=True)
            finally:
                os.close(fd)
            self._restored(number, refused)

    def _restored(self, number: int, refused: list[str]) -> None:
        self._run.in_place.add(number)
        self._run.result.files += 1
        self._run.progress.files_done += 1
        self._run.refuse(self._run.plan.files[number], refused)
        self._run.listener(self._run.progress)

    @contextlib.contextmanager
    def _file_errors(self, number: int) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            if is_full(exc):
                raise self._run.no_space() from exc
            self._fail(number, explain(exc))

    def _fail(self, number: int, reason: str) -> None:
        if number not in self._run.failed:
            self._run.failed.add(number)
            self._run.miss(self._run.plan.files[number], reason)
            self._run.target.discard(number)

    def _note_finished(self, outcome: Outcome) -> None:
        self._run.result.bytes_written += outcome.bytes_done
        self._run.progress.bytes_done += outcome.bytes_done
        for problem in outcome.problems:
            self._run.reader.note(problem)
        for number in outcome.finished:
            self._restored(number, outcome.refused.get(number, []))
        for number, reason in outcome.failed.items():
            self._fail(number, reason)
        self._run.listener(self._run.progress)
