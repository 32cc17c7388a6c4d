"""The bare engine on a vault of an installation: what jobs, database and progress cost is the difference.

python -m tests.bench.engine_only VAULT_ID
"""

from __future__ import annotations

import sys

import django


def main(vault_id: str) -> None:
    from django.conf import settings

    from backups.engine.backup.run import BackupRequest, Destination, SourceFolder, backup
    from backups.models import Vault
    from backups.services.vaults import vault_master
    from providers.services.locations import store_of
    from providers.wrappers.stack import wrap_store

    vault = Vault.unscoped.get(pk=vault_id)
    settings.CACHE_DIR.mkdir(exist_ok=True)
    copies = list(vault.copies.select_related("location"))
    backup(
        BackupRequest(
            sources=tuple(SourceFolder(source.path) for source in vault.sources.all()),
            prefix=vault.prefix,
            master=vault_master(vault),
            vault_files=(bytes(vault.config_file), bytes(vault.key_file)),
            destinations=tuple(
                Destination(str(copy.location_id), wrap_store(store_of(copy.location)), True) for copy in copies
            ),
            copies_needed=len(copies),
            cache_path=str(settings.CACHE_DIR / f"{vault.pk}-engine.sqlite3"),
        )
    )


if __name__ == "__main__":
    django.setup()
    main(sys.argv[1])
