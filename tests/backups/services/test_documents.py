"""Clients find the documents of their wedding as plain files, and only those that are safe."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from backups.models import DocumentFolder, Job, Vault
from backups.services import documents
from backups.services.documents import document_folder_add, documents_enqueue_due, documents_request
from backups.states import JobState
from providers.models import Location
from providers.services.locations import location_create
from providers.stores.errors import StoreUnavailable
from providers.wrappers.base import Operation
from providers.wrappers.faulty import Effect, FaultyStore, StoreFault
from tests.backups.ground import Ground
from wedbackup.core.clock import SYSTEM_CLOCK
from wedbackup.core.models import AuditEntry, User


@pytest.fixture
def alice(transactional_db: None) -> User:
    return User.objects.create_user("alice", role=User.Role.ADMIN)


@pytest.fixture
def shelf(ground: Ground) -> Location:
    """A folder that Carbonite protects: a location for documents."""
    location = location_create(
        name="Shelf", kind="carbonite", options={"root": str(ground.root / "Shelf")}, actor="alice"
    )
    Location.objects.filter(pk=location.pk).update(validated_at=SYSTEM_CLOCK.utcnow())
    location.refresh_from_db()
    return location


@pytest.fixture
def vault(ground: Ground) -> Vault:
    """The documents of the wedding, backed up once."""
    vault = ground.vault("documents")
    papers = ground.source("documents")
    (papers / "Contract: signed?.pdf").write_bytes(b"%PDF contract")
    (papers / ".notes.txt").write_bytes(b"hidden")
    (papers / "zeitplan für den Tag.txt").write_bytes(b"13:00")
    ground.back_up(vault)
    return vault


def shown(location: Location, folder: DocumentFolder) -> dict[str, bytes]:
    """What a client sees in the folder."""
    root = Path(location.options["root"]) / folder.name
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def filled(ground: Ground, vault: Vault, shelf: Location, alice: User) -> DocumentFolder:
    folder = document_folder_add(vault, shelf, actor=alice)
    job = ground.run(Job.unscoped.get(kind="documents"))
    assert job.state == JobState.COMPLETED, job.message
    folder.refresh_from_db()
    return folder


def test_the_documents_arrive_under_names_that_every_computer_shows(
    ground: Ground, vault: Vault, shelf: Location, alice: User
) -> None:
    folder = filled(ground, vault, shelf, alice)
    found = shown(shelf, folder)
    assert folder.name.startswith("Alice Pictures/20")
    assert folder.name.endswith(" Ada & Grace")
    assert found["Contract_ signed_.pdf"] == b"%PDF contract"
    assert found["_notes.txt"] == b"hidden"
    assert found["zeitplan für den Tag.txt"] == b"13:00"
    assert found["part 1/picture 01.jpg"] == (ground.source("documents") / "part 1" / "picture 01.jpg").read_bytes()
    assert set(folder.manifest) == set(found)
    assert AuditEntry.objects.filter(tag="documents.shared").count() == 1


def test_only_what_changed_is_sent_again(ground: Ground, vault: Vault, shelf: Location, alice: User) -> None:
    folder = filled(ground, vault, shelf, alice)
    (ground.source("documents") / "zeitplan für den Tag.txt").write_bytes(b"14:00")
    (ground.source("documents") / ".notes.txt").unlink()
    ground.back_up(vault)
    Job.unscoped.filter(kind="documents").update(created_at=SYSTEM_CLOCK.utcnow() - documents.AGAIN_AFTER * 2)
    (job,) = documents_enqueue_due()
    ground.run(job)
    assert job.result["sent"] == 1
    assert "1 document left the wedding and stayed" in job.message
    assert shown(shelf, folder)["zeitplan für den Tag.txt"] == b"14:00"
    assert shown(shelf, folder)["_notes.txt"] == b"hidden", "nothing a client may look at is deleted"
    assert documents_enqueue_due() == [], "the folder is up to date"


def test_a_document_that_vanished_from_the_folder_is_put_there_again(
    ground: Ground, vault: Vault, shelf: Location, alice: User
) -> None:
    folder = filled(ground, vault, shelf, alice)
    (Path(shelf.options["root"]) / folder.name / "Contract_ signed_.pdf").unlink()
    job = ground.run(documents_request(folder))
    assert job.result["sent"] == 1
    assert "Contract_ signed_.pdf" in shown(shelf, folder)


def test_what_is_not_acknowledged_is_shown_to_nobody(ground: Ground, shelf: Location, alice: User) -> None:
    ground.share_a_disk()
    vault = ground.vault("documents")
    ground.back_up(vault)
    vault.snapshots.update(acknowledged_at=None)
    folder = document_folder_add(vault, shelf, actor=alice)
    job = ground.run(Job.unscoped.get(kind="documents"))
    assert "No snapshot of the documents is acknowledged yet" in job.message
    assert shown(shelf, folder) == {}


def test_a_location_that_fails_in_the_middle_is_tried_again_and_loses_nothing(
    ground: Ground, vault: Vault, shelf: Location, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = StoreFault(Effect.CUT, operation=Operation.PUT, skip=3)
    real = documents.location_open
    monkeypatch.setattr(documents, "location_open", lambda *args, **more: FaultyStore(real(*args, **more), [fault]))
    folder = document_folder_add(vault, shelf, actor=alice)
    job = ground.run(Job.unscoped.get(kind="documents"))
    folder.refresh_from_db()
    assert fault.hits == 1
    assert (job.state, folder.filled_at) == (JobState.QUEUED, None)
    assert StoreUnavailable.advice in folder.last_error
    Job.unscoped.filter(pk=job.pk).update(run_after=SYSTEM_CLOCK.utcnow())
    assert ground.run(job).state == JobState.COMPLETED
    folder.refresh_from_db()
    assert folder.last_error == ""
    assert len(shown(shelf, folder)) == len(folder.manifest)


def test_what_is_too_large_for_a_document_is_named(
    ground: Ground, vault: Vault, shelf: Location, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "DOCUMENT_BYTES_MAX", 1000)
    folder = document_folder_add(vault, shelf, actor=alice)
    job = ground.run(Job.unscoped.get(kind="documents"))
    folder.refresh_from_db()
    assert job.state == JobState.DEGRADED
    assert {path for path, _ in folder.left_out} == {f"part {n % 3}/picture {n:02}.jpg" for n in range(12)}


def test_guest_data_and_photos_are_never_put_into_readable_folders(
    ground: Ground, shelf: Location, alice: User
) -> None:
    for protection_class in ("guests", "media"):
        with pytest.raises(ValidationError, match="stay encrypted"):
            document_folder_add(ground.vault(protection_class), shelf, actor=alice)


def test_a_location_for_vaults_or_without_validation_takes_no_documents(
    ground: Ground, vault: Vault, shelf: Location, alice: User
) -> None:
    with pytest.raises(ValidationError, match="holds vaults"):
        document_folder_add(vault, ground.locations[0], actor=alice)
    Location.objects.filter(pk=shelf.pk).update(validated_at=None)
    shelf.refresh_from_db()
    with pytest.raises(ValidationError, match="not validated"):
        document_folder_add(vault, shelf, actor=alice)


def test_one_folder_per_vault_and_location(ground: Ground, vault: Vault, shelf: Location, alice: User) -> None:
    filled(ground, vault, shelf, alice)
    with pytest.raises(ValidationError):
        document_folder_add(vault, shelf, actor=alice)
    assert DocumentFolder.unscoped.count() == 1
