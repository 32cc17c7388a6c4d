"""Promises about the place itself, by what the provider tells: who may read it, and what it does by itself."""

from __future__ import annotations

import os
import re

from providers.stores.base import Capabilities, Holds, PlaceFacts
from providers.validation.promise import Exempt, Promise, Warned, require
from providers.validation.room import Room
from providers.validation.strangers import readable_by_strangers

_MOVES = re.compile(r"\b(mov|transition|archiv)", re.IGNORECASE)


def _documents(capabilities: Capabilities) -> str:
    return "it holds documents, which clients share" if capabilities.holds is Holds.DOCUMENTS else ""


def _facts(room: Room) -> PlaceFacts:
    return room.provider.facts()


def _check_private(room: Room) -> None:
    """Told and tried: what a provider tells of its rules may be wrong, a stranger's own request is not."""
    public = _facts(room).public
    require(not public, "anybody can read this place: make it private in the provider's console")
    content = os.urandom(100)
    name = room.put("for-strangers", content)
    try:
        opened = readable_by_strangers(room.provider, name, content)
    except OSError:
        opened, tried = [], False
    else:
        tried = bool(room.provider.public_addresses(name))
    require(
        not opened, f"anybody can read this place, at {', '.join(opened)}: make it private in the provider's console"
    )
    if public is None and not tried:
        raise Exempt("it cannot be asked who may read it, nor tried; look in the provider's console")


def _check_second_chance(room: Room) -> None:
    facts = _facts(room)
    if facts.versioned is None and facts.locked is None:
        raise Exempt("it cannot be asked whether it keeps deleted objects")
    if not facts.versioned and not facts.locked:
        advice = "switch on versioning or an object lock, so that a stolen credential cannot delete this copy for good"
        raise Warned(f"what is deleted here is gone at once: {advice}")


def _check_no_rule_deletes(room: Room) -> None:
    facts = _facts(room)
    told = "; ".join(facts.dangers)
    require(not facts.dangers, f"a rule of the place would delete copies; remove it at the provider: {told}")
    moving = [rule for rule in facts.lifecycle if _MOVES.search(rule)]
    if moving:
        raise Warned(f"a rule moves objects by itself, and archive classes answer late: {'; '.join(moving)}")


def _check_least_rights(room: Room) -> None:
    excess = _facts(room).excess_rights
    if excess:
        raise Warned(f"the credential may do more than a backup needs; narrow it: {', '.join(excess)}")


def _check_region(room: Room) -> None:
    region = _facts(room).region
    wanted = str(getattr(getattr(room.provider, "options", None), "region", ""))
    if not region or not wanted:
        raise Exempt("it does not tell where it is, or no region was set")
    same = region.casefold() == wanted.casefold()
    require(same, f"it is in {region}, not in {wanted}: set the region that it is really in")


PROMISES = (
    Promise("nobody else can read it", _check_private, unless=_documents),
    Promise("what is deleted can be brought back for a while", _check_second_chance),
    Promise("no rule of the place deletes what we keep", _check_no_rule_deletes),
    Promise("the credential has no more rights than needed", _check_least_rights),
    Promise("it is in the region that was set", _check_region),
)
