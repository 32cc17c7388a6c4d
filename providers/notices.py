"""What providers tell about objects, in their own shapes, put into one.

S3:       "Records" of an event notification, plain, inside an SNS message, or an EventBridge event.
          https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
GCS:      a Pub/Sub push message whose attributes name the object.
          https://cloud.google.com/storage/docs/pubsub-notifications
Azure:    Event Grid events, in its own schema or as CloudEvents, with a handshake before the first.
          https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage
Supabase: a database webhook on the table storage.objects.
          https://supabase.com/docs/guides/database/webhooks
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

OBJECT_NAME_MAX = 1024


class ShapeUnknown(ValueError):
    """The message is none of the shapes above; the text says what is missing."""


class Happened(enum.StrEnum):
    CREATED = "created"
    REMOVED = "removed"
    RESTORED = "restored"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened to one object.

    event_id: the provider's id of it, the same when it is told again.
    place:    bucket or container.
    name:     the whole key.
    at:       when it happened, aware UTC.
    """

    event_id: str
    happened: Happened
    place: str
    name: str
    at: datetime


def handshake_code(body: bytes) -> str:
    """Return the code that Event Grid wants back before it sends anything; "" if the message is no handshake."""
    events = _json(body)
    first = events[0] if isinstance(events, list) and events else None
    if isinstance(first, dict) and first.get("eventType") == "Microsoft.EventGrid.SubscriptionValidationEvent":
        return str(_of(first, "data").get("validationCode", ""))
    return ""


def notices_in(body: bytes) -> list[Notice]:
    """Return what `body` tells; an announcement without an object gives an empty list. Raises ShapeUnknown."""
    message = _json(body)
    try:
        return [notice for event in (message if isinstance(message, list) else [message]) for notice in _notices(event)]
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise ShapeUnknown(f"a field is missing or not what it should be: {exc}") from exc


def _notices(event: dict[str, Any]) -> Iterator[Notice]:
    if event.get("Type") == "Notification" and "Message" in event:  # SNS
        yield from _notices(json.loads(event["Message"]))
    elif event.get("Event") == "s3:TestEvent":
        return
    elif "Records" in event:
        yield from (_s3_record(record) for record in event["Records"])
    elif "detail-type" in event:
        yield _event_bridge(event)
    elif "message" in event and "attributes" in event["message"]:
        yield _pub_sub(event["message"])
    elif event.get("schema") == "storage" and event.get("table") == "objects":
        yield _supabase(event)
    elif "specversion" in event or "eventType" in event:
        yield _event_grid(event)
    else:
        raise ShapeUnknown("send an event of S3, Google Cloud Storage, Azure Event Grid or Supabase")


def _s3_record(record: dict[str, Any]) -> Notice:
    name, at = unquote_plus(record["s3"]["object"]["key"]), record["eventTime"]
    order = record["s3"]["object"].get("sequencer") or hashlib.sha256(_plain(record)).hexdigest()
    place = record["s3"]["bucket"]["name"]
    return _notice(f"{place}/{name}@{order}", _s3_kind(record["eventName"]), place, name, at)


def _s3_kind(name: str) -> Happened:
    for beginning, happened in (
        ("ObjectCreated", Happened.CREATED),
        ("ObjectRemoved", Happened.REMOVED),
        ("LifecycleExpiration", Happened.REMOVED),
        ("ObjectRestore", Happened.RESTORED),
    ):
        if name.removeprefix("s3:").startswith(beginning):
            return happened
    return Happened.OTHER


def _event_bridge(event: dict[str, Any]) -> Notice:
    kinds = {
        "Object Created": Happened.CREATED,
        "Object Deleted": Happened.REMOVED,
        "Object Restore Completed": Happened.RESTORED,
    }
    detail = event["detail"]
    happened = kinds.get(event["detail-type"], Happened.OTHER)
    return _notice(event["id"], happened, detail["bucket"]["name"], detail["object"]["key"], event["time"])


def _pub_sub(message: dict[str, Any]) -> Notice:
    kinds = {"OBJECT_FINALIZE": Happened.CREATED, "OBJECT_DELETE": Happened.REMOVED, "OBJECT_ARCHIVE": Happened.REMOVED}
    told = message["attributes"]
    happened = kinds.get(told["eventType"], Happened.OTHER)
    if happened is Happened.REMOVED and told.get("overwrittenByGeneration"):
        happened = Happened.OTHER  # an overwrite is told a second time, as the creation
    at = told.get("eventTime") or message["publishTime"]
    return _notice(message["messageId"], happened, told["bucketId"], told["objectId"], at)


def _event_grid(event: dict[str, Any]) -> Notice:
    kinds = {"Microsoft.Storage.BlobCreated": Happened.CREATED, "Microsoft.Storage.BlobDeleted": Happened.REMOVED}
    happened = kinds.get(event.get("eventType") or event["type"], Happened.OTHER)
    _, _, rest = event["subject"].partition("/containers/")
    place, _, name = rest.partition("/blobs/")
    return _notice(event["id"], happened, place, name, event.get("eventTime") or event["time"])


def _supabase(event: dict[str, Any]) -> Notice:
    kinds = {"INSERT": Happened.CREATED, "UPDATE": Happened.CREATED, "DELETE": Happened.REMOVED}
    row = event.get("record") or event["old_record"]
    at = row.get("updated_at") or row["created_at"]
    told = hashlib.sha256(_plain(event)).hexdigest()
    return _notice(told, kinds.get(event["type"], Happened.OTHER), row["bucket_id"], row["name"], at)


def _notice(event_id: str, happened: Happened, place: str, name: str, at: str) -> Notice:
    moment = datetime.fromisoformat(at)
    if len(event_id) > 200:
        event_id = hashlib.sha256(event_id.encode()).hexdigest()
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Notice(event_id, happened, place, name[:OBJECT_NAME_MAX], aware.astimezone(UTC))


def _of(event: dict[str, Any], name: str) -> dict[str, Any]:
    value = event.get(name)
    return value if isinstance(value, dict) else {}


def _plain(event: dict[str, Any]) -> bytes:
    return json.dumps(event, sort_keys=True).encode()


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise ShapeUnknown("the body is not JSON") from exc
