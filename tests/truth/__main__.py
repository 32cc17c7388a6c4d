"""The command line of `bin/truth`."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path


def main() -> int:
    options = _options()
    home = Path(tempfile.mkdtemp(prefix="wedbackup-truth-home-"))
    os.environ.update({"WEDBACKUP_HOME": str(home), "DJANGO_SETTINGS_MODULE": "wedbackup.settings"})
    try:
        template = _template(home)
        from tests.truth import campaign

        report = campaign.run_planted(options, template) if options.planted else campaign.run(options, template)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))
    print(report["sentence"])
    return 0 if report["passed"] else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/truth",
        description="Does to installations what the world does to them, in random sequences, and holds every word of "
        "the product against the truth after each step.",
    )
    parser.add_argument("--sequences", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--steps", type=int, default=40, help="of each (default: 40)")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="everything follows from it")
    parser.add_argument("--only", type=int, metavar="K", help="only sequence K, told step by step")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="sequences at the same time")
    parser.add_argument("--planted", action="store_true", help="plant errors into the product; each must be caught")
    parser.add_argument("--error", metavar="NAME", help="with --planted: only this one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to FILE")
    return parser.parse_args()


def _template(home: Path) -> Path:
    """Make an empty, migrated database that each sequence copies."""
    import django

    django.setup()
    import logging

    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    logging.disable(logging.CRITICAL)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.ALLOWED_HOSTS = ["*"]
    database = connections["default"].settings_dict
    database["OPTIONS"]["init_command"] = (
        database["OPTIONS"]["init_command"].replace("FULL", "OFF").replace("WAL", "MEMORY")
    )
    database["NAME"] = str(home / "template.sqlite3")
    call_command("migrate", verbosity=0)
    connections.close_all()
    return home / "template.sqlite3"


if __name__ == "__main__":
    sys.exit(main())
