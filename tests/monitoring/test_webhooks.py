"""Others hear what happens here: signed, not lost, not led astray."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client

from monitoring.models import Alert, Delivery, Webhook
from monitoring.reader import read
from monitoring.services.webhooks import (
    RETRY_SECONDS,
    deliveries_send,
    delivery_again,
    webhook_create,
    webhook_enable,
    webhook_renew_secret,
    webhook_test,
)
from providers.services.addresses import AddressRefused
from tests.cast import Cast
from tests.servers.ports import free_port
from wedbackup.core import events
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import AuditEntry, Event
from wedbackup.core.signing import SignatureRefused, check_signature

NAS = "5c1e5a1e-0000-4000-8000-000000000007"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("key_file")]


class Receiver:
    """A system elsewhere. answers: the statuses it gives, one after the other; the last one for ever."""

    def __init__(self) -> None:
        self.answers = [200]
        self.headers: dict[str, str] = {}
        self.heard: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
                answers = receiver.answers
                self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook?from=us"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def hook(receiver: Receiver, clock: ManualClock, **fields: Any) -> tuple[Webhook, str]:
    return webhook_create(
        name="Studio chat", url=receiver.url, private_address_allowed=True, actor="alice", clock=clock, **fields
    )


def happen(clock: ManualClock, tag: events.Tag = events.Tag.LOCATION_DOWN, **fields: Any) -> Event:
    return events.emit(tag, subject_type="location", subject_id=NAS, payload={"name": "NAS"}, clock=clock, **fields)


def test_an_event_arrives_signed_and_complete(receiver: Receiver, clock: ManualClock) -> None:
    _, secret = hook(receiver, clock)
    event = happen(clock)
    read(clock=clock)
    assert deliveries_send(clock=clock) >= 1
    headers, body = next(heard for heard in receiver.heard if b'"type":"location.down"' in heard[1])
    message_id, at = check_signature(secret, headers, body, now=clock.utcnow())
    assert (message_id, at) == (str(Delivery.objects.get(tag="location.down").pk), clock.utcnow())
    message = json.loads(body)
    assert message["type"] == "location.down"
    assert message["data"] == {
        "event": event.pk,
        "name": "NAS",
        "subject_type": "location",
        "subject_id": NAS,
        "organisation": None,
    }


def test_a_message_that_was_changed_or_is_old_is_refused_by_a_receiver(receiver: Receiver, clock: ManualClock) -> None:
    webhook, secret = hook(receiver, clock)
    webhook_test(webhook, actor="alice", clock=clock)
    headers, body = receiver.heard[0]
    with pytest.raises(SignatureRefused, match="same secret"):
        check_signature(secret, headers, body + b" ", now=clock.utcnow())
    with pytest.raises(SignatureRefused, match="same secret"):
        check_signature(secret, headers | {"webhook-id": "another"}, body, now=clock.utcnow())
    with pytest.raises(SignatureRefused, match="five minutes"):
        check_signature(secret, headers, body, now=clock.utcnow() + timedelta(minutes=6))
    with pytest.raises(SignatureRefused, match="send the headers"):
        check_signature(secret, {}, body, now=clock.utcnow())


def test_what_fails_is_tried_again_with_the_same_id_and_body(receiver: Receiver, clock: ManualClock) -> None:
    _, secret = hook(receiver, clock, tags=["location.down"])
    receiver.answers = [503, 500, 200]
    happen(clock)
    read(clock=clock)
    for seconds in (0, *RETRY_SECONDS[:2]):
        clock.advance(seconds * 1.2)
        assert deliveries_send(clock=clock) == 1
        assert deliveries_send(clock=clock) == 0, "before its time nothing is sent again"
    assert len({(headers["webhook-id"], body) for headers, body in receiver.heard}) == 1
    assert len({headers["webhook-timestamp"] for headers, _ in receiver.heard}) == 3
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("delivered", 3, 200)
    check_signature(secret, *receiver.heard[-1], now=clock.utcnow())


def test_the_receivers_wish_to_wait_is_heeded(receiver: Receiver, clock: ManualClock) -> None:
    hook(receiver, clock, tags=["location.down"])
    receiver.answers, receiver.headers = [429, 200], {"Retry-After": "900"}
    happen(clock)
    read(clock=clock)
    deliveries_send(clock=clock)
    clock.advance(800)
    assert deliveries_send(clock=clock) == 0
    clock.advance(101)
    assert deliveries_send(clock=clock) == 1


def test_after_a_day_it_is_given_up_and_an_alert_says_so_until_it_is_heard_again(
    receiver: Receiver, clock: ManualClock
) -> None:
    webhook, _ = hook(receiver, clock, tags=["location.down"])
    receiver.answers = [500]
    happen(clock)
    read(clock=clock)
    for seconds in (0, *RETRY_SECONDS):
        clock.advance(seconds * 1.2)
        assert deliveries_send(clock=clock) == 1
    delivery = Delivery.objects.get()
    assert (delivery.state, len(receiver.heard)) == ("given_up", len(RETRY_SECONDS) + 1)
    read(clock=clock)
    alert = Alert.objects.get(key=f"webhook.failing:{webhook.pk}")
    assert (alert.state, alert.link) == ("open", f"/webhooks/{webhook.pk}/")
    receiver.answers = [200]
    assert delivery_again(delivery, clock=clock)
    assert deliveries_send(clock=clock) == 1
    read(clock=clock)
    alert.refresh_from_db()
    assert alert.state == "resolved"


def test_a_receiver_that_is_gone_for_good_is_left_alone(receiver: Receiver, clock: ManualClock) -> None:
    webhook, _ = hook(receiver, clock, tags=["location.down"])
    receiver.answers = [410]
    happen(clock)
    read(clock=clock)
    deliveries_send(clock=clock)
    webhook.refresh_from_db()
    assert not webhook.enabled
    assert Delivery.objects.get().state == "given_up"


def test_of_two_senders_only_one_sends(receiver: Receiver, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    from monitoring.services import webhooks

    hook(receiver, clock, tags=["location.down"])
    happen(clock)
    read(clock=clock)
    ask, others = webhooks._ask, []

    def ask_while_another_sender_looks(delivery: Delivery, with_clock: ManualClock) -> object:
        others.append(Delivery.objects.filter(state="waiting").count())
        return ask(delivery, with_clock)

    monkeypatch.setattr(webhooks, "_ask", ask_while_another_sender_looks)
    stale = Delivery.objects.select_related("webhook").get()
    assert deliveries_send(clock=clock) == 1
    assert others == [0]
    assert not webhooks._claim(stale, clock), "a sender that read the row before it was taken comes too late"
    assert len(receiver.heard) == 1


def test_a_message_that_cannot_be_sent_does_not_hold_up_the_others(
    receiver: Receiver, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monitoring.services import webhooks

    hook(receiver, clock, tags=["location.down", "location.recovered"])
    happen(clock)
    happen(clock, events.Tag.LOCATION_RECOVERED)
    read(clock=clock)
    send = webhooks.send

    def send_but_one(url: str, body: bytes, *args: Any, **more: Any) -> object:
        if b'"type":"location.down"' in body:
            raise ValueError("secret detail")
        return send(url, body, *args, **more)

    monkeypatch.setattr(webhooks, "send", send_but_one)
    assert deliveries_send(clock=clock) == 2
    assert [json.loads(body)["type"] for _, body in receiver.heard] == ["location.recovered"]
    stuck = Delivery.objects.get(tag="location.down")
    assert (stuck.state, stuck.last_error) == ("waiting", "it could not be sent (ValueError)")


def test_what_a_dead_sender_held_is_sent_by_the_next(receiver: Receiver, clock: ManualClock) -> None:
    hook(receiver, clock, tags=["location.down"])
    happen(clock)
    read(clock=clock)
    Delivery.objects.update(state="sending", next_at=clock.utcnow() + timedelta(seconds=60))
    assert deliveries_send(clock=clock) == 0
    clock.advance(61)
    assert deliveries_send(clock=clock) == 1
    assert len(receiver.heard) == 1


def test_a_webhook_hears_only_what_it_asked_for(receiver: Receiver, clock: ManualClock, cast: Cast) -> None:
    hook(receiver, clock, tags=["job.moved", "location.down"], organisation_id=cast.lumen.pk)
    happen(clock)
    happen(clock, events.Tag.JOB_MOVED, organisation_id=cast.petal.pk)
    happen(clock, events.Tag.SNAPSHOT_ACKNOWLEDGED, organisation_id=cast.lumen.pk)
    wanted = happen(clock, events.Tag.JOB_MOVED, organisation_id=cast.lumen.pk)
    read(clock=clock)
    deliveries_send(clock=clock)
    assert [json.loads(body)["data"]["event"] for _, body in receiver.heard] == [wanted.pk]


def test_a_webhook_that_is_switched_off_hears_nothing(receiver: Receiver, clock: ManualClock) -> None:
    webhook, _ = hook(receiver, clock)
    assert webhook_enable(webhook, False, actor="alice", clock=clock)
    happen(clock)
    read(clock=clock)
    assert Delivery.objects.count() == 0


def test_a_new_secret_holds_at_once(receiver: Receiver, clock: ManualClock) -> None:
    webhook, old = hook(receiver, clock)
    new = webhook_renew_secret(webhook, actor="alice", clock=clock)
    webhook.refresh_from_db()
    webhook_test(webhook, actor="alice", clock=clock)
    check_signature(new, *receiver.heard[0], now=clock.utcnow())
    with pytest.raises(SignatureRefused):
        check_signature(old, *receiver.heard[0], now=clock.utcnow())
    assert new not in json.dumps(list(Webhook.objects.values()), default=str)
    assert AuditEntry.objects.filter(tag__startswith="webhook.").count() == 2


def test_a_name_that_begins_to_lead_inside_is_refused_when_it_is_used(receiver: Receiver, clock: ManualClock) -> None:
    webhook, _ = hook(receiver, clock)
    Webhook.objects.update(private_address_allowed=False)
    webhook.refresh_from_db()
    delivery = webhook_test(webhook, actor="alice", clock=clock)
    assert delivery.state == "given_up"
    assert "not a public address" in delivery.last_error
    assert receiver.heard == []


@pytest.mark.parametrize("url", ["http://example.org/x", "https://169.254.169.254/latest", "ftp://example.org", "hook"])
def test_an_address_that_must_not_be_talked_to_is_no_webhook(clock: ManualClock, url: str) -> None:
    with pytest.raises(AddressRefused):
        webhook_create(name="x", url=url, actor="alice", resolve=lambda host: ["169.254.169.254"], clock=clock)
    assert Webhook.objects.count() == 0


def test_an_admin_adds_and_tests_a_webhook_and_sees_its_secret_once(
    receiver: Receiver, client: Client, cast: Cast
) -> None:
    client.force_login(cast.alice)
    answers = {"name": "Studio chat", "url": receiver.url, "private_address_allowed": "on"}
    page = client.post("/webhooks/new/", answers, follow=True)
    secret = page.context["secret"]
    assert secret.startswith("whsec_")
    assert secret in page.content.decode()
    webhook = Webhook.objects.get()
    assert secret not in client.get(f"/webhooks/{webhook.pk}/").content.decode()
    told = client.post(f"/webhooks/{webhook.pk}/test/", follow=True).content.decode()
    assert "the test arrived" in told
    assert "webhook.test" in told
    check_signature(secret, *receiver.heard[0], now=Delivery.objects.get().created_at)


@pytest.mark.parametrize("who", ["sam", "vera"])
def test_webhooks_are_for_admins(client: Client, cast: Cast, who: str) -> None:
    client.force_login(getattr(cast, who))
    assert client.get("/webhooks/").status_code == 403
    assert client.get("/webhooks/new/").status_code == 403
