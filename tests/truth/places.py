"""Places for copies: real folders, with what goes wrong with places."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from providers import registry
from providers.models import Location
from providers.stores.base import Buffer, ObjectInfo, ObjectStore, Proof
from providers.stores.errors import LocationFull, NoAnswer
from providers.wrappers.base import Call, Operation, Wrapper

_WRITES = {Operation.PUT}


class Mood(enum.StrEnum):
    """How a place behaves. Away is no mood: its folder is renamed, as a pulled disk."""

    WELL = "well"
    HANGS = "hangs"  # each call ends as a deadline ends it; the oracle does not wait in real time
    FULL = "full"
    LIES = "lies"  # says that it stored packs, and stores nothing


@dataclass
class Place:
    """One location. damage: what was done to its files behind the product's back, and when [true s], for the judge."""

    location: Location
    root: Path
    mood: Mood = Mood.WELL
    damage: list[tuple[float, str]] = field(default_factory=list)
    kill_after: int | None = None

    @property
    def name(self) -> str:
        return str(self.location.name)

    @property
    def away(self) -> bool:
        return not self.root.exists()

    @property
    def answers(self) -> bool:
        """Whether what lies there can be read now."""
        return not self.away and self.mood is not Mood.HANGS

    def vanish(self) -> None:
        os.rename(self.root, self.root.with_suffix(".away"))

    def come_back(self) -> None:
        os.rename(self.root.with_suffix(".away"), self.root)

    def repository(self, vault_id: object) -> Path:
        return self.root / str(vault_id)

    def files(self, kinds: tuple[str, ...]) -> list[Path]:
        """Return the stored files of these kinds, of all vaults."""
        found = (path for kind in kinds for path in self.root.glob(f"*/{kind}/**/*"))
        return sorted(path for path in found if path.is_file())

    def lose(self, path: Path) -> None:
        path.unlink()

    def flip(self, path: Path, noise: Random) -> None:
        raw = bytearray(path.read_bytes())
        raw[noise.randrange(len(raw))] ^= 1 << noise.randrange(8)
        path.chmod(0o600)
        path.write_bytes(raw)

    def truncate(self, path: Path, noise: Random) -> None:
        path.chmod(0o600)
        os.truncate(path, noise.randrange(path.stat().st_size))


class MoodyStore(Wrapper):
    """A store that behaves as its place does at the moment."""

    def __init__(self, inner: ObjectStore, place: Place) -> None:
        super().__init__(inner)
        self._place = place

    def put(self, name: str, content: Buffer, *, sha256: str | None = None) -> ObjectInfo:
        if self._place.mood is Mood.LIES and "/data/" in name:
            return ObjectInfo(name, memoryview(content).nbytes, proof=Proof.READ_BACK)
        return super().put(name, content, sha256=sha256)

    def _around(self, call: Call, run: Any) -> Any:
        place = self._place
        if place.kill_after is not None and call.operation in {Operation.PUT, Operation.DELETE}:
            place.kill_after -= 1
            if place.kill_after < 0:
                os._exit(9)
        if place.mood is Mood.HANGS:
            raise NoAnswer(f"{call.operation} {call.name}: no end after 20 s")
        if place.mood is Mood.FULL and call.operation in _WRITES:
            raise LocationFull(f"the disk is full while writing {call.name}")
        return run()

    def facts(self) -> Any:
        return self.inner.facts()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        yield from super().list(prefix)


def haunt(places: list[Place]) -> None:
    """Let every store that is opened from now on behave as its place does: for a process of the oracle's own."""
    by_root = {str(place.root): place for place in places}
    really = registry.open_store

    def opened(kind: str, options: Any) -> ObjectStore:
        store = really(kind, options)
        place = by_root.get(str(options.get("root", "")))
        return MoodyStore(store, place) if place else store

    registry.open_store = opened
