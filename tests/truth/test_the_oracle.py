"""The oracle's own promises: its reader sees what is wrong, its judge catches what is planted, its sequences repeat."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.restic import stock
from tests.truth.reader import Repository, Unreadable, keys_from
from tests.truth.steps import STEPS
from tests.truth.world import some_file

SECRET = b"correct horse"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Made:
    """What stock restic made of a folder."""

    source: Path
    repository: Path
    snapshot_id: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("oracle")
    source = root / "card"
    for number in range(6):
        name, content = some_file(Random(number), number)
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    (source / "Trauung — Größe.txt").write_bytes(b"")
    stock.init(root / "repository", SECRET)
    return Made(source, root / "repository", stock.backup(root / "repository", SECRET, source))


@pytest.fixture
def written(made: Made, tmp_path: Path) -> tuple[Repository, str]:
    """A copy of that repository, in the oracle's reader."""
    folder = tmp_path / "repository"
    shutil.copytree(made.repository, folder)
    (key,) = (folder / "keys").iterdir()
    return Repository(folder, keys_from(key.read_bytes(), SECRET)), made.snapshot_id


@pytest.mark.stock
def test_the_reader_reads_what_stock_restic_wrote(written: tuple[Repository, str], made: Made) -> None:
    repository, snapshot_id = written
    assert repository.snapshot_ids() == {snapshot_id}
    there = {str(path): path.read_bytes() for path in made.source.rglob("*") if path.is_file()}
    assert repository.content(snapshot_id) == there


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(raw)


def cut(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.stock
@pytest.mark.parametrize("kind", ["data", "index", "snapshots", "keys"])
@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_the_reader_calls_nothing_whole_that_is_not(
    written: tuple[Repository, str], kind: str, damage: Callable[[Path], None]
) -> None:
    repository, snapshot_id = written
    assert repository.content(snapshot_id), "and it looked at everything once before"
    damage(next(path for path in sorted((repository.folder / kind).rglob("*")) if path.is_file()))
    with pytest.raises(Unreadable):
        repository.content(snapshot_id)


def truth(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    file = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.truth", "--jobs", "1", "--json", str(file), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert file.exists(), done.stdout + done.stderr
    told = json.loads(file.read_text())
    assert done.stdout.splitlines()[-1] == told["sentence"]
    return done.returncode, told


def test_a_short_campaign_finds_nothing_untrue(tmp_path: Path) -> None:
    code, told = truth(tmp_path, "--sequences", "1", "--steps", "6", "--seed", "sample")
    assert (code, told["false_greens"], told["stuck"]) == (0, 0, 0), told
    assert isinstance(told["restic_judgements"], int) and told["restic_judgements"] >= 8, (
        "stock restic judged every copy"
    )


def test_an_error_that_is_planted_is_caught(tmp_path: Path) -> None:
    error = ("--planted", "--error", "recovery tries nothing")
    code, told = truth(tmp_path, *error, "--sequences", "2", "--steps", "12", "--seed", "sample")
    assert (code, told["planted"], told["caught"]) == (0, 1, 1), told


def test_every_step_can_be_drawn() -> None:
    assert len(STEPS) >= 30 and all(weight > 0 for _, weight in STEPS.values())
