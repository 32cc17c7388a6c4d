"""Promises about the code itself, so that what is added later keeps them too."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from providers.registry import KINDS, Kind

ROOT = Path(__file__).parents[2]
APPS = ("wedbackup", "providers", "backups", "monitoring")
LINES_MAX = 600


def modules() -> list[Path]:
    return [path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts]


def test_imports_point_down_only() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_every_provider_passes_the_contract(kind: Kind) -> None:
    module = kind.dotted.rpartition(".")[0].rpartition(".")[2]
    text = (ROOT / "tests" / "providers" / "stores" / f"test_{module}.py").read_text()
    assert re.search(r"^class \w+\(.*Contract.*\):", text, re.MULTILINE)


def test_every_command_has_a_test() -> None:
    commands = {path.stem for app in APPS for path in (ROOT / app / "management" / "commands").glob("[a-z]*.py")}
    tested = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert {name for name in commands if not re.search(rf'["\' ]{name}["\']', tested)} == set()


def test_what_stock_restic_proves_may_not_be_skipped() -> None:
    for path in [*(ROOT / "tests" / "restic").glob("*.py"), *(ROOT / "tests" / "stories").glob("*.py")]:
        assert not re.search(r"pytest\.(skip|xfail)|mark\.(skip|xfail)|importorskip", path.read_text()), path


def test_nobody_but_the_clock_reads_the_time() -> None:
    forbidden = re.compile(
        r"\btime\.(time|monotonic|sleep|perf_counter)\(|datetime\.(now|utcnow|today)\(|date\.today\(|timezone\.now\("
    )
    readers = {
        str(path.relative_to(ROOT)) for path in modules() if forbidden.search(path.read_text()) and path.stem != "clock"
    }
    assert readers == set()


def test_files_stay_short_enough_to_read() -> None:
    assert {str(path) for path in modules() if path.read_text().count("\n") > LINES_MAX} == set()


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in modules()
        if path.stat().st_size and path.stem != "apps" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []
