"""Any sequence of edits, failures and runs: what a snapshot says is what the source held, at every complete place."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from backups.engine.backup import crew as backup_crew
from backups.engine.errors import TooFewCopies
from providers.wrappers.base import Operation
from providers.wrappers.faulty import Effect, FaultyStore, StoreFault
from tests.backups.engine.backing import Studio, read_files

NAMES = st.sampled_from(["a.jpg", "b.txt", "deep/c.txt", "deep/er/d.raw", "odd \udcff/\n.txt", "big.bin"])
CONTENTS = st.one_of(
    st.binary(max_size=50),
    st.sampled_from([b"", b"x" * 70_000, bytes(range(256)) * 4000]),
)
KINDS = st.sampled_from(["data/", "index/", "snapshots/", "locks/", ""])


class Editing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="wedbackup-story-"))
        self.studio = Studio(self.root, places=2)
        self.files: dict[str, bytes] = {}
        self.taken: list[tuple[bytes, dict[str, bytes], list[str]]] = []
        self.time = 1_700_000_000_000_000_000
        self.portion = backup_crew.PROCESSES_FROM_BYTES

    def teardown(self) -> None:
        backup_crew.PROCESSES_FROM_BYTES = self.portion
        try:
            self.studio.check("".join(key for key in "ab" if self.studio.names(key, "snapshots")) or "-")
        finally:
            shutil.rmtree(self.root)

    @rule(name=NAMES, content=CONTENTS)
    def write(self, name: str, content: bytes) -> None:
        self.studio.write({name: content})
        self.files[name] = content
        # Each edit has its own time: two within one tick of the file system's clock are the cache's business to
        # mistrust, which a test of its own shows.
        self.time += 1_000_000_000
        os.utime(self.studio.source / name, ns=(self.time, self.time))

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        if self.files.pop(name, None) is not None:
            (self.studio.source / name).unlink()

    @rule()
    def move_a_folder(self) -> None:
        if (self.studio.source / "deep").exists() and not (self.studio.source / "moved").exists():
            (self.studio.source / "deep").rename(self.studio.source / "moved")
            self.files = {
                (f"moved/{name.removeprefix('deep/')}" if name.startswith("deep/") else name): content
                for name, content in self.files.items()
            }

    @rule(processes=st.booleans())
    def back_up(self, processes: bool) -> None:
        backup_crew.PROCESSES_FROM_BYTES = 0 if processes else self.portion
        result = self.studio.backup()
        self.taken.append((result.tree, dict(self.files), ["a", "b"]))

    @rule(key=st.sampled_from("ab"), kind=KINDS, skip=st.integers(0, 2))
    def back_up_while_a_place_fails(self, key: str, kind: str, skip: int) -> None:
        backup_crew.PROCESSES_FROM_BYTES = self.portion
        fault = StoreFault(Effect.CUT, operation=Operation.PUT, match=kind, skip=skip, times=None)
        store = FaultyStore(self.studio.places[key].store, [fault])
        result = self.studio.backup(stores={key: store}, needed=1)
        complete = [name for name, outcome in result.outcomes.items() if outcome.complete]
        assert complete == (["a", "b"] if not store.hits else [name for name in "ab" if name != key])
        self.taken.append((result.tree, dict(self.files), complete))

    @rule(kind=st.sampled_from(["data/", "index/"]))
    def back_up_while_all_places_fail(self, kind: str) -> None:
        before = self.snapshots()
        stores = {
            key: FaultyStore(place.store, [StoreFault(Effect.FULL, operation=Operation.PUT, match=kind, times=None)])
            for key, place in self.studio.places.items()
        }
        try:
            result = self.studio.backup(stores=stores)
        except TooFewCopies:
            assert self.snapshots() == before  # though a place may have caught up on an older one
        else:
            assert not any(store.hits for store in stores.values())
            self.taken.append((result.tree, dict(self.files), ["a", "b"]))

    def snapshots(self) -> set[str]:
        return self.studio.names("a", "snapshots") | self.studio.names("b", "snapshots")

    @rule()
    def lose_the_cache(self) -> None:
        self.studio.cache.unlink(missing_ok=True)

    @invariant()
    def the_newest_snapshot_reads_back(self) -> None:
        if self.taken:
            tree, files, keys = self.taken[-1]
            for key in keys:
                assert read_files(self.studio.places[key], tree, self.studio.source) == files

    @invariant()
    def no_lock_stays(self) -> None:
        assert not any(place.files("locks") for place in self.studio.places.values())


TestEditing = Editing.TestCase
TestEditing.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
