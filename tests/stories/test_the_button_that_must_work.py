"""Emergency recovery when not everything is as it should be: it starts, it brings all there is, and it says so."""

from __future__ import annotations

import os
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from backups.engine.format import BlobType, FileKind, file_name
from backups.engine.restore.browse import locate
from backups.engine.restore.run import restore
from backups.models import Copy, Job, Organisation, Snapshot, Vault
from backups.services import recovering
from backups.services.jobs import job_cancel, job_retry
from backups.services.recoveries import recovery_request
from backups.services.recovery_choice import recovery_choice
from backups.services.recovery_proof import PROOF_NAME, proof_holds
from backups.services.recovery_reader import open_for_recovery
from backups.services.recovery_result import RecoveryFacts
from backups.services.vaults import source_add, vault_create
from backups.states import CopyState, JobState
from tests.backups.engine.restore.stick import Stick
from tests.backups.ground import Ground, contents, fill
from wedbackup.core.clock import SYSTEM_CLOCK
from wedbackup.core.models import User

FILES = 13  # of each vault


@pytest.fixture
def staff(ground: Ground) -> User:
    return User.objects.create_user("sam", role=User.Role.STAFF)


@pytest.fixture
def saved(ground: Ground) -> dict[str, Vault]:
    """Documents and media, each backed up."""
    vaults = {name: ground.vault(name) for name in ("documents", "media")}
    for vault in vaults.values():
        ground.back_up(vault)
    return vaults


def ask(ground: Ground, staff: User, **wishes: Any) -> Job:
    return recovery_request(wedding=ground.wedding, user=staff, **wishes)


def recover(ground: Ground, staff: User, **wishes: Any) -> Job:
    return ground.run(ask(ground, staff, **wishes))


def recovered(job: Job, name: str) -> dict[str, bytes | str]:
    return contents(Path(job.result["target"]) / name)


def damage_tree(ground: Ground, snapshot: Snapshot, folder: bytes = b"") -> None:
    """Invert a byte of the list of a source's folder at every copy."""
    base = str(ground.source(snapshot.vault.protection_class)).strip("/").encode()
    with open_for_recovery(snapshot) as (reader, stored):
        tree = locate(reader, stored.tree, b"/".join(filter(None, [base, folder]))).subtree
        assert tree is not None
        entry = reader.index.get(BlobType.TREE, tree)
    for place in range(3):
        pack = ground.repository(snapshot.vault, place) / file_name(FileKind.DATA, entry.pack_id)
        pack.chmod(0o600)
        content = bytearray(pack.read_bytes())
        content[entry.offset + 20] ^= 0xFF
        pack.write_bytes(content)


def test_what_lies_on_one_disk_comes_back_and_what_is_not_proved_is_said(ground: Ground, staff: User) -> None:
    """wedbackup 0.1: in the demo of `bin/run` nothing was ever acknowledged, and there was no Start button."""
    ground.share_a_disk()
    vault = ground.vault("documents")
    ground.back_up(vault)
    assert recovery_choice(vault).remark == "It is in 3 places on one disk."
    job = recover(ground, staff)
    assert job.state == JobState.COMPLETED
    assert recovered(job, "documents") == contents(ground.source("documents"))
    assert "It is in 3 places on one disk." in job.message


def test_every_business_of_the_wedding_comes_back_unless_one_is_chosen(
    ground: Ground, saved: dict[str, Vault], staff: User
) -> None:
    """wedbackup 0.1: the alphabetically first business came back, 18 of 346 files, and that was called a success."""
    bakers = Organisation.unscoped.create(name="A: Cakes/Ltd", created_at=SYSTEM_CLOCK.utcnow())
    vault = vault_create(
        organisation=bakers, wedding=ground.wedding, protection_class="documents", policy=ground.policy,
        locations=ground.locations,
    )  # fmt: skip
    source = ground.root / "source" / "cakes"
    fill(source, 2)
    source_add(vault, str(source))
    ground.back_up(vault)

    job = recover(ground, staff)
    assert job.state == JobState.COMPLETED, job.message
    assert f"{2 * FILES + 3} of {2 * FILES + 3} files recovered and equal" in job.message
    assert recovered(job, "A_ Cakes_Ltd/documents") == contents(source)
    assert recovered(job, "Alice Pictures/media") == contents(ground.source("media"))
    assert list(job.result["snapshots"])[-1] == "Alice Pictures/media", "all documents come before all photos"

    only = recover(ground, staff, organisation=bakers)
    assert only.organisation == bakers
    assert recovered(only, "documents") == contents(source)


