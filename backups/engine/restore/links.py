"""Makes what is no file of its own: further names, symbolic links, FIFOs, devices; and ends the folders."""

from __future__ import annotations

import os

from backups.engine.format.gonames import quote_name
from backups.engine.restore.errnos import NO_LINKS, explain, is_full
from backups.engine.restore.plan import ROOT, Item, Miss
from backups.engine.restore.result import Existing
from backups.engine.restore.shared import RestoreRun
from backups.engine.restore.survey import Survey
from backups.engine.restore.target import Attributes, special_mode


def make_links(run: RestoreRun, survey: Survey) -> None:
    """Make further names of files, symbolic links and special files."""
    for number, item in enumerate([*survey.hard_links, *survey.others], start=len(run.plan.files)):
        run.cancel.check()
        try:
            refused = _stage(run, number, item)
            if refused is None:
                continue
            run.target.publish(number, item.folder, item.name, replace=run.may_replace(item))
        except OSError as exc:
            run.target.discard(number)
            if is_full(exc):
                raise run.no_space() from exc
            run.miss(item, explain(exc))
        else:
            run.refuse(item, refused)
            if item.linked_to >= 0:
                run.result.files += 1
                run.linked.append(item)
            else:
                run.result.links += 1


def _stage(run: RestoreRun, number: int, item: Item) -> list[str] | None:
    """Make a link or special file in the staging folder; None when it is not to be made."""
    node = item.node
    if item.linked_to >= 0:
        first = run.plan.files[item.linked_to]
        if item.linked_to not in run.in_place:
            run.miss(item, "the file of which this is another name was not restored")
            return None
        run.target.stage_hard_link(first.folder, first.name, number)
        return []
    if node.type == "symlink":
        try:
            run.target.stage_link(node.link_target, number)
        except OSError as exc:
            if exc.errno not in NO_LINKS:
                raise
            run.refuse(
                item, [f"not made: this disk knows no symbolic links; it leads to {quote_name(node.link_target)}"]
            )
            return None
        return run.target.apply_to_staged(number, Attributes.of(node), chmod=False)
    mode = special_mode(node)
    if not mode:
        run.refuse(item, [f"a {node.type or 'thing of unknown kind'} is not restored: its program makes it anew"])
        return None
    run.target.stage_special(mode, node.device, number)
    return run.target.apply_to_staged(number, Attributes.of(node), chmod=True)


def finish_folders(run: RestoreRun, existing: Existing) -> None:
    """Give folders their attributes, children first, so that nothing changes their times afterwards."""
    for number in range(len(run.plan.folders) - 1, ROOT, -1):
        folder = run.plan.folders[number]
        if folder.node is None or not folder.wanted or (existing is Existing.KEEP and not folder.fresh):
            continue
        try:
            fd = run.target.open_folder_for_change(number)
        except OSError:
            continue  # the restore stopped before it was made
        try:
            refused = run.target.apply(fd, Attributes.of(folder.node))
        finally:
            os.close(fd)
        run.result.refused += [Miss(run.plan.folder_path(number), reason) for reason in refused]
