"""Looks at the target before anything is written: what is there, what may be replaced, what stands in the way."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from backups.engine.errors import UnsafeTarget
from backups.engine.format.gonames import quote_name
from backups.engine.restore.errnos import explain, is_full
from backups.engine.restore.plan import ROOT, Item, Miss, Plan
from backups.engine.restore.result import Existing
from backups.engine.restore.shared import RestoreRun
from backups.engine.restore.target import Target, map_error

_SHOWN = 3  # names in a message


@dataclass(slots=True)
class Survey:
    """What to do with the plan's entries, by position in the plan.

    files:      to be filled.   candidates: there with the same size, to be compared first (IF_CHANGED).
    hard_links, others: to be made.   kept: how many entries stay.   misses: a folder stands there.
    """

    files: list[int] = field(default_factory=list)
    candidates: list[int] = field(default_factory=list)
    hard_links: list[Item] = field(default_factory=list)
    others: list[Item] = field(default_factory=list)
    kept: int = 0
    misses: list[Miss] = field(default_factory=list)


def survey_target(target: Target, plan: Plan, existing: Existing) -> Survey:
    """Mark the plan's folders that exist (`fresh` False) and sort its entries.

    Raises UnsafeTarget when a link or file stands where a folder is needed, or when anything is there under FAIL.
    """
    _survey_folders(target, plan)
    survey, in_the_way = Survey(), list[bytes]()
    for number, item in enumerate(plan.files):
        there = _look(target, plan, item)
        if there is None:
            survey.files.append(number)
        elif existing is Existing.FAIL:
            in_the_way.append(plan.path(item))
        elif stat.S_ISDIR(there.st_mode):
            survey.misses.append(_folder_there(plan, item))
        elif existing is Existing.KEEP:
            survey.kept += 1
        elif existing is Existing.IF_CHANGED and stat.S_ISREG(there.st_mode) and there.st_size == item.node.size:
            survey.candidates.append(number)
        else:
            survey.files.append(number)
    for items, chosen in ((plan.hard_links, survey.hard_links), (plan.others, survey.others)):
        in_the_way += _survey_items(target, plan, items, existing, survey, chosen)
    _free_links(plan, survey)
    if in_the_way:
        names = ", ".join(quote_name(path) for path in in_the_way[:_SHOWN])
        more = ", ..." if len(in_the_way) > _SHOWN else ""
        raise UnsafeTarget(f"{len(in_the_way)} files are in the target folder already: {names}{more}")
    return survey


def _free_links(plan: Plan, survey: Survey) -> None:
    """Make further names of files that stay as they are files of their own: what stays may be another content."""
    ours = {*survey.files, *survey.candidates}
    free = [item for item in survey.hard_links if item.linked_to not in ours]
    survey.hard_links = [item for item in survey.hard_links if item.linked_to in ours]
    for item in free:
        survey.files.append(len(plan.files))
        plan.files.append(Item(item.folder, item.node, called=item.called))


def _survey_items(
    target: Target, plan: Plan, items: Iterable[Item], existing: Existing, survey: Survey, chosen: list[Item]
) -> list[bytes]:
    """Sort links and special files into `chosen`; return the paths that are in the way."""
    in_the_way = []
    for item in items:
        there = _look(target, plan, item)
        if there is None:
            chosen.append(item)
        elif existing is Existing.FAIL:
            in_the_way.append(plan.path(item))
        elif stat.S_ISDIR(there.st_mode):
            survey.misses.append(_folder_there(plan, item))
        elif existing is Existing.KEEP:
            survey.kept += 1
        else:
            chosen.append(item)
    return in_the_way


def _survey_folders(target: Target, plan: Plan) -> None:
    plan.folders[ROOT].fresh = target.is_empty()
    for number, folder in enumerate(plan.folders):
        if number == ROOT or not folder.wanted:
            continue
        if plan.folders[folder.parent].fresh:
            continue  # made by us, so nothing is in it
        there = target.look(folder.parent, folder.name)
        folder.fresh = there is None
        if there is not None and not stat.S_ISDIR(there.st_mode):
            path = quote_name(plan.folder_path(number))
            raise UnsafeTarget(f"a link or a file stands where the folder {path} should be; nothing was written")


class Made(NamedTuple):
    """The folders of a restore. made: how many are there.   lost: why others could not be made, by number."""

    made: int
    lost: dict[int, str]


def make_folders(target: Target, plan: Plan) -> Made:
    """Make the wanted folders that are not there; one that the disk refuses is lost with what is below it.

    Raises NoSpace.
    """
    count, lost = 0, dict[int, str]()
    for number, folder in enumerate(plan.folders):
        if number == ROOT or not folder.wanted:
            continue
        if folder.parent in lost:
            lost[number] = lost[folder.parent]
            continue
        if folder.fresh:
            try:
                target.make_folder(number)
            except OSError as exc:
                if is_full(exc):
                    raise map_error(exc, f"the folder {quote_name(plan.folder_path(number))}") from exc
                lost[number] = f"its folder cannot be made: {explain(exc)}"
                continue
        count += 1
    return Made(count, lost)


def leave_out(run: RestoreRun, survey: Survey, lost: Mapping[int, str]) -> None:
    """Count everything in lost folders as missing, and leave it out of what is to be made."""
    for items in (run.plan.files, survey.hard_links, survey.others):
        for item in items:
            if item.folder in lost:
                run.miss(item, lost[item.folder])
    survey.hard_links = [item for item in survey.hard_links if item.folder not in lost]
    survey.others = [item for item in survey.others if item.folder not in lost]


def _look(target: Target, plan: Plan, item: Item) -> os.stat_result | None:
    return None if plan.folders[item.folder].fresh else target.look(item.folder, item.name)


def _folder_there(plan: Plan, item: Item) -> Miss:
    return Miss(plan.path(item), "a folder of that name is there and was not replaced")