def test_taps_at_the_same_moment_start_one_recovery(ground: Ground, saved: dict[str, Vault], staff: User) -> None:
    """Two people on call tap at once, and one of them taps twice."""
    together, jobs = threading.Barrier(4), list[Job]()

    def tap() -> None:
        together.wait(20)
        jobs.append(ask(ground, staff))
        connection.close()

    threads = [threading.Thread(target=tap) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(jobs) == 4 and len({job.pk for job in jobs}) == 1
    assert Job.unscoped.filter(kind=Job.Kind.RECOVERY).count() == 1


def test_a_cancelled_recovery_says_what_is_back_and_goes_on_from_there(
    ground: Ground, saved: dict[str, Vault], staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """wedbackup 0.1: "It ended before anything was back", with 59 of 318 files and all documents on the disk."""
    job = ask(ground, staff)
    calls = []

    def stopped_at_the_photos(*args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            job_cancel(job, actor=staff)
            options["cancel"].cancel()
        return restore(*args, **options)

    monkeypatch.setattr(recovering, "restore", stopped_at_the_photos)
    ground.run(job)
    assert job.state == JobState.CANCELLED and len(calls) == 2
    assert f"{FILES} of {2 * FILES} files are back and proved" in job.message
    assert "All documents are among them. It can go on from there." in job.message
    facts = RecoveryFacts.of(job)
    assert facts.target in job.message and facts.first.is_whole and facts.first.is_done and not facts.is_whole

    job_retry(job, actor=staff)
    ground.run(job)
    assert job.state == JobState.COMPLETED, job.message
    after = RecoveryFacts.of(job)
    assert after.target == facts.target and after.is_whole and after.equal == 2 * FILES
    assert after.first.seconds == facts.first.seconds, "they were back at the first attempt"


def test_the_documents_are_told_as_back_while_the_photos_are_on_their_way(
    ground: Ground, saved: dict[str, Vault], staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """wedbackup 0.1: they were back after 0.6 s, and the page said so when the last photo was."""
    job = ask(ground, staff)
    seen = []

    def look(*args: Any, **options: Any) -> Any:
        seen.append(RecoveryFacts.of(Job.unscoped.get(pk=job.pk)))
        return restore(*args, **options)

    monkeypatch.setattr(recovering, "restore", look)
    ground.run(job)
    before, then = seen
    assert not before.first.is_done and before.expected == 2 * FILES
    assert then.first.is_done and then.promise_kept and then.first.equal == FILES
    assert then.target and then.seconds is None


def test_an_unreadable_folder_is_missing_with_all_its_files_and_no_promise_is_kept(
    ground: Ground, saved: dict[str, Vault], staff: User
) -> None:
    """wedbackup 0.1: "290 of 304 files equal" of 328, and "promise kept" without the folder of contracts."""
    newest = Snapshot.unscoped.get(vault=saved["documents"])
    damage_tree(ground, newest, b"part 1")
    job = recover(ground, staff)
    facts = RecoveryFacts.of(job)
    assert job.state == JobState.DEGRADED
    assert (facts.expected, facts.equal) == (2 * FILES, 2 * FILES - 4)
    assert facts.first.seconds is not None and not facts.promise_kept
    assert f"4 of {FILES} documents are missing" in job.message
    assert any(path.endswith("part 1") for path, _ in facts.misses)


def test_when_the_newest_state_cannot_be_read_an_older_one_comes_back_and_that_is_said(
    ground: Ground, saved: dict[str, Vault], staff: User
) -> None:
    before = contents(ground.source("documents"))
    (ground.source("documents") / "later.txt").write_text("signed")
    ground.back_up(saved["documents"])
    newest = Snapshot.unscoped.filter(vault=saved["documents"]).first()
    assert newest is not None
    damage_tree(ground, newest)
    job = recover(ground, staff)
    assert job.state == JobState.COMPLETED, job.message
    assert recovered(job, "documents") == before
    assert "cannot be read" in job.message and "an older one was taken" in job.message


def test_a_state_that_staff_choose_comes_back_and_no_other_in_its_stead(
    ground: Ground, saved: dict[str, Vault], staff: User
) -> None:
    vault = saved["documents"]
    before = contents(ground.source("documents"))
    first = Snapshot.unscoped.get(vault=vault)
    (ground.source("documents") / "later.txt").write_text("signed")
    ground.back_up(vault)
    job = recover(ground, staff, picked={vault: first})
    assert recovered(job, "documents") == before
    assert recovered(job, "media") == contents(ground.source("media"))
    damage_tree(ground, first)
    job = recover(ground, staff, picked={vault: first})
    assert job.state == JobState.DEGRADED
    assert recovered(job, "documents") == {}


def test_the_newest_state_known_to_be_whole_is_offered_before_one_known_to_be_damaged(
    ground: Ground, saved: dict[str, Vault]
) -> None:
    vault = saved["documents"]
    older = Snapshot.unscoped.get(vault=vault)
    ground.back_up(vault)
    newest = Snapshot.unscoped.filter(vault=vault).first()
    assert newest is not None and recovery_choice(vault).snapshot == newest
    newest.confirmations.exclude(copy__location=ground.locations[0]).delete()
    Copy.unscoped.filter(vault=vault, location=ground.locations[0]).update(state=CopyState.DAMAGED)
    assert recovery_choice(vault).snapshot == older
    Copy.unscoped.filter(vault=vault).update(state=CopyState.DAMAGED)
    choice = recovery_choice(vault)
    assert choice.snapshot == newest and "Damage is known at Folder 1" in choice.remark


def test_copies_in_an_archive_class_are_said_to_need_thawing(ground: Ground, saved: dict[str, Vault]) -> None:
    """wedbackup 0.1: "Nothing could be recovered: tree blob ... is readable in no copy"."""
    vault = saved["documents"]
    for location in ground.locations[:2]:
        location.options |= {"storage_class": "DEEP_ARCHIVE"}
        location.save()
    assert recovery_choice(vault).remark == "", "the third one answers at once"
    ground.locations[2].options |= {"storage_class": "GLACIER"}
    ground.locations[2].save()
    assert "it must be thawed first" in recovery_choice(vault).remark


def test_the_figures_of_a_finished_recovery_agree_also_with_two_sources_and_a_second_attempt(
    ground: Ground, saved: dict[str, Vault], staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """wedbackup 0.1: "Files 30 of 328" beside "328 of 328 equal", "Took 8 s" beside "Everything took 33 s"."""
    second = ground.root / "source" / "second"
    fill(second, 5)
    source_add(saved["media"], str(second))
    ground.back_up(saved["media"])
    calls = []

    def killed_late(*args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return restore(*args, **options)

    monkeypatch.setattr(recovering, "restore", killed_late)
    job = ask(ground, staff, as_zip=True)
    with pytest.raises(KeyboardInterrupt):
        ground.run(job)
    ground.run(job)
    assert job.state == JobState.COMPLETED and len(calls) == 6
    total = 2 * FILES + 6
    assert (job.result["equal"], job.result["expected"]) == (total, total)
    progress = job.progress
    assert (progress["files_done"], progress["files_total"]) == (total, total)
    assert progress["bytes_done"] == progress["bytes_total"] == job.result["bytes"]


def test_a_recovery_onto_a_stick_brings_all_files_and_the_proof_lists_their_new_names(
    ground: Ground, staff: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """npbackup #1373: a folder that a stick refuses, and "Nothing could be recovered", 0 of 9 files."""
    folder = ground.source("documents") / "14:30 timeline"
    folder.mkdir(parents=True)
    (folder / "vows?.txt").write_text("I do")
    ground.back_up(ground.vault("documents"))
    stick = Stick(str(tmp_path / "stick"))
    monkeypatch.setattr("backups.engine.restore.target.os", stick)
    monkeypatch.setattr("backups.engine.restore.disk.os", stick)
    job = recover(ground, staff, target=str(tmp_path / "stick"))
    assert stick.hits and job.state == JobState.COMPLETED, job.message
    assert f"{FILES + 1} of {FILES + 1} files recovered and equal" in job.message
    assert "2 names in documents were made readable" in job.message
    assert (tmp_path / "stick" / "documents" / "14_30 timeline" / "vows_.txt").read_text() == "I do"
    proof = (tmp_path / "stick" / PROOF_NAME).read_text()
    assert proof_holds(proof)
    assert "vows_.txt" in proof and "knows no symbolic links" in proof


def test_trouble_at_each_copy_is_at_hand_when_a_recovery_ends(
    ground: Ground, saved: dict[str, Vault], staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was met is evidence about those copies, not only a remark on this recovery."""
    seen = list[recovering.Recovered]()
    real = recovering.RecoveryRun.run

    def noted(self: Any, vaults: Any) -> Any:
        seen.append(real(self, vaults))
        return seen[-1]

    monkeypatch.setattr(recovering.RecoveryRun, "run", noted)
    for pack in (ground.repository(saved["media"], 0) / "data").rglob("*/*"):
        pack.unlink()
    assert recover(ground, staff).state == JobState.COMPLETED
    assert {problem.label for problem in seen[0].problems[saved["media"]]} == {ground.locations[0].name}


def test_two_businesses_whose_names_a_disk_cannot_tell_apart_both_come_back(ground: Ground, staff: User) -> None:
    """Here, by hand: two got one folder; one photo replaced the other, "2 of 2 equal"."""
    for place, name in enumerate(("Bow/Tie", "Bow:Tie", "BOW TIE", "Bow Tie")):
        business = Organisation.unscoped.create(name=name, created_at=SYSTEM_CLOCK.utcnow())
        vault = vault_create(
            organisation=business,
            wedding=ground.wedding,
            protection_class="media",
            policy=ground.policy,
            locations=ground.locations,
        )
        folder = ground.root / "businesses" / str(place)
        folder.mkdir(parents=True)
        (folder / "same.jpg").write_text(name)
        source_add(vault, str(folder))
        ground.back_up(vault)
    job = recover(ground, staff)
    found = [*Path(job.result["target"]).rglob("same.jpg")]
    assert sorted(file.read_text() for file in found) == ["BOW TIE", "Bow Tie", "Bow/Tie", "Bow:Tie"]
    folders = {file.relative_to(job.result["target"]).parts[0].casefold() for file in found}
    assert len(folders) == 4, "exFAT would fold two of them into one"


def test_a_zip_holds_names_that_are_not_utf8_and_files_named_like_our_marker(ground: Ground, staff: User) -> None:
    """Here, by hand: the whole recovery failed with UnicodeEncodeError."""
    vault = ground.vault()
    for name in (b"caf\xe9.jpg", b"caf\xe8.jpg", b".wedbackup-recovery"):
        Path(os.fsdecode(os.fsencode(ground.source()) + b"/" + name)).write_bytes(name)
    ground.back_up(vault)
    job = recover(ground, staff, as_zip=True)
    assert job.state == JobState.COMPLETED, job.message
    with zipfile.ZipFile(job.result["zip"]) as archive:
        names = archive.namelist()
        assert len(names) == len(set(names))
        held = {archive.read(name) for name in names}
    assert {b"caf\xe9.jpg", b"caf\xe8.jpg", b".wedbackup-recovery"} <= held


def test_a_chosen_state_that_is_gone_by_the_start_is_not_replaced_in_silence(ground: Ground, staff: User) -> None:
    """Here, by hand: another state came back, "completed", without a word."""
    vault = ground.vault()
    ground.back_up(vault)
    chosen = Snapshot.unscoped.get(vault=vault)
    (ground.source() / "new").write_text("new")
    ground.back_up(vault)
    job = ask(ground, staff, picked={vault: chosen})
    chosen.delete()
    assert "the state that was chosen is gone" in ground.run(job).message
