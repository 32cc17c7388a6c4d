"""The proof that a new credential is fit to take over: it can do the work, and it leads to the same place.

Calls the provider, never writes to the database.
"""

from __future__ import annotations

import contextlib
import os
import uuid

from providers.models import Credential, Location
from providers.services.credentials import PRUNER, credential_in_use
from providers.services.locations import store_with
from providers.services.probes import PREFIX, PROBE_BYTES, RoundTrip, round_trip
from providers.stores.base import ObjectStore
from providers.stores.errors import AccessDenied, LocationMissing, ObjectNotFound, Rejected, StoreError, Unsupported
from wedbackup.core.clock import Clock

COPIES_LOOKED_FOR = 3


class AnotherPlace(Rejected):
    """The new credential works, but what we stored is not where it leads."""

    advice = "Make the new key in the same account, for the same bucket or folder as the old one, and enter it again."


def prove(credential: Credential, clock: Clock) -> str:
    """Return in words what was proved of an entered credential; raises a StoreError that says what it cannot do."""
    location = credential.location
    store = store_with(location, credential)
    try:
        done = _round_trip(store, credential, clock)
        same = _same_place(location, credential, store)
        return " ".join((done, same, _remarks(store))).strip()
    finally:
        store.close()


def _round_trip(store: ObjectStore, credential: Credential, clock: Clock) -> str:
    """Have it write, read back and delete a small object; a writer need not be able to delete, a pruner must."""
    trip = RoundTrip()
    round_trip(store, trip, kept=False, clock=clock)
    if trip.remark is None:
        return "It wrote, read back, compared and deleted a small object."
    if credential.role == PRUNER:
        raise trip.remark
    return (
        "It wrote, read back and compared a small object, and may not delete it: deleting needs a pruner's credential."
    )


def _same_place(location: Location, credential: Credential, store: ObjectStore) -> str:
    """Have the one in use write a marker and the new one read it; return that in words, or raise AnotherPlace."""
    old = credential_in_use(location, credential.role)
    if old is None:
        return "There was none before it."
    who = "the writer" if credential.role == PRUNER and old.role != PRUNER else f"version {old.version}"
    name, content = f"{PREFIX}/{uuid.uuid4().hex}", os.urandom(PROBE_BYTES)
    with contextlib.ExitStack() as after:
        try:
            old_store = store_with(location, old)
            after.callback(old_store.close)
            old_store.put(name, content)
        except AccessDenied as error:  # often the very reason for a new one
            return f"{who[0].upper()}{who[1:]} is refused ({type(error).__name__}). {_our_copies(location, store)}"
        after.callback(_forget, name, store, old_store)
        try:
            found = store.get(name)
        except (ObjectNotFound, LocationMissing) as error:
            raise AnotherPlace(f"it leads to another place: what {who} wrote a moment ago is not there") from error
        if found != content:
            raise AnotherPlace(f"it leads to another place: what {who} wrote a moment ago is something else there")
    return f"It read what {who} had written a moment before."


def _forget(name: str, *stores: ObjectStore) -> None:
    """Remove the marker with each credential that may: they may lead to two places, and one may not delete."""
    for store in stores:
        with contextlib.suppress(StoreError):
            store.delete(name)


def _our_copies(location: Location, store: ObjectStore) -> str:
    """Look for the copies that should be there; return what was found in words, or raise AnotherPlace."""
    copies = location.copies.exclude(state="empty").select_related("vault")  # the reverse side of a key of backups
    prefixes = [copy.vault.prefix for copy in copies[:COPIES_LOOKED_FOR]]
    if not prefixes:
        return "No copies are there yet that could be looked for."
    if any(next(store.list(prefix), None) for prefix in prefixes):
        return "It finds our copies there."
    raise AnotherPlace("it leads to another place: none of our copies is there")


def _remarks(store: ObjectStore) -> str:
    """Return what the provider tells that a person should know, as far as this credential may ask for it."""
    try:
        facts = store.facts()
    except (AccessDenied, Unsupported):
        return ""
    remarks = []
    if facts.public:
        remarks.append("Anybody may read this place: make it private.")
    if facts.excess_rights:
        remarks.append(f"It may do more than a backup needs: {', '.join(facts.excess_rights)}.")
    return " ".join(remarks)
