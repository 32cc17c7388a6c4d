"""Every kind of object, harmed in every way, at one, some or all copies, is found; it is repaired from the other
copies, else from the source, else named. Stock restic judges at the end.

Met first in restic #828 and #3023, kopia #3492: what is rotten everywhere and intact at the source was never stored
again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from backups.models import Copy, DamagedFile, Job, Snapshot, Vault
from backups.services import opening
from backups.services.backups import backup_request
from backups.services.checks import check_request
from backups.services.vaults import vault_secret
from backups.states import CopyState, JobState
from backups.worker import run_next
from providers.wrappers.base import Operation
from providers.wrappers.faulty import Effect, StoreFault
from tests.backups.ground import break_place
from tests.restic import stock
from wedbackup.core.clock import ManualClock

pytestmark = pytest.mark.django_db(transaction=True)


def missing(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    write(file, file.read_bytes()[:-20])


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    write(file, bytes(content))


def empty(file: Path) -> None:
    write(file, b"")


def write(file: Path, content: bytes) -> None:
    file.chmod(0o600)
    file.write_bytes(content)


HARMS = (missing, cut, flipped, empty)
Find = Callable[[Path], Path]


def only(kind: str) -> Find:
    def find(copy: Path) -> Path:
        (file,) = (copy / kind).iterdir()
        return file

    return find


KINDS: dict[str, Find] = {
    "config": lambda copy: copy / "config",
    "key": only("keys"),
    "index": only("index"),
    "snapshot": only("snapshots"),
    "trees": lambda copy: min((copy / "data").glob("*/*"), key=lambda file: file.stat().st_size),
    "pictures": lambda copy: max((copy / "data").glob("*/*"), key=lambda file: file.stat().st_size),
}


def work(clock: ManualClock) -> None:
    while run_next("test", clock=clock) is not None:
        pass


def copies(vault: Vault) -> list[Copy]:
    return opening.copies_of(vault)


def folders(vault: Vault) -> list[Path]:
    return [Path(copy.location.options["root"]) / str(vault.pk) for copy in copies(vault)]


def check_all(vault: Vault, clock: ManualClock) -> None:
    check_request(copies(vault), read_data=True, clock=clock)
    work(clock)


@pytest.fixture
def saved(vault: Vault, clock: ManualClock) -> Vault:
    backup_request(vault=vault, reason="test", clock=clock)
    work(clock)
    clock.advance(60)
    return vault


def assert_all_is_well(vault: Vault) -> None:
    assert {copy.state for copy in copies(vault)} == {CopyState.CURRENT}
    assert not DamagedFile.unscoped.exists()
    newest = Snapshot.unscoped.filter(vault=vault).first()
    assert newest is not None and newest.acknowledged_at is not None and newest.confirmations.count() == 3


def restored(vault: Vault, folder: Path, target: Path, source: Path) -> dict[str, bytes]:
    stock.restore(folder, vault_secret(vault), "latest", target)
    below = target / str(source).lstrip("/")
    return {str(file.relative_to(below)): file.read_bytes() for file in below.rglob("*") if file.is_file()}


@pytest.mark.stock
@pytest.mark.parametrize("places", [1, 2], ids=["one copy", "two copies"])
@pytest.mark.parametrize("harm", HARMS)
def test_what_one_copy_still_has_repairs_the_others(
    saved: Vault, clock: ManualClock, harm: Callable[[Path], None], places: int
) -> None:
    for folder in folders(saved)[:places]:
        for find in KINDS.values():
            harm(find(folder))
    check_all(saved, clock)
    check_all(saved, clock)  # the first could be asked before the one that it takes from was whole
    assert_all_is_well(saved)
    for folder in folders(saved)[:places]:
        stock.check(folder, vault_secret(saved))


@pytest.mark.stock
@pytest.mark.parametrize("kind", ["config", "key", "index"])
@pytest.mark.parametrize("harm", [missing, flipped])
def test_what_the_database_or_the_packs_tell_is_made_again_when_every_copy_lost_it(
    saved: Vault, clock: ManualClock, harm: Callable[[Path], None], kind: str
) -> None:
    """truth-engine E13: "Repair this copy from another location", and nobody did."""
    for folder in folders(saved):
        harm(KINDS[kind](folder))
    check_all(saved, clock)
    assert_all_is_well(saved)
    stock.check(folders(saved)[0], vault_secret(saved))


@pytest.mark.stock
@pytest.mark.parametrize("kind", ["snapshot", "trees", "pictures"])
@pytest.mark.parametrize("harm", [missing, cut, flipped])
def test_what_every_copy_lost_is_stored_again_from_the_source_or_named(
    saved: Vault, clock: ManualClock, photos: Path, tmp_path: Path, harm: Callable[[Path], None], kind: str
) -> None:
    older = Snapshot.unscoped.get(vault=saved)
    for folder in folders(saved):
        harm(KINDS[kind](folder))
    check_all(saved, clock)
    older.refresh_from_db()
    assert bool(older.lost_count) == (harm is not cut or kind == "snapshot")  # a pack's last bytes are its header
    assert CopyState.CURRENT not in {copy.state for copy in copies(saved)}

    backup_request(vault=saved, reason="test", clock=clock)
    work(clock)

    assert_all_is_well(saved)
    source = {str(file.relative_to(photos)): file.read_bytes() for file in photos.rglob("*") if file.is_file()}
    assert restored(saved, folders(saved)[1], tmp_path / "back", photos) == source
    older.refresh_from_db()
    if kind == "pictures":
        assert not older.lost_count
        stock.check(folders(saved)[2], vault_secret(saved))
    if kind == "snapshot":
        assert older.lost_files == ["/"]
        stock.check(folders(saved)[2], vault_secret(saved))


def test_what_could_not_be_read_for_a_while_is_neither_damaged_nor_verified(
    saved: Vault, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that breaks is no proof of anything."""
    copy = copies(saved)[0]
    pack = KINDS["pictures"](folders(saved)[0])
    fault = StoreFault(Effect.CUT, operation=Operation.GET, match=pack.name, times=None)
    with monkeypatch.context() as patch:
        break_place(patch, copy.location, fault)
        check_request([copy], read_data=True, clock=clock)
        work(clock)
    assert fault.hits
    copy.refresh_from_db()
    assert Job.unscoped.filter(kind=Job.Kind.CHECK).latest("created_at").state == JobState.DEGRADED
    assert (copy.state, copy.verified_at) == (CopyState.CURRENT, None)
