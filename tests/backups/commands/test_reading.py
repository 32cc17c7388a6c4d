"""`snapshots`, `restore`, `check`, `watch`: what is there, and whether it comes back."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from backups.models import Snapshot, Vault
from backups.services.backups import backup_request
from tests.backups.ground import Ground, contents


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def saved(ground: Ground) -> Vault:
    vault = ground.vault()
    ground.back_up(vault)
    return vault


def test_snapshots_are_listed_with_how_safe_they_are(ground: Ground, saved: Vault) -> None:
    snapshot = Snapshot.unscoped.get()
    printed = run("snapshots")
    assert snapshot.restic_id[:8] in printed
    assert "13 files" in printed
    assert "in 3 places, safe" in printed
    Snapshot.unscoped.update(acknowledged_at=None)
    assert "not safe yet" in run("snapshots", "Ada")


def test_without_vaults_and_snapshots_the_list_says_so(ground: Ground) -> None:
    assert "There is no vault yet." in run("snapshots")
    ground.vault()
    assert "(no snapshot yet)" in run("snapshots")


def test_the_latest_snapshot_is_restored_and_read_back(ground: Ground, saved: Vault, tmp_path: Path) -> None:
    target = tmp_path / "back"
    printed = run("restore", "latest", str(target), "--vault", str(saved.pk))
    assert "13 of 13 files equal" in printed
    assert contents(target / str(ground.source()).lstrip("/")) == contents(ground.source())


def test_a_part_is_restored_by_its_path(ground: Ground, saved: Vault, tmp_path: Path) -> None:
    wanted = ground.source() / "part 1"
    snapshot = Snapshot.unscoped.get().restic_id[:8]
    run("restore", snapshot, str(tmp_path / "back"), "--include", str(wanted))
    assert contents(tmp_path / "back" / str(wanted).lstrip("/")) == contents(wanted)
    assert not (tmp_path / "back" / str(ground.source() / "part 2").lstrip("/")).exists()


def test_a_restore_overwrites_nothing(ground: Ground, saved: Vault, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    with pytest.raises(CommandError, match="Nothing is overwritten"):
        run("restore", "latest", str(tmp_path / "mine"), "--vault", str(saved.pk))


@pytest.mark.parametrize(
    ("arguments", "said"), [(["latest"], "of which vault"), (["ffffffff"], "There is no snapshot 'ffffffff'")]
)
def test_an_unknown_snapshot_is_explained(
    ground: Ground, saved: Vault, tmp_path: Path, arguments: list[str], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        run("restore", *arguments, str(tmp_path / "back"))


def test_what_no_copy_gives_is_listed_and_the_command_fails(ground: Ground, saved: Vault, tmp_path: Path) -> None:
    for place in range(3):
        packs = (ground.repository(saved, place) / "data").rglob("*/*")
        max(packs, key=lambda pack: pack.stat().st_size).unlink()
    with pytest.raises(CommandError, match="files could not be restored"):
        run("restore", "latest", str(tmp_path / "back"), "--vault", str(saved.pk))


def test_every_copy_is_checked_in_full(ground: Ground, saved: Vault) -> None:
    printed = run("check", "--read-data")
    assert printed.count("is whole (1 snapshot") == 3
    assert "All 3 copies are whole." in printed


def test_a_copy_that_is_not_whole_fails_the_check(ground: Ground, saved: Vault) -> None:
    for place in range(3):
        for pack in (ground.repository(saved, place) / "data").glob("*/*"):
            pack.unlink()
    with pytest.raises(CommandError, match="are not proved to be whole"):
        run("check", str(saved.pk))


def test_djangos_own_check_is_still_there() -> None:
    assert "no issues" in run("check", "backups")


def test_watch_ends_when_nothing_is_under_way(ground: Ground) -> None:
    assert "Nothing is waiting or running." in run("watch")
    vault = ground.vault()
    (job,) = backup_request(vault=vault, reason="test")
    ground.run(job)
    assert "Nothing is waiting or running." in run("watch")
