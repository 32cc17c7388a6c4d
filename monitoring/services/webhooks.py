"""Webhooks: addresses elsewhere that are told, signed, of what happens here.

A delivery row is written in the transaction that reads the event, so nothing is lost by a crash; it is sent outside of
any transaction, by whoever claims it, and tried again for a day. A receiver may get a message twice, never a changed
one: the id and the body are the same in every attempt.
"""

from __future__ import annotations

import json
import logging
import random
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import F

from monitoring.models import Delivery, Webhook
from monitoring.sending import Answer, send
from providers.services.addresses import AddressRefused, Resolver, address_parts, addresses_of, resolve_host
from providers.stores.answers import retry_after_seconds
from wedbackup.core import audit, events, moments, sealing
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import Event
from wedbackup.core.signing import new_secret, signed_headers

log = logging.getLogger(__name__)

RETRY_SECONDS = (5, 30, 120, 600, 3600, 3 * 3600, 8 * 3600, 12 * 3600)  # after the first attempt; a day in all
JITTER = 0.1
SENDING_SECONDS = 60  # a sender that has not reported by then is dead: the limits end every attempt after 12 s
AT_ONCE = 8
PER_ROUND = 100
KEEP = timedelta(days=30)
TEST_TAG = "webhook.test"
GONE = 410


def webhook_create(
    *,
    name: str,
    url: str,
    tags: Sequence[str] = (),
    organisation_id: uuid.UUID | None = None,
    private_address_allowed: bool = False,
    actor: str,
    resolve: Resolver = resolve_host,
    clock: Clock = SYSTEM_CLOCK,
) -> tuple[Webhook, str]:
    """Make a webhook; return it and its secret, which is never shown again.

    Raises AddressRefused for an address that must not be talked to, SealingError without a key file.
    """
    addresses_of(address_parts(url), private_allowed=private_address_allowed, resolve=resolve)
    webhook = Webhook(
        name=name,
        url=url,
        tags=sorted(tags),
        organisation_id=organisation_id,
        private_address_allowed=private_address_allowed,
        created_by=actor,
        created_at=clock.utcnow(),
    )
    secret = new_secret()
    webhook.sealed_secret = sealing.seal(secret.encode(), purpose=_purpose(webhook))
    with transaction.atomic():
        webhook.save(force_insert=True)
        _record(audit.AuditTag.WEBHOOK_CREATED, webhook, actor, clock)
    return webhook, secret


