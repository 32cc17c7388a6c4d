"""Every kind of call that a store answers, for the tests that try one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeAlias

from providers.stores.base import ObjectStore

Call: TypeAlias = Callable[[ObjectStore], object]


def every_call(pack: bytes, large: bytes, **more: Call) -> dict[str, Call]:
    """Return the calls by name.

    pack, large: contents for an upload in one request, and for one in parts.
    more:        what only this kind of store can be asked.
    """
    sha256 = hashlib.sha256(pack).hexdigest()
    return {
        "put": lambda store: store.put("a/pack", pack),
        "put in parts": lambda store: store.put("a/large", large),
        "get": lambda store: store.get("a/pack"),
        "head": lambda store: store.head("a/pack"),
        "list": lambda store: [*store.list()],
        "delete": lambda store: store.delete("a/pack"),
        "verify": lambda store: store.verify("a/pack", sha256=sha256),
        **more,
    }
