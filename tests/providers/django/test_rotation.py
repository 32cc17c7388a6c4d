"""Promises of providers.services.rotation: a new credential takes over only when proved, and nothing fails for it."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection

from backups.models import Copy, Vault
from providers.models import Credential, Location
from providers.services.credentials import PRUNER, WRITER, secrets_of
from providers.services.locations import location_open, location_report
from providers.services.rotation import (
    CALLS_END,
    UNFINISHED_FOR,
    LeftAlone,
    RotationRefused,
    credentials_retire,
    rotation_begin,
    rotation_continue,
    rotations_continue,
)
from providers.stores.base import PlaceFacts
from providers.stores.errors import CredentialExpired, StoreUnavailable
from providers.stores.memory import MemoryStore
from providers.stores.options import InvalidOptions
from tests.providers.django.cloud import Cloud
from wedbackup import tick
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import AuditEntry, Event

pytestmark = pytest.mark.django_db


def enter(location: Location, key: str, clock: ManualClock, **more: str) -> Credential:
    """Let Bob enter `key`, and let a tick pass."""
    credential = rotation_begin(location, {"key": key, **more}, actor="bob", clock=clock)
    rotations_continue(clock=clock)
    credential.refresh_from_db()
    return credential


def states(location: Location) -> dict[int, str]:
    return dict(location.credentials.order_by("version").values_list("version", "state"))


def audited() -> list[tuple[str, str]]:
    lines = AuditEntry.objects.filter(tag__startswith="credential.").order_by("id")
    return [(entry.tag.removeprefix("credential."), entry.actor) for entry in lines]


def test_a_new_credential_is_proved_takes_over_and_the_old_one_drains_and_retires(
    in_cloud: Location, cloud: Cloud, clock: ManualClock
) -> None:
    cloud.keys["second"] = cloud.keys["first"]
    new = rotation_begin(in_cloud, {"key": "second", "key_id": "id-2"}, actor="bob", clock=clock)
    assert states(in_cloud) == {1: "current", 2: "entered"}
    assert secrets_of(in_cloud)["key"] == "first", "nothing changes before the proof"
    assert rotations_continue(clock=clock) == 1
    new.refresh_from_db()
    assert states(in_cloud) == {1: "draining", 2: "current"}
    assert new.report.startswith("It wrote, read back, compared and deleted a small object. It read what version 1 had")
    assert new.proved_at == clock.utcnow()
    assert secrets_of(in_cloud) == {"key": "second", "key_id": "id-2"}
    clock.advance(CALLS_END.total_seconds())
    assert credentials_retire(None, clock=clock) == 1
    assert states(in_cloud) == {1: "retired", 2: "current"}
    assert audited() == [("set", "alice"), ("entered", "bob"), ("switched", "rotation"), ("retired", "rotation")]
    tags = [*Event.objects.filter(tag__startswith="credential.").order_by("id").values_list("tag", flat=True)]
    assert tags[1:] == ["credential.entered", "credential.changed", "credential.retired"]
    assert not [*cloud.keys["first"].list()], "the proof leaves nothing behind"


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (None, "no key [removed] here. Check the credential"),
        (CredentialExpired("the token ended yesterday"), "the token ended yesterday. Renew the token"),
        (StoreUnavailable("connection refused"), "connection refused. The provider or the network is down"),
        (RuntimeError("a bug"), "The proof itself failed (RuntimeError)"),
    ],
)
def test_a_credential_that_cannot_be_proved_is_refused_in_words_and_the_old_one_stays(
    in_cloud: Location, cloud: Cloud, clock: ManualClock, trouble: Exception | None, words: str
) -> None:
    if trouble:
        cloud.trouble["hush-hush"] = trouble  # type: ignore[assignment]
    refused = enter(in_cloud, "hush-hush", clock)
    assert "hush-hush" in cloud.calls, "the fault was not hit"
    assert (refused.state, states(in_cloud)[1]) == ("refused", "current")
    assert words in refused.report
    assert "hush-hush" not in refused.report + str([*AuditEntry.objects.values_list("detail", flat=True)])
    assert secrets_of(in_cloud)["key"] == "first"
    assert audited()[-1] == ("refused", "rotation")
    location_open(in_cloud, purpose="backup", clock=clock).put("a", b"1")


def test_a_credential_that_leads_to_another_place_is_refused(
    in_cloud: Location, cloud: Cloud, clock: ManualClock
) -> None:
    cloud.keys["elsewhere"] = MemoryStore()
    refused = enter(in_cloud, "elsewhere", clock)
    assert refused.state == "refused"
    assert "another place: what version 1 wrote a moment ago is not there. Make the new key in" in refused.report
    assert not [*cloud.keys["first"].list()], "the marker is left behind"


def test_an_expired_credential_is_replaced_when_our_copies_are_where_the_new_one_leads(
    in_cloud: Location, cloud: Cloud, vault: Vault, clock: ManualClock
) -> None:
    """The old one can write no marker any more; what backups stored there tells."""
    Copy.unscoped.create(vault=vault, location=in_cloud, state="current")
    cloud.keys["first"].put(f"{vault.prefix}config", b"sealed")
    cloud.keys |= {"second": cloud.keys["first"], "elsewhere": MemoryStore()}
    cloud.trouble["first"] = CredentialExpired("over")
    assert "none of our copies is there" in enter(in_cloud, "elsewhere", clock).report
    taken = enter(in_cloud, "second", clock)
    assert taken.state == "current"
    assert taken.report.endswith("Version 1 is refused (CredentialExpired). It finds our copies there.")


def test_the_report_names_what_a_person_should_put_right(in_cloud: Location, cloud: Cloud, clock: ManualClock) -> None:
    cloud.keys["second"] = cloud.keys["first"]
    cloud.facts = PlaceFacts(public=True, excess_rights=("delete the bucket",))
    report = enter(in_cloud, "second", clock).report
    assert "Anybody may read this place" in report and "more than a backup needs: delete the bucket" in report


def test_a_pruner_is_proved_beside_the_writer_and_replaces_nobody(
    in_cloud: Location, cloud: Cloud, clock: ManualClock
) -> None:
    cloud.keys["deleter"] = cloud.keys["first"]
    rotation_begin(in_cloud, {"key": "deleter"}, role=PRUNER, actor="bob", clock=clock)
    assert rotations_continue(clock=clock) == 1
    assert states(in_cloud) == {1: "current", 2: "current"}
    assert (secrets_of(in_cloud, PRUNER)["key"], secrets_of(in_cloud, WRITER)["key"]) == ("deleter", "first")
    assert "It read what the writer had written" in in_cloud.credentials.get(version=2).report


def test_a_writer_need_not_delete_but_a_pruner_must(in_cloud: Location, cloud: Cloud, clock: ManualClock) -> None:
    cloud.keys["careful"] = cloud.keys["first"]
    cloud.write_only.add("careful")
    pruner = rotation_begin(in_cloud, {"key": "careful"}, role=PRUNER, actor="bob", clock=clock)
    rotations_continue(clock=clock)
    pruner.refresh_from_db()
    assert (pruner.state, "not delete" in pruner.report) == ("refused", True)
    writer = enter(in_cloud, "careful", clock)
    assert (writer.state, "may not delete it" in writer.report) == ("current", True)


def test_while_one_is_being_proved_nobody_enters_another(in_cloud: Location, cloud: Cloud, clock: ManualClock) -> None:
    rotation_begin(in_cloud, {"key": "second"}, actor="bob", clock=clock)
    with pytest.raises(RotationRefused, match="bob has entered version 2, which is being proved") as caught:
        rotation_begin(in_cloud, {"key": "third"}, actor="carol", clock=clock)
    assert "Wait for the outcome" in caught.value.advice
    rotation_begin(in_cloud, {"key": "third"}, role=PRUNER, actor="carol", clock=clock)


@pytest.mark.django_db(transaction=True)
def test_of_two_admins_at_once_one_is_told_of_the_other(in_cloud: Location, clock: ManualClock) -> None:
    together, refusals = threading.Barrier(2), list[str]()

    def begin(name: str) -> None:
        try:
            mine = Location.objects.get(pk=in_cloud.pk)
            together.wait(30)
            rotation_begin(mine, {"key": name}, actor=name, clock=clock)
        except RotationRefused as refusal:
            refusals.append(str(refusal))
        finally:
            connection.close()

    admins = [threading.Thread(target=begin, args=(name,)) for name in ("bob", "carol")]
    for admin in admins:
        admin.start()
    for admin in admins:
        admin.join()
    assert len(refusals) == 1 and "has entered version 2" in refusals[0]
    assert states(in_cloud) == {1: "current", 2: "entered"}


def test_while_the_location_is_left_alone_no_credential_is_taken(in_cloud: Location, clock: ManualClock) -> None:
    for _ in range(2):
        location_report(in_cloud, ok=False, error=StoreUnavailable("down"), clock=clock)
    with pytest.raises(LeftAlone, match="Sky does not answer") as caught:
        rotation_begin(in_cloud, {"key": "second"}, actor="bob", clock=clock)
    assert "when the location answers again" in caught.value.advice
    assert states(in_cloud) == {1: "current"}


@pytest.mark.parametrize(
    ("secrets", "words"),
    [({}, "missing secret: key"), ({"key": "k", "bucket": "b"}, "bucket: no secret option"), ({"key": ""}, "missing")],
)
def test_what_makes_no_sense_is_refused_at_once(
    in_cloud: Location, clock: ManualClock, secrets: dict[str, str], words: str
) -> None:
    with pytest.raises(InvalidOptions, match=words):
        rotation_begin(in_cloud, secrets, actor="bob", clock=clock)
    assert states(in_cloud) == {1: "current"}


def test_after_a_crash_the_next_tick_goes_on_where_the_last_one_ended(
    in_cloud: Location, cloud: Cloud, clock: ManualClock
) -> None:
    """Dead between the entering and the proof; dead between the proof and the switch."""
    cloud.keys |= {"second": cloud.keys["first"], "third": cloud.keys["first"]}
    rotation_begin(in_cloud, {"key": "second"}, actor="bob", clock=clock)
    tick.turn_credentials(clock=clock)
    assert states(in_cloud) == {1: "draining", 2: "current"}
    proved = rotation_begin(in_cloud, {"key": "third"}, actor="bob", clock=clock)
    Credential.objects.filter(pk=proved.pk).update(state="proved", proved_at=clock.utcnow())
    tick.turn_credentials(clock=clock)
    assert states(in_cloud) == {1: "draining", 2: "draining", 3: "current"}


@pytest.mark.parametrize("state", ["entered", "proved"])
def test_what_was_not_finished_within_an_hour_is_refused(
    in_cloud: Location, cloud: Cloud, clock: ManualClock, state: str
) -> None:
    entered = rotation_begin(in_cloud, {"key": "second"}, actor="bob", clock=clock)
    Credential.objects.filter(pk=entered.pk).update(state=state)
    clock.advance(UNFINISHED_FOR.total_seconds() + 1)
    assert rotations_continue(clock=clock) == 0
    entered.refresh_from_db()
    assert (entered.state, "within an hour" in entered.report) == ("refused", True)
    assert secrets_of(in_cloud)["key"] == "first"


def test_of_two_schedulers_one_takes_a_credential_over(in_cloud: Location, cloud: Cloud, clock: ManualClock) -> None:
    cloud.keys["second"] = cloud.keys["first"]
    entered = rotation_begin(in_cloud, {"key": "second"}, actor="bob", clock=clock)
    seen_by_the_other = Credential.objects.get(pk=entered.pk)
    assert rotation_continue(entered, clock=clock)
    assert not rotation_continue(seen_by_the_other, clock=clock)
    assert [tag for tag, _ in audited()].count("switched") == 1


def test_a_credential_drains_until_the_last_job_that_may_hold_it_has_ended(
    in_cloud: Location, cloud: Cloud, clock: ManualClock
) -> None:
    cloud.keys["second"] = cloud.keys["first"]
    began = clock.utcnow()
    clock.advance(10)
    enter(in_cloud, "second", clock)
    clock.advance(CALLS_END.total_seconds() - 1)
    assert credentials_retire(None, clock=clock) == 0, "a probe may be under way"
    clock.advance(3600)
    assert credentials_retire(began, clock=clock) == 0, "its processes hold the old one"
    assert credentials_retire(began + timedelta(seconds=11), clock=clock) == 1
    assert credentials_retire(None, clock=clock) == 0
