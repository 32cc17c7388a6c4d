"""Rotation under load: threads write through one open store while its credential changes, and no call may fail.

    python -m tests.bench.rotation --puts 5000

The provider is Swift, whose account has two users; a fault proxy in front of it counts who calls, and refuses the old
key once it is retired.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from providers.stores.base import ObjectStore
from providers.stores.errors import StoreError
from providers.validation.faultproxy import FaultProxy
from providers.validation.faults import Fault, Reply
from providers.wrappers.rotating import RotatingStore
from tests.servers.swift import SECOND_ACCESS_KEY, SECOND_SECRET_KEY, Swift, running_swift
from wedbackup.core.clock import SystemClock

if TYPE_CHECKING:
    from providers.models import Location

THREADS = 8
OBJECT_BYTES = 16 * 1024
WAIT_SECONDS = 120.0  # [s] until a condition that should come within seconds counts as missed


@dataclass
class Figures:
    """puts: done in all; errors: what they failed with; seconds: from the first to the last [s].

    after_retirement: puts since the old key was refused.     old_key_refused: requests with it since then.
    old_key, new_key: requests that the provider saw with each.
    """

    puts: int = 0
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0
    after_retirement: int = 0
    old_key: int = 0
    new_key: int = 0
    old_key_refused: int = 0


class Ahead(SystemClock):
    """The time after the minute that calls outside of any job may take: here they are known to have ended."""

    def utcnow(self) -> datetime:
        from providers.services.rotation import CALLS_END

        return super().utcnow() + CALLS_END


class Load:
    """Threads that put small objects until they are told to stop."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._ended = threading.Event()
        self._news = threading.Condition()
        self.done = [0] * THREADS
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._put, args=(number,)) for number in range(THREADS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds, looked at after each put."""
        with self._news:
            if not self._news.wait_for(condition, WAIT_SECONDS):
                raise AssertionError(f"not within {WAIT_SECONDS:.0f} s; errors: {self.errors[:3]}")

    def wait_for_calls_under_way(self) -> None:
        """Return when every call that is under way now has ended: each thread has ended another one after it."""
        seen = list(self.done)
        self.wait_until(lambda: all(now >= then + 2 for now, then in zip(self.done, seen, strict=True)))

    def _put(self, number: int) -> None:
        content = os.urandom(OBJECT_BYTES)
        while not self._ended.is_set():
            try:
                self._store.put(f"load/{number}/{self.done[number]}", content)
            except StoreError as error:
                self.errors.append(f"{type(error).__name__}: {error}")
            with self._news:
                self.done[number] += 1
                self._news.notify_all()


def rotate_under_load(location: Location, proxy: FaultProxy, swift: Swift, *, puts: int) -> Figures:
    """Change the credential of `location`, which lies behind `proxy`, in the middle of at least `puts` puts."""
    from providers.services.locations import location_open
    from providers.services.rotation import credentials_retire, rotation_begin, rotations_continue

    old, new = (f"Credential={key}/".encode() for key in (swift.access_key, SECOND_ACCESS_KEY))
    refusal = Fault(old, times=10**9, reply=Reply("403 Forbidden", body=b"<Error><Code>AccessDenied</Code></Error>"))
    store = location_open(location, purpose="backup")
    began = time.monotonic()
    with Load(store) as load:
        load.wait_until(lambda: sum(load.done) >= puts // 3)
        secrets = {"access_key": SECOND_ACCESS_KEY, "secret_key": SECOND_SECRET_KEY}
        entered = rotation_begin(location, secrets, actor="bench")
        rotations_continue()
        entered.refresh_from_db()
        if entered.state != "current":
            raise AssertionError(f"the new credential was not taken: {entered.report}")
        version = entered.version
        rotating = innermost_rotating(store)
        load.wait_until(lambda: rotating.version == version)
        load.wait_for_calls_under_way()
        if credentials_retire(None, clock=Ahead()) != 1:
            raise AssertionError("the old credential was not retired")
        proxy.fault, retired_at = refusal, sum(load.done)
        load.wait_until(lambda: sum(load.done) >= max(puts, retired_at + puts // 3))
    seconds = time.monotonic() - began
    store.close()
    heads = list(proxy.heads)
    return Figures(
        puts=sum(load.done),
        errors=load.errors,
        seconds=seconds,
        after_retirement=sum(load.done) - retired_at,
        old_key=sum(old in head for head in heads),
        new_key=sum(new in head for head in heads),
        old_key_refused=refusal.hits,
    )


def innermost_rotating(store: Any) -> RotatingStore:
    """Return what changes the credential, below the other wrappers."""
    while not isinstance(store, RotatingStore):
        store = store.inner
    return store


def make_location(swift: Swift, proxy: FaultProxy, bucket: str) -> Location:
    """Return a location in `bucket` behind `proxy`, opened by the first of Swift's users."""
    from providers.services.locations import location_create

    return location_create(
        name="Swift",
        kind="s3",
        options={
            "bucket": bucket,
            "endpoint_url": proxy.url,
            "region": swift.region,
            "access_key": swift.access_key,
        },
        secrets={"secret_key": swift.secret_key},
        account="swift",
        private_address_allowed=True,
        actor="bench",
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rotation", description=__doc__)
    parser.add_argument("--puts", type=int, default=5000, help="at least so many puts in all (default: 5000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wedbackup-rotation-") as work:
        os.environ |= {"DJANGO_SETTINGS_MODULE": "wedbackup.settings", "WEDBACKUP_HOME": f"{work}/home"}
        _prepare()
        from tests.servers.fixtures import make_bucket

        with running_swift(Path(work) / "swift") as swift, FaultProxy(("127.0.0.1", swift.port)) as proxy:
            location = make_location(swift, proxy, make_bucket(swift))
            figures = rotate_under_load(location, proxy, swift, puts=options.puts)
    print(
        f"{figures.puts} puts by {THREADS} threads in {figures.seconds:.1f} s, {len(figures.errors)} errors; "
        f"{figures.old_key} requests with the old key, {figures.new_key} with the new one; after the retirement "
        f"{figures.after_retirement} puts and {figures.old_key_refused} requests with the old key"
    )


def _prepare() -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from wedbackup.core.sealing import create_key_file

    create_key_file(settings.KEY_FILE)
    call_command("migrate", verbosity=0)


if __name__ == "__main__":
    main()
