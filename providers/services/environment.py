"""Locations from environment variables: for each kind of location whose variables are set, one location.

Each option says by which variable it can be given (`env` in providers.stores.options). NAME_FILE instead of NAME names
a file that holds the value, as container platforms mount secrets. The database stays the sealed store: what the
variables hold is entered there, and another secret at the next start is a rotation like any other.

A variable's value is never shown; messages name variables.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError

from providers import registry
from providers.models import Credential, Location
from providers.services.credentials import secrets_in
from providers.services.locations import location_create
from providers.services.rotation import RotationRefused, rotation_begin
from providers.stores.errors import StoreError
from providers.stores.options import InvalidOptions, build_options, is_required
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.sealing import SealingError

ACTOR = "environment"
FILE_SUFFIX = "_FILE"
VALUE_BYTES_MAX = 64 * 1024
ALIKE = 0.9  # share of equal letters from which a variable counts as another one's misspelling


@dataclass(frozen=True, slots=True)
class Reading:
    """What the environment says about one kind of location.

    values:   by name of the option.   given: the variables that were set.
    missing:  variables that are needed and not set.   problems: sentences about those that are set.
    """

    kind: registry.Kind
    values: dict[str, str] = field(repr=False)
    given: tuple[str, ...]
    missing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it, in words. ok: nobody has to do anything."""

    ok: bool
    text: str
    location: Location | None = field(default=None, compare=False)


def environment_read(environ: Mapping[str, str]) -> list[Reading]:
    """Return a reading for each kind of location that the variables mean.

    A kind is meant when a variable is set that it needs or that holds a secret of it, and that no kind before it in the
    registry knows as well: AWS_REGION alone, which many machines have, means nothing.
    """
    readings, taken = [], set[str]()
    for kind in registry.KINDS.values():
        if not kind.family or not any(name.startswith(f"{kind.family}_") for name in environ):
            continue  # so that its module is not imported for nothing
        fields = [each for each in dataclasses.fields(registry.options_class(kind.name)) if each.metadata.get("env")]
        means = {each.metadata["env"] for each in fields if is_required(each) or each.metadata["secret"]} - taken
        if any(_is_set(environ, name) for name in means):
            # AWS_SESSION_TOKEN is none of R2's business, although its options have the same field.
            own = [each for each in fields if is_required(each) or each.metadata["env"] not in taken]
            readings.append(_read(kind, own, environ))
        taken |= {each.metadata["env"] for each in fields}
    return readings


def environment_apply(environ: Mapping[str, str] = os.environ, *, clock: Clock = SYSTEM_CLOCK) -> list[Outcome]:
    """Make or update the locations that the environment describes; say what came of each. Connects to nothing."""
    return [_apply(reading, environ, clock) for reading in environment_read(environ)]


def _read(kind: registry.Kind, fields: list[dataclasses.Field[Any]], environ: Mapping[str, str]) -> Reading:
    values: dict[str, str] = {}
    given, missing, problems = [], [], []
    for each in fields:
        name = each.metadata["env"]
        try:
            value = _value(each, environ)
        except InvalidOptions as problem:
            problems.append(str(problem))
            continue
        if value:
            values[each.name] = value
            given.append(name)
        elif is_required(each):
            missing.append(name)
    if not missing and not problems:
        try:
            build_options(registry.options_class(kind.name), values)
        except InvalidOptions as problem:
            problems.append(f"{', '.join(given)}: {problem}")
    return Reading(kind, values, tuple(given), tuple(missing), tuple(problems))


def _value(described: dataclasses.Field[Any], environ: Mapping[str, str]) -> str:
    """Return the value of an option, "" if it is not set; raises InvalidOptions naming the variable."""
    name = described.metadata["env"]
    if described.metadata["secret"] and name.endswith(FILE_SUFFIX):
        return _content(name, environ.get(name, ""))
    value, path = environ.get(name, "").strip(), environ.get(name + FILE_SUFFIX, "")
    if value and path:
        raise InvalidOptions(f"{name} and {name}{FILE_SUFFIX} are both set: remove one of them")
    return value or _content(name + FILE_SUFFIX, path)


def _content(name: str, path: str) -> str:
    if not path.strip():
        return ""
    try:
        with open(path.strip(), encoding="utf-8") as stream:
            content = stream.read(VALUE_BYTES_MAX + 1)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is no text"
        raise InvalidOptions(f"{name}: its file cannot be read ({reason})") from exc
    if len(content) > VALUE_BYTES_MAX:
        raise InvalidOptions(f"{name}: its file is too large to be a secret")
    if not content.strip():
        raise InvalidOptions(f"{name}: its file is empty")
    return content.strip()


