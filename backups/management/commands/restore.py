"""`manage.py restore`: a snapshot, or a part of it, into a new folder, from any of the copies, with proof."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from backups.engine.errors import EngineError, NoSpace
from backups.engine.format.gonames import quote_name
from backups.engine.progress import CancelToken, Listener, Progress, ignore
from backups.engine.restore.browse import NotInSnapshot
from backups.engine.restore.plan import Miss, Subset
from backups.engine.restore.result import Existing, RestoreResult
from backups.engine.restore.run import restore
from backups.management.naming import snapshot_named, vault_named
from backups.models import Snapshot
from backups.services.recovery_reader import open_for_recovery
from backups.services.recovery_target import target_refuse_unsafe
from backups.services.restore_begun import restore_begin, restore_begun, restore_forget, restore_over
from backups.terminal import QUIET_SECONDS
from providers.stores.errors import StoreError
from wedbackup.core.clock import SYSTEM_CLOCK
from wedbackup.core.templatetags.words import number, size

MISSES_SHOWN = 20
RESUME = "The same command with --resume goes on where it stopped."


class Command(BaseCommand):
    help = "Restores a snapshot into a new or empty folder, and reads every file back. Nothing is ever overwritten."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("snapshot", help="id of a snapshot (the first characters do), or `latest` with --vault")
        parser.add_argument("target", help="a folder that is new or empty")
        parser.add_argument("--vault", help="id of the vault, or the first 8 characters of it")
        parser.add_argument(
            "--include", action="append", default=[], metavar="PATH", help="only this file or folder; may be repeated"
        )
        parser.add_argument(
            "--resume", action="store_true", help="go on with a restore of this snapshot that was interrupted there"
        )
        parser.add_argument("--no-verify", action="store_true", help="do not read the files back")

    def handle(self, *args: Any, **options: Any) -> None:
        vault = vault_named(options["vault"]) if options["vault"] else None
        snapshot = snapshot_named(options["snapshot"], vault)
        target = os.path.abspath(options["target"])
        _check_target(target, snapshot, resume=options["resume"])
        began = SYSTEM_CLOCK.monotonic()
        try:
            result = self._restore(snapshot, target, options)
        except (EngineError, StoreError) as exc:
            resume = f" {RESUME}" if isinstance(exc, NoSpace) else ""
            raise CommandError(f"{exc}. {exc.advice}{resume}") from exc
        except KeyboardInterrupt as exc:
            raise CommandError(f"Stopped. Every file that has its name in {target} is whole. {RESUME}") from exc
        self._tell(result, target, SYSTEM_CLOCK.monotonic() - began)

    def _restore(self, snapshot: Snapshot, target: str, options: dict[str, Any]) -> RestoreResult:
        restore_begin(target, snapshot)
        include = tuple(os.fsencode(path.strip("/")) for path in options["include"])
        cancel = CancelToken()
        with open_for_recovery(snapshot) as (reader, stored), _bar(self.stdout) as listener:
            try:
                return restore(
                    reader,
                    stored,
                    target,
                    subset=Subset(paths=include),
                    existing=Existing.IF_CHANGED if options["resume"] else Existing.FAIL,
                    verify=not options["no_verify"],
                    listener=listener,
                    cancel=cancel,
                )
            except KeyboardInterrupt:
                cancel.cancel()
                raise
            except NotInSnapshot:
                restore_forget(target)
                raise

    def _tell(self, result: RestoreResult, target: str, seconds: float) -> None:
        proof = f", {result.proof}" if result.proof else ", not read back"
        restored = f"{number(result.files)} files, {size(result.bytes_written)}"
        self.stdout.write(f"{restored} restored to {target} in {seconds:.1f} s{proof}.")
        served = "another copy served" if result.complete else "what is missing below no copy served"
        if result.unchanged:
            self.stdout.write(f"  {number(result.unchanged)} files were there already, and are equal")
        for renamed in result.renamed[:MISSES_SHOWN]:
            self.stdout.write(f"  {renamed}, because the disk refuses its name")
        if len(result.renamed) > MISSES_SHOWN:
            self.stdout.write(f"  ... and {number(len(result.renamed) - MISSES_SHOWN)} other names")
        for line in _grouped(result.refused):
            self.stdout.write(f"  {line}")
        for problem in result.problems[:MISSES_SHOWN]:
            self.stdout.write(f"  {problem.label}: {problem.reason} ({problem.name}); {served}")
        if result.complete:
            restore_over(target)
            return
        differing = result.proof.differing if result.proof else ()
        missing = [*result.misses, *differing]
        listed = "\n".join(f"  {miss}" for miss in missing[:MISSES_SHOWN])
        raise CommandError(f"{len(missing)} files could not be restored:\n{listed}\n{RESUME}")


def _check_target(target: str, snapshot: Snapshot, *, resume: bool) -> None:
    """Raise CommandError unless the folder is new or empty, or holds the restore that is to go on."""
    if resume and not restore_begun(target, snapshot):
        raise CommandError(f"No restore of this snapshot was begun in {target}, so there is none to go on with.")
    if not resume:
        try:
            target_refuse_unsafe(target)
        except ValidationError as exc:
            begun = f" A restore of this snapshot was begun there. {RESUME}" if restore_begun(target, snapshot) else ""
            raise CommandError(" ".join(exc.messages) + begun) from exc


def _grouped(refused: list[Miss]) -> Iterator[str]:
    """Yield each attribute that could not be set once, with how many entries it concerns and the first of them."""
    paths: dict[str, list[Miss]] = {}
    for miss in refused:
        paths.setdefault(miss.reason, []).append(miss)
    for reason, misses in paths.items():
        more = f" and {number(len(misses) - 1)} more" if len(misses) > 1 else ""
        yield f"{quote_name(misses[0].path)}{more}: {reason}"


@contextlib.contextmanager
def _bar(out: Any) -> Iterator[Listener]:
    """Yield a listener that draws a bar on a terminal once the work has lasted a moment."""
    if not out.isatty():
        yield ignore
        return
    began = SYSTEM_CLOCK.monotonic()
    with contextlib.ExitStack() as stack:
        draw: list[Callable[[Progress], None]] = []

        def listen(progress: Progress) -> None:
            if not draw and SYSTEM_CLOCK.monotonic() - began > QUIET_SECONDS:
                draw.append(_drawing(stack, out))
            if draw:
                draw[0](progress)

        yield listen


def _drawing(stack: contextlib.ExitStack, out: Any) -> Callable[[Progress], None]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    bars = stack.enter_context(
        Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeElapsedColumn(),
            console=Console(file=out),
        )
    )
    task = bars.add_task("restore")

    def draw(progress: Progress) -> None:
        bars.update(
            task,
            description=f"{progress.step}  {number(progress.files_done)}/{number(progress.files_total)} files",
            completed=progress.bytes_done,
            total=progress.bytes_total or None,
        )

    return draw
