"""Any text can be stored: what a database refuses is replaced on its way there, where all statements pass.

PostgreSQL takes neither lone surrogates (bytes of file names that are not UTF-8) nor the character NUL, in text and in
JSON; SQLite takes no lone surrogates in text. One such name must cost neither a row nor a job.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.types.json import Json, Jsonb

_REFUSED = re.compile("[\\ud800-\\udfff\\0]")
_REPLACEMENT = "\ufffd"


def storable(value: Any) -> Any:
    """Return `value`, or its copy without what no database takes; text, JSON and all that is in it."""
    if isinstance(value, str):
        return value if value.isascii() and "\0" not in value else _REFUSED.sub(_REPLACEMENT, value)
    if isinstance(value, Json | Jsonb):
        return type(value)(storable(value.obj), dumps=value.dumps)
    if isinstance(value, Mapping):
        return {storable(key): storable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [storable(each) for each in value]
    return value


def _execute(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Mapping[str, Any]) -> Any:
    if params:
        params = [_row(row) for row in params] if many else _row(params)
    return execute(sql, params, many, context)


def _row(params: Any) -> Any:
    if isinstance(params, Mapping):
        return {name: storable(value) for name, value in params.items()}
    # A list or a tuple in a row is an array of the database and stays one.
    return [storable(value) if isinstance(value, str | Json | Jsonb) else value for value in params]


def make_storable(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Have all statements of a new connection pass here."""
    if _execute not in connection.execute_wrappers:
        connection.execute_wrappers.append(_execute)
