"""`manage.py snapshots`: what can be restored, and how safe it is."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Count

from backups.management.naming import SHORT_ID, vaults_named
from backups.models import Snapshot, Vault
from wedbackup.core.templatetags.words import number, size


class Command(BaseCommand):
    help = "Lists the snapshots of all vaults, newest first, or those of one wedding or vault."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("of", nargs="?", help="couple, or id of a wedding or vault")

    def handle(self, *args: Any, **options: Any) -> None:
        vaults = (
            vaults_named(options["of"]) if options["of"] else Vault.unscoped.select_related("organisation", "wedding")
        )
        for vault in vaults:
            self._list(vault)
        if not vaults:
            self.stdout.write("There is no vault yet.")

    def _list(self, vault: Vault) -> None:
        self.stdout.write(f"{vault}  (vault {vault.pk})")
        snapshots = Snapshot.unscoped.filter(vault=vault).annotate(places=Count("confirmations")).order_by("-number")
        for snapshot in snapshots:
            safe = "safe" if snapshot.acknowledged_at else "not safe yet"
            looks = f", looks wrong: {snapshot.suspicion}" if snapshot.suspicion else ""
            self.stdout.write(
                f"  {snapshot.restic_id[:SHORT_ID]}  {snapshot.taken_at:%Y-%m-%d %H:%M:%S} UTC  "
                f"{number(snapshot.file_count)} files, {size(snapshot.source_bytes)}, "
                f"in {snapshot.places} places, {safe}{looks}"
            )
        if not snapshots:
            self.stdout.write("  (no snapshot yet)")
