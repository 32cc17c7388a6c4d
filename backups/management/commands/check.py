"""`manage.py check`: is each copy whole? What is damaged is repaired from the others. Also Django's own `check`."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.check import Command as SystemCheck

from backups.management.naming import vaults_named
from backups.management.running import run_here
from backups.models import Copy, Vault
from backups.services.checks import check_request
from backups.services.opening import copies_of
from backups.states import JobState
from backups.terminal import sentence


class Command(SystemCheck):
    """Django has a command of this name already: without a wedding, vault, --all or --read-data it does its work."""

    help = "Checks every copy of a wedding, of a vault or of everything (--all); without these, Django's system check."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--all", action="store_true", help="check the copies of all vaults")
        parser.add_argument("--read-data", action="store_true", help="read every byte of every copy")

    def handle(self, *names: Any, **options: Any) -> None:
        every, read_data = options.pop("all"), options.pop("read_data")
        labels = {config.label for config in apps.get_app_configs()}
        if not (every or read_data or set(names) - labels):
            super().handle(*names, **options)
            return
        vaults = [vault for name in names for vault in vaults_named(name)] if names else list(Vault.unscoped.all())
        self._check([copy for vault in vaults for copy in copies_of(vault)], read_data)

    def _check(self, copies: list[Copy], read_data: bool) -> None:
        if not copies:
            raise CommandError("There is no vault yet, so there is nothing to check.")
        ended = run_here(check_request(copies, read_data=read_data), self.stdout)
        for job in ended:
            self.stdout.write(sentence(job))
        bad = sum(job.state != JobState.COMPLETED for job in ended)
        if bad:
            raise CommandError(f"{bad} of {len(ended)} copies are not proved to be whole; see above what to do.")
        if read_data:
            self.stdout.write(f"All {len(ended)} copies are whole.")
        else:
            self.stdout.write(
                f"All {len(ended)} copies lack nothing. Whether their bytes are right, --read-data tells."
            )
