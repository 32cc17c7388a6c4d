"""`manage.py rotate_credential`: a new credential for a location, proved and switched to under running transfers."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from providers.management.answers import add_value_arguments, location_named, values_given
from providers.models import Credential
from providers.services.credentials import PRUNER, WRITER
from providers.services.rotation import RotationRefused, rotation_begin, rotation_continue
from providers.stores.options import InvalidOptions
from wedbackup.core.sealing import SealingError


class Command(BaseCommand):
    help = "Enters a new credential for a location, proves it and lets it take over. The old one stays if it fails."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="name of the location, in quotes if it has spaces")
        parser.add_argument(
            "--pruner", action="store_true", help="the credential for deleting, not that for daily work"
        )
        add_value_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        location = location_named(options["name"])
        try:
            secrets = values_given(location.kind, options["option"], options["secret_file"])
            credential = rotation_begin(
                location, secrets, role=PRUNER if options["pruner"] else WRITER, actor=getpass.getuser()
            )
        except (InvalidOptions, SealingError) as exc:
            raise CommandError(f"{exc}.".replace("..", ".")) from exc
        except RotationRefused as exc:
            raise CommandError(f"{exc}. {exc.advice}") from exc
        self.stdout.write(f"Version {credential.version} is entered; proving it.")
        rotation_continue(credential)
        credential.refresh_from_db()  # the scheduler may have been faster
        if credential.state == Credential.State.REFUSED:
            raise CommandError(
                f"Version {credential.version} was refused, the old one stays in use. {credential.report}"
            )
        self.stdout.write(credential.report)
        self.stdout.write(
            self.style.SUCCESS(f"Version {credential.version} of {location.name} is {credential.get_state_display()}.")
        )
        if location.credentials.filter(role=credential.role, state=Credential.State.DRAINING).exists():
            self.stdout.write(
                "Running transfers may hold the old one: its page says when to delete it at the provider."
            )
