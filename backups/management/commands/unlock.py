"""`manage.py unlock`: removes lock files that a program left behind when it was killed."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from backups.management.naming import vaults_named
from backups.services.unlocking import vault_unlock


class Command(BaseCommand):
    help = "Removes the lock files that nobody holds any more from all copies of a wedding or vault."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("of", help="couple, or id of a wedding or vault")
        parser.add_argument(
            "--force", action="store_true", help="no other program works there now: remove all but our own"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        unclear = False
        for vault in vaults_named(options["of"]):
            self.stdout.write(str(vault))
            try:
                found = vault_unlock(vault, by_force=options["force"], actor="command")
            except ValidationError as exc:
                raise CommandError(exc.messages[0]) from exc
            for each in found:
                unclear = unclear or bool(each.left or each.error)
                self.stdout.write(f"  {each.place}: {each.error or f'{each.removed} left-over locks removed'}")
                for lock in each.left:
                    self.stdout.write(f"    still there: {lock}")
        if unclear:
            raise CommandError(
                "Not every lock could be removed. One that somebody may hold goes by itself 30 minutes after its "
                "program ended; if no other program works there, `--force` removes it at once."
            )
