"""Opening the stores of a vault's copies; a place that cannot be opened is noted, never fatal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from backups.models import Copy, Vault
from providers.services.locations import location_open
from providers.stores.base import Checksum, ObjectStore, Proof
from providers.stores.errors import StoreError
from wedbackup.core.clock import SYSTEM_CLOCK, Clock


@dataclass(slots=True)
class OpenCopies:
    """The copies of one vault, by the key of their location.

    stores: ready to be used.   errors: why the others are not.
    """

    copies: dict[str, Copy] = field(default_factory=dict)
    stores: dict[str, ObjectStore] = field(default_factory=dict)
    errors: dict[str, StoreError] = field(default_factory=dict)


def copies_of(vault: Vault) -> list[Copy]:
    """Return the vault's copies with their locations, the required ones first."""
    return list(
        Copy.unscoped.filter(vault=vault)
        .select_related("location", "vault__organisation", "vault__wedding")
        .order_by("-required", "location__name")
    )


def copy_key(copy: Copy) -> str:
    """Return the name of a copy's place in the engine's reports and in progress rows: its location's id."""
    return str(copy.location_id)


@contextlib.contextmanager
def copies_open(copies: Sequence[Copy], *, purpose: str, clock: Clock = SYSTEM_CLOCK) -> Iterator[OpenCopies]:
    """Open the stores of `copies` for the body and close them after it.

    purpose: "backup", "check", or PRUNE or RECOVERY of providers.services.locations, as `location_open` takes it.

    A location that is switched off, left alone by its breaker or wrongly configured is in `errors`. Those in `stores`
    must be told of with `location_report`: the caller may be the probe that a location waits for.
    """
    opened = OpenCopies()
    with contextlib.ExitStack() as stack:
        for copy in copies:
            key = copy_key(copy)
            opened.copies[key] = copy
            try:
                store = location_open(copy.location, purpose=purpose, clock=clock)
            except StoreError as exc:
                opened.errors[key] = exc
                continue
            opened.stores[key] = store
            stack.callback(store.close)
        yield opened


def usual_proof(store: ObjectStore) -> Proof:
    """Return how everything that `store` takes is confirmed: by its server's checksum, or by reading it back."""
    return _PROOFS.get(store.capabilities.checksum, Proof.READ_BACK)


_PROOFS = {
    Checksum.SHA256: Proof.SERVER_SHA256,
    Checksum.SHA256_HEADER_ONLY: Proof.SERVER_SHA256,
    Checksum.MD5: Proof.SERVER_MD5,
}
