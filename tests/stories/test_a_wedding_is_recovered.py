"""From the tap on the phone to files that are proved to be the vault's, whatever happened to the copies meanwhile."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from backups.engine.errors import Cancelled
from backups.models import Job, Snapshot, Vault
from backups.services import recovering
from backups.services.recoveries import recovery_request
from backups.services.recovery_proof import PROOF_NAME, proof_holds
from backups.states import JobState
from tests.backups.ground import Ground, contents, make_member
from wedbackup.core.models import User


@pytest.fixture
def saved(ground: Ground) -> dict[str, Vault]:
    """A wedding with documents, guests and media, each backed up."""
    vaults = {name: ground.vault(name) for name in ("media", "documents", "guests")}
    for vault in vaults.values():
        assert ground.back_up(vault).state == JobState.COMPLETED
    return vaults


@pytest.fixture
def staff(ground: Ground) -> User:
    return User.objects.create_user("sam", role=User.Role.STAFF)


def recover(ground: Ground, staff: User, **wishes: object) -> Job:
    return ground.run(
        recovery_request(wedding=ground.wedding, organisation=ground.studio, user=staff, **wishes)  # type: ignore[arg-type]
    )


def recovered(job: Job, name: str) -> dict[str, bytes | str]:
    return contents(Path(job.result["target"]) / name)


def test_staff_recover_a_wedding_and_every_file_is_proved(ground: Ground, saved: dict[str, Vault], staff: User) -> None:
    job = recover(ground, staff, as_zip=True)

    assert job.state == JobState.COMPLETED, job.message
    assert "39 of 39 files recovered and equal" in job.message
    for name in saved:
        assert recovered(job, name) == contents(ground.source(name))
    assert 0 < job.result["priority_seconds"] <= job.result["seconds"]
    assert job.result["promised_seconds"] == 60
    proof = (Path(job.result["target"]) / PROOF_NAME).read_text()
    assert proof_holds(proof)
    assert not proof_holds(proof.replace("39 of 39", "40 of 40"))
    with zipfile.ZipFile(job.result["zip"]) as archive:
        assert archive.testzip() is None
        assert "media/part 1/picture 01.jpg" in archive.namelist()


def test_documents_and_guests_come_before_the_pictures(ground: Ground, saved: dict[str, Vault], staff: User) -> None:
    job = recover(ground, staff)
    assert list(job.result["snapshots"]) == ["documents", "guests", "media"]


def test_damaged_and_lost_copies_are_made_up_for_by_the_others(
    ground: Ground, saved: dict[str, Vault], staff: User
) -> None:
    ground.lose(0)
    packs = sorted((ground.repository(saved["media"], 1) / "data").rglob("*/*"))
    assert packs
    for pack in packs:
        pack.chmod(0o600)
        pack.write_bytes(bytes(len(pack.read_bytes())))

    job = recover(ground, staff)

    assert job.state == JobState.COMPLETED, job.message
    assert recovered(job, "media") == contents(ground.source("media"))
    assert f"{ground.locations[0].name} did not answer." in job.message


def test_with_all_copies_of_the_pictures_gone_the_documents_still_come_back(
    ground: Ground, saved: dict[str, Vault], staff: User
) -> None:
    for place in range(3):
        for pack in (ground.repository(saved["media"], place) / "data").rglob("*/*"):
            pack.unlink()

    job = recover(ground, staff)

    assert job.state == JobState.DEGRADED
    assert recovered(job, "documents") == contents(ground.source("documents"))
    assert any("media" in path for path, _ in job.result["misses"])


def test_nothing_is_overwritten(ground: Ground, saved: dict[str, Vault], staff: User, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(ValidationError, match="in use already"):
        recover(ground, staff, target=str(tmp_path / "full"))

    (tmp_path / "empty").mkdir()
    job = recovery_request(
        wedding=ground.wedding, organisation=ground.studio, user=staff, target=str(tmp_path / "empty")
    )
    (tmp_path / "empty" / "mine.txt").write_text("mine")  # it fills up before the worker gets there
    ground.run(job)
    assert job.state == JobState.FAILED
    assert (tmp_path / "empty" / "mine.txt").read_text() == "mine"


def test_an_interrupted_recovery_goes_on_in_its_own_folder(
    ground: Ground, saved: dict[str, Vault], staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = recovery_request(wedding=ground.wedding, organisation=ground.studio, user=staff)
    real, calls = recovering.restore, []

    def killed_at_the_second_vault(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == 2:
            raise Cancelled("the process is killed")
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(recovering, "restore", killed_at_the_second_vault)
    ground.run(job)
    assert job.state == JobState.CANCELLED
    assert len(calls) == 2
    Job.unscoped.filter(pk=job.pk).update(state=JobState.QUEUED)
    left_over = Path(ground.root / "home" / "recoveries" / str(job.pk) / "documents" / ".wedbackup-restore-0a")
    left_over.mkdir()
    job.refresh_from_db()

    ground.run(job)

    assert job.state == JobState.COMPLETED, job.message
    assert not left_over.exists()
    for name in saved:
        assert recovered(job, name) == contents(ground.source(name))


def test_an_emptied_source_does_not_replace_what_is_recovered(
    ground: Ground, saved: dict[str, Vault], staff: User
) -> None:
    before = contents(ground.source("documents"))
    for file in ground.source("documents").rglob("*.jpg"):
        file.unlink()
    job = ground.back_up(saved["documents"])
    assert job.state == JobState.DEGRADED
    assert "documents: 1 of 13 files are there" in job.message
    assert Snapshot.unscoped.filter(vault=saved["documents"]).count() == 2

    job = recover(ground, staff)

    assert recovered(job, "documents") == before
    assert any("looks wrong: documents: 1 of 13" in note for note in job.result["notes"])


def test_a_second_tap_is_the_same_recovery(ground: Ground, saved: dict[str, Vault], staff: User) -> None:
    wish: dict[str, Any] = {"wedding": ground.wedding, "organisation": ground.studio, "user": staff}
    assert recovery_request(**wish) == recovery_request(**wish)
    assert recovery_request(**wish, as_zip=True) != recovery_request(**wish)


def test_a_vendor_may_not_start_a_recovery(ground: Ground, saved: dict[str, Vault]) -> None:
    with pytest.raises(PermissionDenied):
        recovery_request(wedding=ground.wedding, organisation=ground.studio, user=make_member(ground.studio, "alice"))
    assert not Job.unscoped.filter(kind=Job.Kind.RECOVERY).exists()
