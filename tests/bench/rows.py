"""The rows of the table. Each interleaves its contestants, checks what they produced, and returns medians."""

from __future__ import annotations

import filecmp
import random
import shutil
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import datasets
from tests.bench.datasets import Dataset, settle
from tests.bench.measure import Measurement
from tests.bench.ours import Installed, Wedbackup
from tests.bench.peers import Borg, Rclone, Restic

Contestant = Callable[[], Measurement]


@dataclass
class Row:
    """One comparison. Seconds are medians; ratio is how many times faster we are than stock restic."""

    name: str
    asked: float
    seconds: dict[str, float] = field(default_factory=dict)
    peak_pss_mb: float = 0.0

    @property
    def ratio(self) -> float:
        return self.seconds["restic"] / self.seconds["wedbackup"]


@dataclass(frozen=True)
class Plan:
    """work: scratch folder.  scale: 1.0 is the full size.  rounds: how often each contestant runs."""

    work: Path
    scale: float
    rounds: int


class NotEqual(RuntimeError):
    """A restored tree is not the source: the row is void."""


def interleave(row: Row, plan: Plan, contestants: dict[str, Contestant]) -> Row:
    """Run every contestant once a round, in an order drawn anew, and keep the medians."""
    rng = random.Random(row.name)
    times: dict[str, list[Measurement]] = {name: [] for name in contestants}
    for _ in range(plan.rounds):
        order = list(contestants)
        rng.shuffle(order)
        for name in order:
            times[name].append(contestants[name]())
    row.seconds = {name: statistics.median(m.seconds for m in found) for name, found in times.items()}
    row.peak_pss_mb = max(m.pss_mb for m in times["wedbackup"])
    return row


def same_tree(left: Path, right: Path) -> None:
    """Raise NotEqual unless both folders hold the same names and bytes."""
    compared = filecmp.dircmp(left, right)
    if compared.left_only or compared.right_only or compared.funny_files:
        raise NotEqual(f"{right} has other names than {left}")
    _, differing, errors = filecmp.cmpfiles(left, right, compared.common_files, shallow=False)
    if differing or errors:
        raise NotEqual(f"{right}: {len(differing)} files differ")
    for name in compared.common_dirs:
        same_tree(left / name, right / name)


