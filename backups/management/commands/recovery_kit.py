"""`manage.py recovery_kit`: a page to print that opens the vaults with stock restic, without this application."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backups.engine.errors import EngineError
from backups.management.naming import vaults_named
from backups.services.installation import write_private
from backups.services.kits import kit_html, kit_make, kit_text


class Command(BaseCommand):
    help = "Prints what a person needs to restore a vault, or all vaults of a wedding, with stock restic alone. SECRET."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("of", help="couple, or id of a wedding or vault")
        parser.add_argument("--html", action="store_true", help="a page for a browser's print dialogue, not text")
        parser.add_argument("--output", metavar="FILE", help="write a new file (0600) instead of printing here")

    def handle(self, *args: Any, **options: Any) -> None:
        vaults = vaults_named(options["of"])
        if not vaults:
            raise CommandError("The wedding has no vault yet.")
        try:
            kits = kit_make(vaults, actor=f"manage.py, {getpass.getuser()}")
        except EngineError as exc:
            raise CommandError(f"{exc} {exc.advice}") from exc
        text = kit_html(kits) if options["html"] else kit_text(kits)
        if not options["output"]:
            self.stdout.write(text)
            return
        try:
            write_private(Path(options["output"]), text)
        except FileExistsError as exc:
            raise CommandError(f"{options['output']} is there already. Name a new file.") from exc
        except OSError as exc:
            raise CommandError(f"{options['output']} cannot be written: {exc.strerror}.") from exc
        self.stdout.write(
            f"Written to {options['output']}, readable by you only. It is secret: print it and delete it."
        )
