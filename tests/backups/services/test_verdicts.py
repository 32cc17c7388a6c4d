"""Green is said only of what is acknowledged, fresh, unsuspicious and stored far apart; only to whom it concerns."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backups.models import Copy, Organisation, Snapshot, Vault, Wedding
from backups.policy.verdict import Cause
from backups.services.vaults import vault_trust
from backups.services.verdicts import (
    ATTENTION,
    DANGER,
    EMPTY,
    SAFE,
    overview_verdict,
    vault_verdict,
    wedding_verdict,
    wedding_verdicts,
)
from backups.services.weddings import wedding_create
from backups.states import CopyState, JobState
from backups.views.reads import TOLD_VENDORS, told_to, vault_views
from providers.models import Location
from tests.backups.ground import Ground, make_member
from wedbackup.core.audit import AuditTag
from wedbackup.core.clock import SYSTEM_CLOCK
from wedbackup.core.models import AuditEntry, User


@pytest.fixture
def staff(ground: Ground) -> User:
    return User.objects.create_user("sam", role=User.Role.STAFF)


@pytest.fixture
def far_apart(ground: Ground) -> None:
    """Let the three folders be on three machines."""
    for place, location in enumerate(ground.locations):
        Location.objects.filter(pk=location.pk).update(account=f"machine {place}", medium=f"disk {place}")


@pytest.fixture
def saved(ground: Ground) -> Vault:
    vault = ground.vault()
    ground.back_up(vault)
    return vault


def test_a_backed_up_wedding_in_three_places_apart_is_safe(
    ground: Ground, far_apart: None, saved: Vault, staff: User
) -> None:
    verdict = wedding_verdict(ground.wedding, staff)
    assert verdict.is_safe, verdict
    assert overview_verdict(staff).sentence == "The wedding is safe."
    assert overview_verdict(staff, alerts=2).sentence == "The wedding is safe. 2 alerts need you."
    assert overview_verdict(staff, alerts=2).level == ATTENTION


def test_three_folders_on_one_disk_need_attention_and_it_is_said_why(ground: Ground, staff: User) -> None:
    ground.share_a_disk()
    ground.back_up(ground.vault())
    verdict = wedding_verdict(ground.wedding, staff)
    assert verdict.level == ATTENTION
    assert "All 3 places are on one disk" in verdict.sentence
    assert not Snapshot.unscoped.filter(acknowledged_at__isnull=False).exists()


def test_nothing_backed_up_yet_is_empty_not_safe(ground: Ground, staff: User) -> None:
    assert wedding_verdict(ground.wedding, staff).level == EMPTY
    ground.vault()
    assert wedding_verdict(ground.wedding, staff).level == EMPTY


def test_one_vault_without_a_backup_spoils_the_wedding(
    ground: Ground, far_apart: None, saved: Vault, staff: User
) -> None:
    ground.vault("guests")
    verdict = wedding_verdict(ground.wedding, staff)
    assert verdict.level == ATTENTION
    assert "Guest data: not backed up yet." in verdict.reasons


def test_an_old_backup_of_a_wedding_this_week_is_not_fresh(far_apart: None, saved: Vault) -> None:
    Snapshot.unscoped.update(taken_at=SYSTEM_CLOCK.utcnow() - timedelta(minutes=20))
    assert "the newest backup is from 20 min ago" in vault_verdict(saved).sentence


def test_a_newer_snapshot_that_is_not_acknowledged_needs_attention(
    far_apart: None, saved: Vault, ground: Ground
) -> None:
    ground.lose(0)
    ground.back_up(saved)
    verdict = vault_verdict(saved)
    assert verdict.level == ATTENTION
    assert any("has not reached enough places yet" in reason for reason in verdict.reasons)
    assert any("Folder 1 is not answering" in reason for reason in verdict.reasons)


def test_with_three_of_four_places_away_nobody_reads_that_it_is_safe(
    ground: Ground, far_apart: None, saved: Vault, staff: User
) -> None:
    """Admin and vendor read "Safe: every copy is confirmed and fresh" until some backup failed there."""
    vendor = make_member(ground.studio, "vera")
    for location in ground.locations[1:]:
        Location.objects.filter(pk=location.pk).update(breaker="open", last_answer_at=SYSTEM_CLOCK.utcnow())
    told = wedding_verdict(ground.wedding, staff)
    assert told.level == ATTENTION
    assert "1 place has all of it and can give it back now; 3 are needed" in told.sentence
    assert any("Folder 2 cannot be reached: it does not answer since" in reason for reason in told.reasons)
    for_vera = told_to(vendor, wedding_verdict(ground.wedding, vendor))
    assert for_vera.sentence == TOLD_VENDORS[Cause.NOT_SAFE_YET] and for_vera.reasons == ()
    Location.objects.update(breaker="closed")
    assert wedding_verdict(ground.wedding, staff).level == SAFE, "and back again when they answer"


def test_a_vendor_is_not_told_of_old_files_when_all_copies_are_on_one_disk(ground: Ground) -> None:
    ground.share_a_disk()
    ground.back_up(ground.vault())
    vendor = make_member(ground.studio, "vera")
    assert told_to(vendor, wedding_verdict(ground.wedding, vendor)).sentence == TOLD_VENDORS[Cause.TOO_CLOSE]


def test_a_copy_under_another_law_is_told(ground: Ground, far_apart: None, saved: Vault, staff: User) -> None:
    Wedding.unscoped.update(jurisdiction="EU")
    Location.objects.filter(pk=ground.locations[0].pk).update(jurisdiction="US")
    verdict = wedding_verdict(Wedding.unscoped.get(), staff)
    assert verdict.level == ATTENTION and "under the law of US" in verdict.sentence


def test_three_copies_in_an_archive_class_are_not_safe(ground: Ground, far_apart: None, saved: Vault) -> None:
    Location.objects.update(kind="s3", options={"storage_class": "DEEP_ARCHIVE"})
    verdict = vault_verdict(saved)
    assert verdict.level == DANGER and "archive classes" in verdict.sentence


def test_suspicion_is_never_green(far_apart: None, saved: Vault) -> None:
    Vault.unscoped.update(suspicion="The source is empty.")
    assert vault_verdict(saved).level == ATTENTION


def test_without_any_acknowledged_snapshot_or_whole_copy_it_is_danger(far_apart: None, saved: Vault) -> None:
    Copy.unscoped.update(state=CopyState.DAMAGED)
    assert vault_verdict(saved).level == DANGER
    Copy.unscoped.update(state=CopyState.CURRENT)
    Snapshot.unscoped.update(acknowledged_at=None)
    assert vault_verdict(saved).level == DANGER


def test_a_vendor_is_told_nothing_of_other_vendors_vaults(ground: Ground, far_apart: None, saved: Vault) -> None:
    florist = Organisation.unscoped.create(name="Wild Stem", created_at=SYSTEM_CLOCK.utcnow())
    ground.wedding.vendors.create(organisation=florist)
    bob, charlie = make_member(florist, "bob"), User.objects.create_user("charlie")

    assert wedding_verdict(ground.wedding, bob).level == EMPTY
    assert wedding_verdict(ground.wedding, make_member(ground.studio, "alice")).level == SAFE
    assert overview_verdict(charlie).sentence == "There are no weddings yet."


def test_many_weddings_are_judged_with_as_many_queries_as_one(ground: Ground, saved: Vault, staff: User) -> None:
    def queries(weddings: list[object]) -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            wedding_verdicts(weddings, staff)  # type: ignore[arg-type]
        return len(captured)

    one = queries([ground.wedding])
    others = [
        wedding_create(couple=f"Couple {n}", date=ground.wedding.date, vendors=[ground.studio]) for n in range(10)
    ]
    assert queries([ground.wedding, *others]) == one


def test_several_weddings_are_counted_in_the_overview(
    ground: Ground, far_apart: None, saved: Vault, staff: User
) -> None:
    wedding_create(couple="Mary & Joan", date=ground.wedding.date, vendors=[ground.studio])
    assert overview_verdict(staff).sentence == "1 wedding has no backup yet, 1 is safe."


def test_a_person_may_say_that_a_shrunk_source_is_as_it_should_be(
    ground: Ground, far_apart: None, saved: Vault
) -> None:
    for file in list(ground.source().rglob("*.jpg"))[:10]:
        file.unlink()
    ground.back_up(saved)
    assert vault_verdict(saved).level == ATTENTION

    assert vault_trust(saved, actor="alice")

    assert vault_verdict(saved).is_safe
    assert ground.back_up(saved).state == JobState.COMPLETED
    assert AuditEntry.objects.get(tag=AuditTag.VAULT_TRUSTED).actor == "alice"
    assert not vault_trust(saved, actor="alice")


def test_each_vault_shows_its_own_newest_snapshots(ground: Ground, staff: User) -> None:
    """With two vaults of 211 newer ones the third said "No snapshot yet"."""
    quiet, busy = ground.vault(), ground.vault("documents")
    for vault, count in ((quiet, 2), (busy, 30)):
        for number in range(count):
            now = SYSTEM_CLOCK.utcnow()
            Snapshot.unscoped.create(
                vault=vault, restic_id=f"{number:064}", tree="0" * 64, taken_at=now, file_count=number, source_bytes=1,
                stored_bytes=1, acknowledged_at=now if number == 3 else None,
            )  # fmt: skip
    views = {view.vault.pk: view for view in vault_views([quiet, busy], staff)}
    assert [snapshot.file_count for snapshot in views[quiet.pk].snapshots] == [1, 0]
    assert [snapshot.file_count for snapshot in views[busy.pk].snapshots] == [29, 28, 27, 26, 25, 3]
    assert views[busy.pk].newest_acknowledged is not None
