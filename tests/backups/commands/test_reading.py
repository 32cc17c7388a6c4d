"""`snapshots`, `restore`, `check`, `watch`: what is there, and whether it comes back."""

from __future__ import annotations

import errno
import io
import os
import re
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from backups.engine.restore.target import Target
from backups.models import Snapshot, Vault
from backups.services.backups import backup_request
from tests.backups.engine.restore.stick import Stick
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


def test_a_path_that_is_not_there_fails_with_the_nearest_names(ground: Ground, saved: Vault, tmp_path: Path) -> None:
    """restic #374, #202, #3166: "0 of 0 files equal" and success."""
    out = tmp_path / "back"
    for wrong, meant in (
        (str(ground.source() / "part 11"), "part 1"),
        ("part 1/picture 01.jpg", str(ground.source() / "part 1/picture 01.jpg").lstrip("/")),
    ):
        with pytest.raises(CommandError, match=f"near to it are .*{meant}'"):
            run("restore", "latest", str(out), "--vault", str(saved.pk), "--include", wrong)
        assert not out.exists(), "and the right command can be given at once"


def test_an_interrupted_restore_goes_on_when_told_to_and_only_where_it_was_begun(
    ground: Ground, saved: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rustic #518: after kill -9 or a full disk the same command said "is in use already"."""
    target, command = tmp_path / "back", ("restore", "latest", str(tmp_path / "back"), "--vault", str(saved.pk))
    real, made = Target.publish, list[bytes]()

    def full(self: Target, number: int, folder: int, name: bytes, *, replace: bool) -> None:
        if len(made) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        made.append(name)
        real(self, number, folder, name, replace=replace)

    monkeypatch.setattr(Target, "publish", full)
    with pytest.raises(CommandError, match=r"is full: 5 of 13 .*--resume goes on"):
        run(*command)
    monkeypatch.setattr(Target, "publish", real)
    with pytest.raises(CommandError, match=r"was begun there\. The same command with --resume"):
        run(*command)
    printed = run(*command, "--resume")
    assert "5 files were there already" in printed and "13 of 13 files equal" in printed
    assert contents(target / str(ground.source()).lstrip("/")) == contents(ground.source())
    assert os.listdir(target) == [str(ground.source()).split("/")[1]], "nothing of ours is left"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").write_text("mine")
    with pytest.raises(CommandError, match="No restore of this snapshot was begun"):
        run("restore", "latest", str(tmp_path / "other"), "--vault", str(saved.pk), "--resume")


def test_what_could_not_be_set_and_what_was_renamed_is_printed(
    ground: Ground, saved: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Restored without owner, set-id bit or attributes: it was collected and never said."""
    (ground.source() / "14:30 vows.txt").write_text("I do")
    ground.back_up(saved)
    stick = Stick(str(tmp_path / "stick"))
    monkeypatch.setattr("backups.engine.restore.target.os", stick)
    monkeypatch.setattr("backups.engine.restore.disk.os", stick)
    printed = run("restore", "latest", str(tmp_path / "stick"), "--vault", str(saved.pk))
    assert stick.hits
    assert re.search(r"14:30 vows.txt\W+ made as \W*14_30 vows.txt", printed)
    assert re.search(r"and \d+ more: mode not set \(Operation not permitted\)", printed)
    assert "knows no symbolic links" in printed


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
