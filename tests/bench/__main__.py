"""The command line of `bin/bench`."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.peers import Borg, Rclone, Restic
from tests.bench.rows import Plan, Row, run_rows
from tests.bench.upload import ASKED as UPLOADS_ASKED
from tests.bench.upload import Load, Uploads, s3_uploads
from tests.bench.upload_elsewhere import uploads_elsewhere


def _as_json(row: Row) -> dict[str, object]:
    return {
        "name": row.name,
        "ours": round(row.seconds["wedbackup"], 3),
        "peer": round(row.seconds["restic"], 3),
        "ratio": round(row.ratio, 2),
        "asked": row.asked,
        "others": {name: round(value, 3) for name, value in row.seconds.items() if name not in {"wedbackup", "restic"}},
        "peak_pss_mb": round(row.peak_pss_mb),
    }


def _table(rows: list[Row]) -> Table:
    names = [
        name
        for name in ("engine alone", "with proof", "restic --verify", "borg", "rclone")
        if any(name in row.seconds for row in rows)
    ]
    table = Table("work", "wedbackup", "restic", "times restic", "asked", *names, "peak memory")
    for row in rows:
        mark = "" if row.ratio >= row.asked else " (missed)"
        others = [f"{row.seconds[name]:.2f} s" if name in row.seconds else "" for name in names]
        table.add_row(
            row.name,
            f"{row.seconds['wedbackup']:.2f} s",
            f"{row.seconds['restic']:.2f} s",
            f"{row.ratio:.2f}{mark}",
            f"{row.asked:.1f}",
            *others,
            f"{row.peak_pss_mb:.0f} MB",
        )
    return table


def _uploads_table(rows: list[Uploads], asked: float | None) -> Table:
    table = Table("uploads", "wedbackup", "plain client", "times the plain client", "asked")
    for row in rows:
        mark = " (missed)" if asked is not None and row.ratio < asked else ""
        speeds = [f"{speed:.0f} MiB/s" for speed in (row.ours, row.plain)]
        table.add_row(row.name, *speeds, f"{row.ratio:.2f}{mark}", "" if asked is None else f"{asked:.1f}")
    return table


def _compare_uploads(console: Console, work: Path, *, quick: bool, rounds: int) -> None:
    """Measure the uploads alone; needs neither restic nor borg."""
    load = Load(objects=2 if quick else 32, rounds=rounds)
    console.print(f"{load.objects} objects of {load.object_bytes >> 20} MiB, {load.threads} threads, {rounds} rounds")
    elsewhere = replace(load, objects=min(load.objects, 8))  # those servers keep what they get in memory
    console.print(_uploads_table([*s3_uploads(work, load)], UPLOADS_ASKED))
    console.print(_uploads_table([*uploads_elsewhere(work, elsewhere)], None))


def main() -> None:
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to FILE")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--rows", default="abcdefg", help="letters of the rows wanted (default: all)")
    parser.add_argument("--uploads", action="store_true", help="only uploads beside the providers' plain clients")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant; medians are shown")
    parser.add_argument("--work", type=Path, help="scratch folder on the disk to measure (20 GB free)")
    options = parser.parse_args()

    console = Console()
    work = Path(tempfile.mkdtemp(prefix="wedbackup-bench-", dir=options.work)).resolve()
    try:
        if options.uploads:
            _compare_uploads(console, work, quick=options.quick, rounds=options.rounds)
            return
        plan = Plan(work, 0.1 if options.quick else 1.0, options.rounds)
        versions = (Restic(work).version(), Borg(work).version(), Rclone(work).version())
        console.print(f"{', '.join(versions)}; {plan.rounds} rounds, size x {plan.scale}")
        rows: list[Row] = []
        for row in run_rows(plan, set(options.rows)):
            rows.append(row)
            console.print(f"{row.name}: {row.ratio:.2f} x restic (asked {row.asked})")
        console.print(_table(rows))
        if options.json:
            options.json.write_text(json.dumps([_as_json(row) for row in rows], indent=1) + "\n")
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
