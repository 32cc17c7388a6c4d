"""Options of a store: one frozen dataclass per provider, described well enough to build a form from it.

An `Options` class travels by pickle into the engine's worker processes and is what a location's encrypted
credential unfolds into. Secrets are marked once, here, and never appear in a repr.
"""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class InvalidOptions(ValueError):
    """The options given for a location do not make sense; the message names the option and what to write."""


def option(
    label: str,
    *,
    default: Any = dataclasses.MISSING,
    text: str = "",
    secret: bool = False,
    credential: bool = False,
    env: str = "",
) -> Any:
    """Return a dataclass field that describes itself.

    label:      what a person reads beside the input.
    default:    value when nothing is given; without it the option is required.
    text:       one line of explanation.
    secret:     to be stored encrypted, never shown again, left out of the repr.
    credential: no secret, but it changes together with the secret: a key's id, a user's name.
    env:        the environment variable that can give it, for example AWS_REGION; also with _FILE behind it, naming a
                file that holds the value. A name that ends in _FILE itself always names the file of a secret.
    """
    metadata = {"label": label, "text": text, "secret": secret, "credential": credential or secret, "env": env}
    return dataclasses.field(default=default, repr=not secret, metadata=metadata)


def secret_names(options: type[Any]) -> frozenset[str]:
    """Return the names of the options that are secret."""
    return frozenset(field.name for field in dataclasses.fields(options) if field.metadata.get("secret"))


def credential_fields(options: type[Any]) -> list[dataclasses.Field[Any]]:
    """Return the fields of the options that are entered together when the credential changes: secrets and key ids."""
    return [field for field in dataclasses.fields(options) if field.metadata.get("credential")]


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Whether an option has to be given."""
    return field.default is dataclasses.MISSING


@dataclasses.dataclass(frozen=True, kw_only=True)
class LineOptions:
    """How to reach a provider over a network; the options of every networked store begin with these.

    3 s to connect, 1 s that an SDK may wait for "100 Continue" and 8 s of silence: a dead provider is noticed within
    12 s at the worst.
    """

    ca_file: str = option("CA file", default="", text="PEM file to trust instead of the public authorities' list.")
    proxy_url: str = option("Proxy", default="", text="http://host:port of the proxy to go through; empty for none.")
    connect_seconds: float = option("Connecting may take [s]", default=3.0)
    read_seconds: float = option("Silence may last [s]", default=8.0)


def build_options(options: type[T], values: Mapping[str, Any]) -> T:
    """Return `options` made from plain `values` (as stored in JSON or typed into a form).

    Strings are converted to the field's int, float, bool or enum. Raises InvalidOptions for an unknown name,
    a missing one, or a value of the wrong kind; the message never repeats a value, it might be a secret.
    """
    fields = {field.name: field for field in dataclasses.fields(options)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(fields)):
        raise InvalidOptions(f"unknown option: {', '.join(unknown)}; known are {', '.join(fields)}")
    required = {name for name, field in fields.items() if is_required(field)}
    if missing := sorted(name for name in required if values.get(name) in (None, "")):
        raise InvalidOptions(f"missing option: {', '.join(missing)}")
    kinds = typing.get_type_hints(options)
    return options(**{name: _convert(name, kinds[name], value) for name, value in values.items()})


def _convert(name: str, kind: type[Any], value: object) -> object:
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    if kind is bool and str(value).lower() in {"true", "false", "1", "0", "yes", "no", "on", "off"}:
        return str(value).lower() in {"true", "1", "yes", "on"}
    if kind in (int, float) or issubclass(kind, enum.Enum):
        try:
            return kind(value)
        except (TypeError, ValueError):
            pass
    raise InvalidOptions(f"option {name} must be a valid {kind.__name__}") from None
