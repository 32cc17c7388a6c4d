"""What all parts of one restore share: its plan, its target, what was done and what was not."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from backups.engine.progress import CancelToken, Listener, Progress
from backups.engine.restore.crew import Crew
from backups.engine.restore.plan import Item, Miss, Plan
from backups.engine.restore.result import RestoreResult, TargetFull
from backups.engine.restore.target import Target
from backups.engine.restore.vault_reader import VaultReader
from backups.engine.restore.worker import Outcome, Task


@dataclass(slots=True)
class RestoreRun:
    """One restore under way. Changed by the caller's thread only; tasks run elsewhere and know nothing of it.

    replace:  whether files that are there may be replaced.
    folds:    whether the disk takes names that differ for one: then a name may be taken in a folder that is new.
    in_place: numbers of the files that have their name: restored, or found equal.
    failed:   numbers of those that cannot be restored.
    linked:   further names that were made of files in place.
    """

    reader: VaultReader
    plan: Plan
    target: Target
    crew: Crew
    listener: Listener
    cancel: CancelToken
    replace: bool
    folds: bool
    result: RestoreResult = field(default_factory=RestoreResult)
    progress: Progress = field(default_factory=lambda: Progress(step="restore", total_known=True))
    in_place: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    linked: list[Item] = field(default_factory=list)

    def begin(self, step: str, files: Iterable[int], done: Iterable[int] = ()) -> None:
        """Begin a step that goes over these files, and counts those of `done` as done."""
        sizes = [self.plan.files[number].node.size for number in files]
        sizes_done = [self.plan.files[number].node.size for number in done]
        self.progress.step, self.progress.files_done, self.progress.bytes_done = step, len(sizes_done), sum(sizes_done)
        self.progress.files_total = len(sizes) + len(sizes_done)
        self.progress.bytes_total = sum(sizes) + sum(sizes_done)

    def may_replace(self, item: Item) -> bool:
        """Whether an entry of this name may be replaced: there is none of others in a folder that we made."""
        return self.replace or (self.plan.folders[item.folder].fresh and not self.folds)

    def outcomes(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Yield what the crew has done; raises Cancelled, TargetFull."""
        full = False

        def supply() -> Iterator[Task]:
            for task in tasks:
                if full:
                    return  # what is under way is still brought to its end, and counted
                yield task

        with contextlib.closing(self.crew.run(supply())) as outcomes:
            for outcome in outcomes:
                self.cancel.check()
                full = full or outcome.full
                yield outcome
        if full:
            raise self.no_space()

    def no_space(self) -> TargetFull:
        """Return the error that says what is whole."""
        done, wanted = len(self.in_place), len(self.plan.files)
        return TargetFull(
            f"the disk of {os.fsdecode(self.target.root)} is full: {done} of {wanted} files are restored and whole, "
            "the others were not begun or were taken away again",
            self.result,
        )

    def miss(self, item: Item, reason: str) -> None:
        """Note that something was not restored."""
        self.result.misses.append(Miss(self.plan.path(item), reason))

    def refuse(self, item: Item, reasons: list[str]) -> None:
        """Note attributes that could not be set."""
        self.result.refused += [Miss(self.plan.path(item), reason) for reason in reasons]
