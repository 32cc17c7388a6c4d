"""Whether a place answers a read within seconds, asked of its settings alone: nothing is opened or connected."""

from __future__ import annotations

from providers.models import Location
from providers.stores.azure_options import Tier
from providers.stores.s3_options import ARCHIVE_CLASSES

_ARCHIVES = {"storage_class": frozenset(ARCHIVE_CLASSES), "tier": frozenset({Tier.ARCHIVE.value})}


def answers_at_once(location: Location) -> bool:
    """Return False for a place whose class of storage has to be thawed for hours before it can be read."""
    return not any(location.options.get(option) in archives for option, archives in _ARCHIVES.items())