class Bench:
    """The contestants and the datasets of one run."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ours = Wedbackup(plan.work)
        self.restic = Restic(plan.work)
        self.borg = Borg(plan.work)
        self.rclone = Rclone(plan.work)

    def _fresh_ours(self, dataset: Dataset, copies: int = 1, *, engine: bool = False) -> Measurement:
        installed = self.ours.install(dataset.path, self.ours.folders(copies))
        settle(dataset)
        taken = (self.ours.engine_backup if engine else self.ours.backup)(installed)
        self._check(installed)
        return taken

    def _check(self, installed: Installed) -> None:
        for copy in installed.copies:
            self.restic.check(copy.repository, installed.secret)

    def _fresh_restic(self, dataset: Dataset) -> Measurement:
        repository = self.restic.init("restic")
        settle(dataset)
        taken = self.restic.backup(repository, dataset.path)
        self.restic.check(repository)
        return taken

    def _fresh_borg(self, dataset: Dataset) -> Measurement:
        repository = self.borg.init("borg")
        settle(dataset)
        taken = self.borg.backup(repository, dataset.path)
        self.borg.check(repository)
        return taken

    def _fresh_rclone(self, dataset: Dataset) -> Measurement:
        repository = self.rclone.init("rclone")
        settle(dataset)
        taken = self.rclone.backup(repository, dataset.path)
        self.rclone.check(repository, dataset.path)
        return taken

    def first_run(self, name: str, asked: float, dataset: Dataset) -> Row:
        """A first backup into one folder location, against everybody."""
        return interleave(
            Row(name, asked),
            self.plan,
            {
                "wedbackup": lambda: self._fresh_ours(dataset),
                "engine alone": lambda: self._fresh_ours(dataset, engine=True),
                "restic": lambda: self._fresh_restic(dataset),
                "borg": lambda: self._fresh_borg(dataset),
                "rclone": lambda: self._fresh_rclone(dataset),
            },
        )

    def unchanged(self, name: str, asked: float, dataset: Dataset) -> Row:
        """A second backup of files that did not change."""
        installed = self.ours.install(dataset.path, self.ours.folders(1))
        self.ours.backup(installed)
        theirs, borgs = self.restic.init("restic"), self.borg.init("borg")
        self.restic.backup(theirs, dataset.path)
        self.borg.backup(borgs, dataset.path)
        row = interleave(
            Row(name, asked),
            self.plan,
            {
                "wedbackup": lambda: self.ours.backup(installed),
                "engine alone": lambda: self.ours.engine_backup(installed),
                "restic": lambda: self.restic.backup(theirs, dataset.path),
                "borg": lambda: self.borg.backup(borgs, dataset.path),
            },
        )
        self._check(installed)
        return row

    def three_copies(self, name: str, asked: float, dataset: Dataset) -> Row:
        """Three local copies, against one backup and two copies of it."""

        def restic() -> Measurement:
            repositories = [self.restic.init(f"restic-{number}") for number in range(3)]
            parts = [self.restic.backup(repositories[0], dataset.path)]
            parts += [self.restic.copy(repositories[0], target) for target in repositories[1:]]
            for repository in repositories:
                self.restic.check(repository)
            return Measurement(sum(p.seconds for p in parts), max(p.pss_mb for p in parts))

        contestants = {
            "wedbackup": lambda: self._fresh_ours(dataset, 3),
            "engine alone": lambda: self._fresh_ours(dataset, 3, engine=True),
            "restic": restic,
        }
        return interleave(Row(name, asked), self.plan, contestants)

    def restore(self, name: str, asked: float, dataset: Dataset) -> Row:
        """A whole restore into an empty folder, compared with the source byte by byte; both sides also with proof."""
        installed = self.ours.install(dataset.path, self.ours.folders(1))
        self.ours.backup(installed)
        theirs = self.restic.init("restic")
        self.restic.backup(theirs, dataset.path)
        target = self.plan.work / "restored"

        def checked(restore: Callable[[], Measurement]) -> Measurement:
            shutil.rmtree(target, ignore_errors=True)
            taken = restore()
            found = target / dataset.path.relative_to("/")
            same_tree(dataset.path, found if found.exists() else target)
            return taken

        row = interleave(
            Row(name, asked),
            self.plan,
            {
                "wedbackup": lambda: checked(lambda: self.ours.restore(installed, target, proof=False)),
                "with proof": lambda: checked(lambda: self.ours.restore(installed, target, proof=True)),
                "restic": lambda: checked(lambda: self.restic.restore(theirs, target, proof=False)),
                "restic --verify": lambda: checked(lambda: self.restic.restore(theirs, target, proof=True)),
            },
        )
        shutil.rmtree(target, ignore_errors=True)
        return row


def run_rows(plan: Plan, wanted: set[str]) -> Iterable[Row]:
    """Yield the rows whose letters are in `wanted`, making each dataset only when a row needs it."""
    from tests.bench.s3_row import into_s3

    bench = Bench(plan)
    made: dict[str, Dataset] = {}

    def dataset(maker: Callable[[Path, float], Dataset]) -> Dataset:
        name = maker.__name__
        if name not in made:
            made[name] = maker(plan.work / "source" / name, plan.scale)
        return made[name]

    rows: dict[str, Callable[[], Row]] = {
        "a": lambda: bench.first_run("(a) 2 GB of RAW, one location", 1.8, dataset(datasets.raws)),
        "b": lambda: bench.first_run("(b) 20,000 files of 10-100 KB", 1.5, dataset(datasets.small_files)),
        "c": lambda: bench.unchanged("(c) 100,000 unchanged files", 2.0, dataset(datasets.tiny_files)),
        "d": lambda: bench.three_copies("(d) 2 GB, three local copies", 3.5, dataset(datasets.raws)),
        "e": lambda: bench.restore("(e) restore of the 2 GB", 1.3, dataset(datasets.raws)),
        "f": lambda: bench.first_run("(f) 100,000 tiny files, first run", 1.3, dataset(datasets.tiny_files)),
        "g": lambda: into_s3(plan, "(g) 2 GB into S3 over TLS", 1.5, dataset(datasets.raws)),
    }
    for letter, make in rows.items():
        if letter in wanted:
            yield make()
