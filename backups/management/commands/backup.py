"""`manage.py backup`: back up a wedding, a vault or a folder, here and now, with live progress."""

from __future__ import annotations

import os
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from backups.management.naming import vault_named, vaults_named
from backups.management.running import run_here
from backups.models import Organisation, Policy, Vault
from backups.services.backups import backup_request
from backups.services.installation import EMBEDDED
from backups.services.vaults import source_add, vault_create, vault_locations
from backups.terminal import is_success, sentence
from wedbackup.core.clock import SYSTEM_CLOCK


class Command(BaseCommand):
    help = "Backs up a wedding (name or id), a vault (--vault) or a folder (--path), in this process."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("wedding", nargs="?", help="couple, or id of a wedding or vault")
        what.add_argument("--vault", help="id of a vault, or the first 8 characters of it")
        what.add_argument("--path", help="a folder; it gets a vault of its own at the first time")
        parser.add_argument("--name", help="with --path: the vault's name (default: the folder's)")
        parser.add_argument("--queue", action="store_true", help="only put the work into the queue; a worker does it")

    def handle(self, *args: Any, **options: Any) -> None:
        jobs = [
            job for vault in self._vaults(options) for job in backup_request(vault=vault, reason="manage.py backup")
        ]
        if not jobs:
            raise CommandError("The wedding has no vault yet. Add one on its page, then back it up.")
        if options["queue"]:
            for job in jobs:
                self.stdout.write(f"In the queue: {job} (job {job.pk})")
            return
        ended = run_here(jobs, self.stdout)
        for job in ended:
            self.stdout.write(sentence(job))
        if not all(is_success(job) for job in ended):
            raise CommandError("Not everything was backed up; see above what to do.", returncode=1)

    def _vaults(self, options: dict[str, Any]) -> list[Vault]:
        if options["path"]:
            return [folder_vault(options["path"], options["name"])]
        return [vault_named(options["vault"])] if options["vault"] else vaults_named(options["wedding"])


@transaction.atomic
def folder_vault(path: str, name: str | None) -> Vault:
    """Return the vault of a plain folder, which belongs to no wedding; made, at all locations, at the first time."""
    folder = os.path.abspath(path)
    name = name or os.path.basename(folder) or folder
    organisation, _ = Organisation.unscoped.get_or_create(name=name, defaults={"created_at": SYSTEM_CLOCK.utcnow()})
    vault = Vault.unscoped.filter(organisation=organisation, wedding=None).first()
    try:
        if vault is None:
            vault = vault_create(
                organisation=organisation,
                wedding=None,
                protection_class=Vault.ProtectionClass.BUSINESS,
                policy=Policy.objects.get(name=EMBEDDED),
                locations=vault_locations(),
            )
        source_add(vault, folder)
    except Policy.DoesNotExist as exc:
        raise CommandError("There are no policies yet. Run `manage.py setup` first.") from exc
    except ValidationError as exc:
        raise CommandError(" ".join(exc.messages)) from exc
    return vault
