"""The command line of `bin/kill9`."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

import django


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bin/kill9",
        description="Kills the server at random moments of backups, and proves after each that it goes on by itself, "
        "that no acknowledged snapshot is lost and that stock restic finds every copy whole.",
    )
    parser.add_argument("--count", type=int, default=200, help="kills that hit a running backup (default: 200)")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="of everything random but the machine's own speed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rounds and the summary to FILE")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where to work (2 GB free); kept if anything fails")
    parser.add_argument("--late", action="store_true", help="kill from the first new index on, not at any moment")
    options = parser.parse_args()

    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="wedbackup-kill9-", dir=options.work)).resolve()
    for name in [name for name in os.environ if name.startswith("WEDBACKUP_")]:
        del os.environ[name]
    os.environ |= {"DJANGO_SETTINGS_MODULE": "wedbackup.settings", "WEDBACKUP_HOME": str(work / "home")}
    django.setup()
    from tests.campaigns.campaign import Campaign
    from tests.campaigns.interruption import Aim, LateAim

    print(f"seed {options.seed}, in {work}", flush=True)
    aim = LateAim if options.late else Aim
    report = Campaign(work, options.count, options.seed, aim, lambda line: print(line, flush=True)).run()
    print(*report.lines(), sep="\n")
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    if report.failed:
        print(f"FAILED; everything is kept in {work}")
        return 1
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
