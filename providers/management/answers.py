"""What people write behind the commands about locations: names, options, and files that hold secrets."""

from __future__ import annotations

import dataclasses
import getpass

from django.core.management.base import CommandError, CommandParser

from providers import registry
from providers.models import Location
from providers.stores.options import is_required, secret_names


def add_value_arguments(parser: CommandParser) -> None:
    """Let options be given as NAME=VALUE, and secrets only by files."""
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="one of its options; may be repeated"
    )
    parser.add_argument(
        "--secret-file",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a file that holds one of its secrets; needed secrets without a file are asked for",
    )


def location_named(name: str) -> Location:
    """Return the location of this name; the error names those that exist."""
    location = Location.objects.filter(name=name).first()
    if location is None:
        known = ", ".join(Location.objects.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"There is no location {name!r}. Known: {known}.")
    return location


def values_given(kind: str, options: list[str], secret_files: list[str]) -> dict[str, str]:
    """Return the values for a location of `kind`; needed secrets that no file holds are asked for at the terminal."""
    described = registry.options_class(kind)
    values, files = dict(map(_pair, options)), dict(map(_pair, secret_files))
    secret = secret_names(described)
    if open_secrets := sorted(secret & set(values)):
        raise CommandError(f"Other users of this machine can read options: give {open_secrets[0]} by --secret-file.")
    needed = {field.name for field in dataclasses.fields(described) if is_required(field)}
    for name in sorted(set(files) | secret & needed):
        values[name] = _content(name, files[name]) if name in files else getpass.getpass(f"{name}: ")
    return values


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise CommandError(f"{text!r} should be NAME=VALUE, for example root=/mnt/nas.")
    return name, value


def _content(name: str, path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read().strip()
    except OSError as exc:
        raise CommandError(f"The file {path} with {name} cannot be read: {exc.strerror}.") from exc
