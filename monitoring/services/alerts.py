"""Alerts: one per trouble, seen by everybody it concerns, acknowledged by an admin, gone when the trouble is gone.

Every change writes an event in its own transaction and tells the open pages once that is committed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet

from monitoring.models import Alert
from wedbackup.core import audit, events, live
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User
from wedbackup.core.moments import due

ACKNOWLEDGED_FOR = timedelta(hours=8)
_WEIGHT = {Alert.Severity.INFO: 0, Alert.Severity.WARNING: 1, Alert.Severity.CRITICAL: 2}
State = Alert.State


def alert_raise(
    *,
    key: str,
    severity: str,
    title: str,
    text: str,
    what_to_do: str,
    detail: str = "",
    link: str = "",
    organisation_id: UUID | None = None,
    again: bool = True,
    clock: Clock = SYSTEM_CLOCK,
) -> Alert:
    """Raise an alert, or count up the live one with the same key, and return it.

    detail:          for admins and staff only, whoever else may read the alert.
    organisation_id: whose people may read it; None is for admins and staff only.
    again:           the trouble happened once more; False when it is merely still there, which is no news, though
                     what is said of it follows: it may have grown.

    An acknowledged alert becomes open again when its acknowledgement has ended or the trouble has become worse.
    """
    content = {
        "severity": severity,
        "title": title[:160],
        "text": text,
        "detail": detail,
        "what_to_do": what_to_do,
        "link": link[:200],
        "organisation_id": organisation_id,
    }
    with transaction.atomic():
        alert = _live_alert(key)
        if alert is None:
            try:
                with transaction.atomic():
                    return _create(key, content, clock)
            except IntegrityError:  # somebody else raised it this very moment
                alert = _live_alert(key)
                if alert is None:
                    raise
        return _see_again(alert, content, again, clock)


def _live_alert(key: str) -> Alert | None:
    return Alert.objects.select_for_update().filter(key=key).exclude(state=State.RESOLVED).first()


def _create(key: str, content: dict[str, Any], clock: Clock) -> Alert:
    now = clock.utcnow()
    alert = Alert.objects.create(key=key, raised_at=now, last_seen_at=now, **content)
    _announce(events.Tag.ALERT_RAISED, alert, clock)
    return alert


def _see_again(alert: Alert, content: dict[str, Any], again: bool, clock: Clock) -> Alert:
    now = clock.utcnow()
    worse = _WEIGHT[Alert.Severity(content["severity"])] > _WEIGHT[Alert.Severity(alert.severity)]
    ended = alert.acknowledgement_ends_at is not None and alert.acknowledgement_ends_at <= now
    reopens = alert.state == State.ACKNOWLEDGED and (worse or ended)
    fields: dict[str, Any] = {"last_seen_at": now}
    grown = (alert.title, alert.text) != (content["title"], content["text"])
    if again or worse or grown:
        fields |= content
    if again:
        fields["count"] = F("count") + 1
    if reopens:
        fields |= _REOPENED
    Alert.objects.filter(pk=alert.pk).update(**fields)
    alert.refresh_from_db()
    if reopens:
        _announce(events.Tag.ALERT_RAISED, alert, clock)
    elif again or worse or grown:
        _publish(alert)
    return alert


_REOPENED: dict[str, Any] = {
    "state": State.OPEN,
    "acknowledged_by": None,
    "acknowledged_at": None,
    "acknowledgement_ends_at": None,
    "note": "",
}


def alert_acknowledge(
    alert: Alert,
    *,
    user: User | AnonymousUser,
    note: str = "",
    lasting: timedelta = ACKNOWLEDGED_FOR,
    clock: Clock = SYSTEM_CLOCK,
) -> bool:
    """Let `user` take charge of an open alert; False when somebody was faster or the trouble is over.

    note:    for colleagues, optional.
    lasting: after this long the alert is open again if the trouble is still there.

    Raises PermissionDenied unless `user` is an admin.
    """
    if not (isinstance(user, User) and user.is_active and user.is_admin):
        raise PermissionDenied("Only an admin can acknowledge an alert. Ask one of your admins.")
    now = clock.utcnow()
    with transaction.atomic():
        changed = Alert.objects.filter(pk=alert.pk, state=State.OPEN).update(
            state=State.ACKNOWLEDGED,
            acknowledged_by=user,
            acknowledged_at=now,
            acknowledgement_ends_at=now + lasting,
            note=note.strip()[:300],
        )
        alert.refresh_from_db()
        if changed != 1:
            return False
        audit.record(
            audit.AuditTag.ALERT_ACKNOWLEDGED,
            actor=user,
            subject_type="alert",
            subject_id=alert.pk,
            organisation_id=alert.organisation_id,
            detail={"key": alert.key, "title": alert.title, "note": alert.note},
            clock=clock,
        )
        _announce(events.Tag.ALERT_ACKNOWLEDGED, alert, clock)
    return True


def alert_resolve(key: str, *, clock: Clock = SYSTEM_CLOCK) -> bool:
    """End the live alert with this key because its trouble is gone; False if there is none."""
    with transaction.atomic():
        alert = _live_alert(key)
        if alert is None:
            return False
        alert.state, alert.resolved_at = State.RESOLVED, clock.utcnow()
        alert.save(update_fields=["state", "resolved_at"])
        _announce(events.Tag.ALERT_RESOLVED, alert, clock)
    return True


def acknowledgements_end(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Open the alerts again whose acknowledgement has ended while the trouble is still there; return how many."""
    ended = Alert.objects.filter(
        due("acknowledgement_ends_at", clock.utcnow(), ACKNOWLEDGED_FOR), state=State.ACKNOWLEDGED
    )
    opened = 0
    for alert in ended:
        with transaction.atomic():
            opened += (changed := ended.filter(pk=alert.pk).update(**_REOPENED))
            if changed:
                alert.refresh_from_db()
                _announce(events.Tag.ALERT_RAISED, alert, clock)
    return opened


def alerts_visible_to(user: User | AnonymousUser) -> QuerySet[Alert]:
    """Return the alerts that `user` may see, the newest first.

    Admins and staff see all. Vendors see their own organisations' alerts; `detail` and the notes of acknowledgements
    are not for them, are not fetched, and must not be shown.
    """
    if not isinstance(user, User) or not user.is_active:
        return Alert.objects.none()
    if user.sees_everything:
        return Alert.objects.select_related("acknowledged_by")
    organisations = user.memberships.values("organisation_id")
    return Alert.objects.filter(organisation_id__in=organisations).defer("note", "detail")


def _announce(tag: events.Tag, alert: Alert, clock: Clock) -> None:
    events.emit(
        tag,
        subject_type="alert",
        subject_id=alert.pk,
        organisation_id=alert.organisation_id,
        payload={"key": alert.key, "severity": str(alert.severity), "title": alert.title},
        clock=clock,
    )
    _publish(alert)


def _publish(alert: Alert) -> None:
    """Tell the open pages after the commit; they fetch what they may see, so that the message can be small."""
    message = {
        "type": "alert.changed",
        "kind": "alert",
        "id": alert.pk,
        "state": str(alert.state),
        "severity": str(alert.severity),
        "title": alert.title,
        "count": alert.count,
    }
    groups = [live.PLATFORM]
    if alert.organisation_id:
        groups.append(f"organisation.{alert.organisation_id}")

    def send() -> None:
        for group in groups:
            live.publish(group, message)

    transaction.on_commit(send)