def webhook_enable(webhook: Webhook, enabled: bool, *, actor: str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Tell the address of events from now on, or leave it alone; return whether that was a change."""
    with transaction.atomic():
        changed = Webhook.objects.filter(pk=webhook.pk, enabled=not enabled).update(enabled=enabled) == 1
        if changed:
            _record(audit.AuditTag.WEBHOOK_CHANGED, webhook, actor, clock)
    webhook.enabled = enabled
    return changed


def webhook_renew_secret(webhook: Webhook, *, actor: str, clock: Clock = SYSTEM_CLOCK) -> str:
    """Give the webhook a new secret at once and return it; what still waits is signed with the new one."""
    secret = new_secret()
    sealed = sealing.seal(secret.encode(), purpose=_purpose(webhook))
    with transaction.atomic():
        Webhook.objects.filter(pk=webhook.pk).update(sealed_secret=sealed)
        _record(audit.AuditTag.WEBHOOK_CHANGED, webhook, actor, clock)
    return secret


def webhook_remove(webhook: Webhook, *, actor: str, clock: Clock = SYSTEM_CLOCK) -> None:
    """Forget the address, and with it what was not delivered yet."""
    with transaction.atomic():
        _record(audit.AuditTag.WEBHOOK_REMOVED, webhook, actor, clock)
        webhook.delete()


def webhook_test(webhook: Webhook, *, actor: str, clock: Clock = SYSTEM_CLOCK) -> Delivery:
    """Send a harmless message at once and return how it went; it is not tried again."""
    now = clock.utcnow()
    message = {"type": TEST_TAG, "timestamp": now, "data": {"sent_by": actor, "webhook": webhook.name}}
    delivery = _delivery(webhook, TEST_TAG, message, clock)
    delivery.state, delivery.next_at = Delivery.State.SENDING, now + timedelta(seconds=SENDING_SECONDS)
    delivery.attempts = len(RETRY_SECONDS) + 1
    delivery.save(force_insert=True)
    _attempt(delivery, clock)
    delivery.refresh_from_db()
    return delivery


def delivery_again(delivery: Delivery, *, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Put a delivery that was given up, or has arrived, back to be sent now; False if it waits anyway."""
    ended = Delivery.objects.filter(pk=delivery.pk, ended_at__isnull=False)
    return (
        ended.update(state=Delivery.State.WAITING, attempts=0, next_at=clock.utcnow(), ended_at=None, last_error="")
        == 1
    )


def deliveries_plan(happened: Sequence[Event], *, clock: Clock = SYSTEM_CLOCK) -> int:
    """Write a delivery of each event for each webhook that wants it, in the caller's transaction; return how many."""
    webhooks = list(Webhook.objects.filter(enabled=True))
    planned = [
        _delivery(webhook, event.tag, _message(event), clock)
        for event in happened
        for webhook in webhooks
        if _wants(webhook, event)
    ]
    Delivery.objects.bulk_create(planned)
    return len(planned)


def deliveries_send(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Send what is due, several at once, and return how many attempts were made; safe in several processes."""
    now = clock.utcnow()
    latest = timedelta(seconds=RETRY_SECONDS[-1] * (1 + JITTER))
    due = Delivery.objects.filter(
        moments.due("next_at", now, latest), state__in=[Delivery.State.WAITING, Delivery.State.SENDING]
    )
    claimed = [each for each in due.select_related("webhook").order_by("next_at")[:PER_ROUND] if _claim(each, clock)]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as pool:
        answers = list(pool.map(lambda each: _ask(each, clock), claimed))
    for delivery, answer in zip(claimed, answers, strict=True):
        _finish(delivery, answer, clock)
    Delivery.objects.filter(ended_at__lt=now - KEEP).delete()
    return len(claimed)


def _attempt(delivery: Delivery, clock: Clock) -> None:
    _finish(delivery, _ask(delivery, clock), clock)


def _claim(delivery: Delivery, clock: Clock) -> bool:
    """Take the delivery for this process, unless another one did; also from a sender that died."""
    until = clock.utcnow() + timedelta(seconds=SENDING_SECONDS)
    mine = Delivery.objects.filter(pk=delivery.pk, state=delivery.state, next_at=delivery.next_at)
    taken = mine.update(state=Delivery.State.SENDING, next_at=until, attempts=F("attempts") + 1) == 1
    delivery.state, delivery.next_at, delivery.attempts = Delivery.State.SENDING, until, delivery.attempts + 1
    return taken


def _ask(delivery: Delivery, clock: Clock) -> Answer:
    """Send it; runs in a thread and touches the receiver only, never the database."""
    webhook, body = delivery.webhook, delivery.body.encode()
    try:
        secret = sealing.unseal(webhook.sealed_secret, purpose=_purpose(webhook)).decode()
        headers = signed_headers(secret, message_id=str(delivery.pk), at=clock.utcnow(), body=body)
        return send(webhook.url, body, headers, private_allowed=webhook.private_address_allowed, clock=clock)
    except (AddressRefused, sealing.SealingError) as exc:
        return Answer(None, str(exc), 0.0)
    except Exception as exc:  # one message that cannot be sent must not hold up all the others, round after round
        log.exception("delivery %s could not be sent", delivery.pk)
        return Answer(None, f"it could not be sent ({type(exc).__name__})", 0.0)


def _finish(delivery: Delivery, answer: Answer, clock: Clock) -> None:
    """Write how it went; the row must still be in this sender's hands."""
    fields: dict[str, Any] = {
        "last_status": answer.status,
        "last_error": answer.error[:200],
        "last_ms": answer.milliseconds,
    }
    over = answer.ok or answer.status == GONE or delivery.attempts > len(RETRY_SECONDS)
    now = clock.utcnow()
    if over:
        fields |= {"state": Delivery.State.DELIVERED if answer.ok else Delivery.State.GIVEN_UP, "ended_at": now}
    else:
        fields |= {"state": Delivery.State.WAITING, "next_at": now + _pause(delivery.attempts, answer, clock)}
    with transaction.atomic():
        mine = Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.SENDING, next_at=delivery.next_at)
        if mine.update(**fields) == 1:
            _note_health(delivery.webhook, answer, given_up=over and delivery.tag != TEST_TAG, clock=clock)


def _pause(attempts: int, answer: Answer, clock: Clock) -> timedelta:
    seconds = RETRY_SECONDS[attempts - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load
    asked = retry_after_seconds(answer.retry_after, clock) or 0.0
    return timedelta(seconds=max(seconds, min(asked, RETRY_SECONDS[-1])))


def _note_health(webhook: Webhook, answer: Answer, *, given_up: bool, clock: Clock) -> None:
    """Tell once when an address fails for good, and once when it answers again."""
    row = Webhook.objects.filter(pk=webhook.pk)
    if answer.ok:
        if row.filter(failing_since__isnull=False).update(failing_since=None):
            _emit(events.Tag.WEBHOOK_RECOVERED, webhook, "", clock)
    elif given_up:
        if answer.status == GONE:
            row.update(enabled=False)
        if row.filter(failing_since=None).update(failing_since=clock.utcnow()):
            _emit(events.Tag.WEBHOOK_FAILING, webhook, answer.error, clock)


def _wants(webhook: Webhook, event: Event) -> bool:
    theirs = webhook.organisation_id is None or webhook.organisation_id == event.organisation_id
    about_itself = event.subject_type == "webhook" and event.subject_id == str(webhook.pk)
    return theirs and not about_itself and (not webhook.tags or event.tag in webhook.tags)


def _message(event: Event) -> dict[str, object]:
    about = {
        "event": event.pk,
        "subject_type": event.subject_type,
        "subject_id": event.subject_id,
        "organisation": event.organisation_id,
    }
    return {"type": event.tag, "timestamp": event.at, "data": {**event.payload, **about}}


def _delivery(webhook: Webhook, tag: str, message: dict[str, object], clock: Clock) -> Delivery:
    body = json.dumps(message, cls=DjangoJSONEncoder, separators=(",", ":"))
    return Delivery(webhook=webhook, tag=tag, body=body, next_at=clock.utcnow(), created_at=clock.utcnow())


def _purpose(webhook: Webhook) -> str:
    return f"secret of webhook {webhook.pk}"


def _emit(tag: events.Tag, webhook: Webhook, error: str, clock: Clock) -> None:
    payload = {"name": webhook.name, "reason": error}
    events.emit(tag, subject_type="webhook", subject_id=webhook.pk, payload=payload, clock=clock)


def _record(tag: audit.AuditTag, webhook: Webhook, actor: str, clock: Clock) -> None:
    audit.record(
        tag, actor=actor, subject_type="webhook", subject_id=webhook.pk, detail={"name": webhook.name}, clock=clock
    )
