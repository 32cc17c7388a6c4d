"""`manage.py setup`: keys, folder locations, policies and, if asked, the first admin. Running it again is harmless."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from backups.services.installation import (
    FIRST_LOGIN,
    folders_create,
    folders_validate,
    keys_create,
    policies_create,
    write_private,
)
from backups.services.people import person_create
from providers.models import Location
from providers.stores.errors import StoreError
from providers.validation import Finding
from wedbackup.core.models import User


class Command(BaseCommand):
    help = "Prepares a fresh installation: keys outside the database, three folder locations, policies."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--admin",
            action="store_true",
            help="also make the person `admin` if nobody can sign in yet; the password is printed once",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for path in keys_create():
            self.stdout.write(f"Key made: {path} (0600). Keep a copy of it in a safe place.")
        if "core_user" not in connection.introspection.table_names():
            raise CommandError("The database has no tables yet. Run `manage.py migrate`, then `manage.py setup` again.")
        try:
            for location in folders_create():
                self.stdout.write(f"Location made: {location.name} ({location.options['root']}, {location.medium})")
            for location, broken in folders_validate():
                self._tell_validated(location, broken)
        except StoreError as exc:
            raise CommandError(f"The folder locations could not be made: {exc}. {exc.advice}") from exc
        for policy in policies_create():
            self.stdout.write(f"Policy made: {policy.name}")
        if options["admin"] and not User.objects.exists():
            self._make_admin()

    def _tell_validated(self, location: Location, broken: list[Finding]) -> None:
        if not broken:
            self.stdout.write(f"Location validated: {location.name}")
        for finding in broken:
            self.stderr.write(f"{location.name} may hold no copies yet: {finding.promise}: {finding.detail}")

    def _make_admin(self) -> None:
        _, password = person_create(username="admin", role=User.Role.ADMIN)
        path = settings.HOME / FIRST_LOGIN
        path.unlink(missing_ok=True)
        write_private(path, f"admin {password}\n")
        self.stdout.write(f"Sign in as admin with the password {password} (also in {path}); change it, then delete it.")
