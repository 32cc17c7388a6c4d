"""What an alert says, before it is one."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from uuid import UUID


class Severity(enum.StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Wish:
    """An alert that should be raised; the fields are those of `monitoring.models.Alert`."""

    key: str
    severity: Severity
    title: str
    text: str
    what_to_do: str
    detail: str = ""
    link: str = ""
    organisation_id: UUID | None = None


def wedding_link(wedding_id: object) -> str:
    """Return the address of a wedding's page, "" for None."""
    return f"/weddings/{wedding_id}/" if wedding_id else ""


def location_link(location_id: object) -> str:
    """Return the address of a location's page."""
    return f"/locations/{location_id}/"
