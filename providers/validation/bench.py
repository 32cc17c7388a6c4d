"""Opens the same place again under other conditions: over a line that breaks, with another credential, somewhere else.

Faults are injected by a forward proxy in this process, so the very provider is asked that will hold the copies, under
its own address, and only our side of the line breaks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from providers.stores.base import ObjectStore, Wire
from providers.stores.options import secret_names
from providers.validation.certificates import Authority
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault

CONNECT_SECONDS = 1.0
READ_SECONDS = 1.5


class Bench:
    """Made from a bare networked store (`bench_of`); every store that it opens is closed again at the end of its block.

    wire: how the store's requests look.
    """

    def __init__(self, store: ObjectStore, wire: Wire) -> None:
        self.wire = wire
        self.store = store
        self.options: Any = store.options  # type: ignore[attr-defined]  # networked stores have them

    @contextlib.contextmanager
    def opened(self, **changes: Any) -> Iterator[ObjectStore]:
        """Yield the store with some of its options changed."""
        with reopened(self.store, **changes) as store:
            yield store

    @property
    def secrets(self) -> dict[str, str]:
        """The secret options that are set, by name."""
        found = {name: getattr(self.options, name) for name in sorted(secret_names(type(self.options)))}
        return {name: value for name, value in found.items() if value}

    @contextlib.contextmanager
    def faulty(self, fault: Fault, **changes: Any) -> Iterator[tuple[ObjectStore, FaultProxy]]:
        """Yield the store behind a proxy that breaks requests as `fault` says, with short time limits."""
        limits = {"connect_seconds": CONNECT_SECONDS, "read_seconds": READ_SECONDS, **changes}
        with tempfile.TemporaryDirectory(prefix="wedbackup-validation-") as folder:
            authority = Authority(Path(folder))
            with FaultProxy(authority=authority, trusted=self.options.ca_file) as proxy:
                trust = authority.trust_file(self.options.ca_file)
                proxy.fault = fault
                with self.opened(proxy_url=proxy.url, ca_file=trust, **limits) as store:
                    yield store, proxy


@contextlib.contextmanager
def reopened(store: ObjectStore, **changes: Any) -> Iterator[ObjectStore]:
    """Yield the bare `store` opened once more, with some of its options changed."""
    options: Any = store.options  # type: ignore[attr-defined]  # who calls this knows that there are some
    other = type(store)(dataclasses.replace(options, **changes))  # type: ignore[call-arg]
    try:
        yield other
    finally:
        other.close()


def bench_of(store: ObjectStore) -> Bench | None:
    """Return the bench for the bare `store`; None if there is no network between us and it."""
    return Bench(store, store.wire) if store.wire is not None else None