def _is_set(environ: Mapping[str, str], name: str) -> bool:
    return bool(environ.get(name, "").strip() or environ.get(name + FILE_SUFFIX, "").strip())


def _apply(reading: Reading, environ: Mapping[str, str], clock: Clock) -> Outcome:
    label = reading.kind.label
    if reading.problems:
        return Outcome(False, f"{label}: {'; '.join(reading.problems)}. Correct it and start again.")
    if reading.missing:
        given, missing = ", ".join(reading.given), ", ".join(reading.missing)
        question = _misspelt(reading, environ)
        return Outcome(
            False, f"{label}: {given} came from the environment, but not {missing}.{question} Set it as well."
        )
    try:
        location = _location_of(reading.kind)
        return _update(location, reading, clock) if location else _create(reading, clock)
    except (InvalidOptions, SealingError) as problem:
        return Outcome(False, f"{label}, from the environment: {problem}")
    except StoreError as problem:
        return Outcome(False, f"{label}, from the environment: {problem}. {problem.advice}")


def _location_of(kind: registry.Kind) -> Location | None:
    """Return the location that an earlier start made; people may have renamed it since."""
    return Location.objects.filter(kind=kind.name, credentials__entered_by=ACTOR).order_by("created_at").first()


def _create(reading: Reading, clock: Clock) -> Outcome:
    options, credential = _parts(reading)
    name = f"{reading.kind.label} (from the environment)"[:80]
    where = {"region": options["region"]} if "region" in options else {}
    try:
        location = location_create(
            name=name,
            kind=reading.kind.name,
            options=options,
            secrets=credential,
            account=f"{reading.kind.family} account from the environment",  # two kinds may share it
            private_address_allowed=True,  # whoever sets the environment runs the machine
            actor=ACTOR,
            clock=clock,
            **where,
        )
    except (InvalidOptions, IntegrityError):
        if (theirs := _location_of(reading.kind)) is None:
            raise
        return Outcome(True, f"{theirs.name} was made by another process this moment.", theirs)
    return Outcome(True, f"{name} was made. Enter its account and place, so that copies are counted rightly.", location)


def _update(location: Location, reading: Reading, clock: Clock) -> Outcome:
    options, credential = _parts(reading)
    described = registry.options_class(reading.kind.name)
    credential_names = {each.name for each in dataclasses.fields(described) if each.metadata.get("credential")}
    other = [
        name
        for name, value in options.items()
        if name not in credential_names and str(location.options.get(name, value)) != value
    ]
    if other:
        names = ", ".join(_variables(described, other))
        return Outcome(
            False,
            f"{location.name} was made with another {names}, and nothing was changed: copies are where it points to. "
            "Put the variable back, or add the other place as a location of its own.",
            location,
        )
    newest = location.credentials.filter(entered_by=ACTOR).exclude(state=Credential.State.REFUSED).first()
    if newest is not None and secrets_in(newest) == credential:
        return Outcome(True, f"{location.name} is as the environment says.", location)
    try:
        entered = rotation_begin(location, credential, actor=ACTOR, clock=clock)
    except RotationRefused as refusal:
        return Outcome(False, f"{location.name}: {refusal}. {refusal.advice}", location)
    return Outcome(
        True,
        f"{location.name}: version {entered.version} was entered from the environment and is being proved.",
        location,
    )


def _parts(reading: Reading) -> tuple[dict[str, str], dict[str, str]]:
    """Return what is not secret, for the settings, and what changes with the secret, for the credential."""
    fields = {each.name: each.metadata for each in dataclasses.fields(registry.options_class(reading.kind.name))}
    options = {name: value for name, value in reading.values.items() if not fields[name]["secret"]}
    credential = {name: value for name, value in reading.values.items() if fields[name]["credential"]}
    return options, credential


def _variables(described: type[Any], names: list[str]) -> list[str]:
    return [each.metadata["env"] for each in dataclasses.fields(described) if each.name in names]


def _misspelt(reading: Reading, environ: Mapping[str, str]) -> str:
    """Return a question about variables that look like the missing ones, "" if there are none."""
    kinds = [kind.name for kind in registry.KINDS.values() if kind.family == reading.kind.family]
    known = {each.metadata.get("env") for kind in kinds for each in dataclasses.fields(registry.options_class(kind))}
    others = [name for name in environ if name.removesuffix(FILE_SUFFIX) not in known]
    found = [alike for name in reading.missing for alike in difflib.get_close_matches(name, others, 1, ALIKE)]
    return f" Is {', '.join(found)} meant to be it?" if found else ""
