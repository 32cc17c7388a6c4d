"""The second wall between tenants: PostgreSQL's row-level security.

The first wall is the scoped managers. Should a query forget its scope all the same, the database itself shows only the
rows of the organisations that the session setting `wedbackup.organisations` names: "*" for the platform's own work
(workers, commands, migrations, admins and staff), a comma-separated list of ids for a vendor, "" for nobody. SQLite has
no such thing; the embedded shape stands on the first wall alone (docs/threat-model.md).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse

PLATFORM = "*"
NOBODY = ""
SETTING = "wedbackup.organisations"


def _narrow(database: Any, scope: str) -> None:
    with database.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, false)", [SETTING, scope])


def scope_of(user: Any) -> str:
    """Return the setting for `user`: what the database may show them."""
    if not user.is_authenticated or not user.is_active:
        return NOBODY
    if user.sees_everything:
        return PLATFORM
    return ",".join(str(pk) for pk in user.memberships.values_list("organisation_id", flat=True))


def start_as_platform(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Give each new connection the platform's scope; requests narrow it before they query."""
    if connection.vendor == "postgresql":
        _narrow(connection, PLATFORM)


@contextlib.contextmanager
def seen_by(user: Any) -> Iterator[None]:
    """Let this thread's database session see only what `user` may see, until the end of the block."""
    if connection.vendor != "postgresql":
        yield
        return
    _narrow(connection, scope_of(user))
    try:
        yield
    finally:
        _narrow(connection, PLATFORM)


class RowSecurityMiddleware:
    """Narrows the database session to what the signed-in person may see, for the time of the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with seen_by(request.user):
            return self._get_response(request)
