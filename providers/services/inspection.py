"""Is a location fit for work: settings, credential, a round trip, what the provider tells, age. In words, for people.

At the start of a worker all enabled locations are looked at in the background: no dead network delays the start.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from django.db import connections

from providers.models import Credential, Location
from providers.services.credentials import (
    CREDENTIAL_AGE_MAX,
    CREDENTIAL_AGE_NOTICE,
    age_words,
    credential_in_use,
    has_credential,
)
from providers.services.environment import environment_apply
from providers.services.locations import error_text, store_of
from providers.services.probes import location_probe
from providers.stores.base import ObjectStore, PlaceFacts
from providers.stores.errors import StoreError
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Inspection:
    """What was found about one location.

    good:     sentences about what is as it should be.
    hints:    sentences about what may wait.
    problems: sentences about what is wrong, each with what to do.
    """

    location: Location
    good: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def location_inspect(location: Location, *, clock: Clock = SYSTEM_CLOCK) -> Inspection:
    """Look at `location` as a whole and keep what the probe found on its row, as every probe does.

    Does not raise for anything that is wrong with the location: that is what it reports.
    """
    found = Inspection(location)
    try:
        store = store_of(location)
    except StoreError as error:
        found.problems.append(error_text(error))
        return found
    try:
        opens = " and its credential opens" if has_credential(location.kind) else ""
        found.good.append(f"Its settings make sense{opens}.")
        if _answers(location, found, clock):
            _judge(_facts(store), found)
    finally:
        store.close()
    _judge_age(location, found, clock)
    if location.validated_at is None:
        found.hints.append("It was not validated yet, or broke a promise. Validate it before it holds copies.")
    return found


def locations_inspect_in_background() -> threading.Thread:
    """Start `locations_inspect` in a thread of its own."""
    thread = threading.Thread(target=_inspect_and_close, daemon=True, name="inspection")
    thread.start()
    return thread


def _inspect_and_close() -> None:
    try:
        locations_inspect()
    except Exception:
        log.exception("the inspection of the locations failed by itself")
    finally:
        connections.close_all()


def locations_inspect(*, clock: Clock = SYSTEM_CLOCK) -> None:
    """Read the environment, look at every enabled location, and write one line per problem into the log."""
    for outcome in environment_apply(clock=clock):
        log.log(logging.INFO if outcome.ok else logging.WARNING, "%s", outcome.text)
    for location in Location.objects.filter(enabled=True):
        for problem in location_inspect(location, clock=clock).problems:
            log.warning("%s: %s", location.name, problem)


def _answers(location: Location, found: Inspection, clock: Clock) -> bool:
    """Probe; a first success also proves a credential that was entered with the location."""
    result = location_probe(location, clock=clock)
    if result is None:
        location.refresh_from_db()
        if location.last_error:
            found.problems.append(location.last_error)
        else:
            found.good.append("It is being probed by somebody else this moment.")
        return False
    if result.error is not None:
        found.problems.append(error_text(result.error))
        return False
    found.good.append(f"It took, gave back and deleted a small object in {result.latency_ms:.0f} ms.")
    if (credential := credential_in_use(location)) is not None and credential.proved_at is None:
        Credential.objects.filter(pk=credential.pk, proved_at=None).update(proved_at=clock.utcnow())
    return True


def _facts(store: ObjectStore) -> PlaceFacts:
    try:
        return store.facts()
    except StoreError:  # a good credential may not ask for all of it
        return PlaceFacts()


def _judge(facts: PlaceFacts, found: Inspection) -> None:
    if facts.public:
        found.problems.append("Anybody may read this place. Make it private at the provider.")
    if facts.excess_rights:
        rights = ", ".join(facts.excess_rights)
        found.hints.append(f"Its credential may do more than a backup needs: {rights}. Narrow its rights.")
    if facts.region:
        found.good.append(f"The provider says it is in {facts.region}.")


def _judge_age(location: Location, found: Inspection, clock: Clock) -> None:
    now = clock.utcnow()
    for credential in location.credentials.filter(state=Credential.State.CURRENT):
        which = f"for {credential.get_role_display()} (version {credential.version})"
        sentence = f"Its credential {which} is {age_words(credential, now)}."
        age = now - credential.created_at
        if age < CREDENTIAL_AGE_NOTICE:
            found.good.append(sentence)
        else:
            notes = found.problems if age >= CREDENTIAL_AGE_MAX else found.hints
            notes.append(f"{sentence} Make a new key at the provider and enter it on the location's page.")
