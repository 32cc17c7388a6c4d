"""Sets an installation up for one benchmark run; its last line of output is JSON for `tests.bench.ours`.

python -m tests.bench.install '{"source": "/folder", "locations": [{"kind": "local", "options": {...}}]}'
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django

MACHINE = "bench"


def install(request: dict[str, Any]) -> dict[str, Any]:
    """Make keys, database, locations, one organisation and one vault; return what the benchmark needs to know."""
    from django.conf import settings
    from django.core.management import call_command

    from backups.models import Organisation, Policy
    from backups.services.vaults import source_add, vault_create, vault_secret
    from providers.services.locations import location_create
    from wedbackup.core.clock import SYSTEM_CLOCK
    from wedbackup.core.sealing import create_key_file

    create_key_file(settings.KEY_FILE)
    call_command("migrate", verbosity=0)
    locations = [
        location_create(
            name=f"place {number}",
            kind=wanted["kind"],
            options=wanted["options"],
            secrets=wanted.get("secrets"),
            private_address_allowed=True,
            actor=MACHINE,
            account=wanted.get("account", ""),
        )
        for number, wanted in enumerate(request["locations"], 1)
    ]
    for location in locations:  # nothing is measured here, and the validation has its own figures
        location.validated_at = SYSTEM_CLOCK.utcnow()
        location.save(update_fields=["validated_at"])
    organisation = Organisation(name="Bench", created_at=SYSTEM_CLOCK.utcnow())
    organisation.save()
    policy = Policy.objects.create(name="bench", copies_needed=len(locations), failure_domains_needed=2)
    vault = vault_create(
        organisation=organisation, wedding=None, protection_class="business", policy=policy, locations=locations
    )
    source_add(vault, request["source"])
    return {
        "vault": str(vault.pk),
        "secret": vault_secret(vault).decode(),
        "repositories": [_repository(location.options, str(vault.pk)) for location in locations],
    }


def _repository(options: dict[str, Any], vault: str) -> str:
    """Return the copy's address as stock restic takes it."""
    if "root" in options:
        return f"{options['root']}/{vault}"
    return f"s3:{options['endpoint_url']}/{options['bucket']}/{vault}"


if __name__ == "__main__":
    django.setup()
    print(json.dumps(install(json.loads(sys.argv[1]))))
