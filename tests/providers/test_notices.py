"""What providers tell, each in its own shape, comes out in one."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.notices import Happened, ShapeUnknown, handshake_code, notices_in

AT = datetime(2026, 6, 20, 14, 30, tzinfo=UTC)
S3: dict[str, Any] = {
    "eventVersion": "2.1",
    "eventTime": "2026-06-20T14:30:00.000Z",
    "eventName": "ObjectRemoved:Delete",
    "s3": {"bucket": {"name": "copies"}, "object": {"key": "v/data/a+b%2Bc", "sequencer": "0055AED6DCD90281E5"}},
}
EVENT_BRIDGE = {
    "version": "0",
    "id": "17793124-05d4-b198-2fde-7ededc63b103",
    "detail-type": "Object Deleted",
    "time": "2026-06-20T14:30:00Z",
    "detail": {"bucket": {"name": "copies"}, "object": {"key": "v/data/x"}, "reason": "DeleteObject"},
}
PUB_SUB: dict[str, Any] = {
    "subscription": "projects/p/subscriptions/s",
    "message": {
        "attributes": {
            "eventType": "OBJECT_DELETE",
            "bucketId": "copies",
            "objectId": "v/data/x",
            "eventTime": "2026-06-20T14:30:00.000000Z",
        },
        "data": base64.b64encode(b"{}").decode(),
        "messageId": "136969346945",
        "publishTime": "2026-06-20T14:30:01Z",
    },
}
EVENT_GRID = {
    "topic": "/subscriptions/x",
    "subject": "/blobServices/default/containers/copies/blobs/v/data/x",
    "eventType": "Microsoft.Storage.BlobDeleted",
    "eventTime": "2026-06-20T14:30:00.0000000Z",
    "id": "4c2359fe-001e-00ba-0e04-58586806d298",
    "data": {"api": "DeleteBlob"},
}
CLOUD_EVENT = {
    "specversion": "1.0",
    "type": "Microsoft.Storage.BlobDeleted",
    "subject": EVENT_GRID["subject"],
    "time": "2026-06-20T16:30:00+02:00",
    "id": "9aeb0fdf",
}
SUPABASE = {
    "type": "DELETE",
    "table": "objects",
    "schema": "storage",
    "record": None,
    "old_record": {"name": "v/data/x", "bucket_id": "copies", "updated_at": "2026-06-20T14:30:00+00:00"},
}


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"Records": [S3]}, "v/data/a b+c"),
        ({"Type": "Notification", "MessageId": "1", "Message": json.dumps({"Records": [S3]})}, "v/data/a b+c"),
        (EVENT_BRIDGE, "v/data/x"),
        (PUB_SUB, "v/data/x"),
        ([EVENT_GRID], "v/data/x"),
        (CLOUD_EVENT, "v/data/x"),
        (SUPABASE, "v/data/x"),
    ],
    ids=["s3", "sns", "eventbridge", "gcs", "azure", "cloudevents", "supabase"],
)
def test_a_deletion_is_understood_in_every_shape(message: object, name: str) -> None:
    (notice,) = notices_in(json.dumps(message).encode())
    assert (notice.happened, notice.place, notice.name, notice.at) == (Happened.REMOVED, "copies", name, AT)
    assert notices_in(json.dumps(message).encode())[0].event_id == notice.event_id, "told again it is the same event"


def test_two_deletions_of_one_name_are_two_events() -> None:
    later = {**S3, "s3": {**S3["s3"], "object": {**S3["s3"]["object"], "sequencer": "0055AED6DCD90281E6"}}}
    first, second = notices_in(json.dumps({"Records": [S3, later]}).encode())
    assert first.event_id != second.event_id


def test_an_overwrite_at_google_is_no_deletion() -> None:
    attributes = {**PUB_SUB["message"]["attributes"], "overwrittenByGeneration": "7"}
    message = {"message": {**PUB_SUB["message"], "attributes": attributes}}
    assert notices_in(json.dumps(message).encode())[0].happened is Happened.OTHER


def test_an_announcement_tells_nothing() -> None:
    assert notices_in(b'{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "copies"}') == []


def test_event_grids_handshake_is_answered_with_its_code() -> None:
    event = {"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "512d38b6"}}
    assert handshake_code(json.dumps([event]).encode()) == "512d38b6"
    assert handshake_code(json.dumps([EVENT_GRID]).encode()) == ""


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]x", b"7", b'{"Records": [{}]}', b'{"detail-type": 7}', b"[" * 100_000]
)
def test_what_has_no_shape_is_refused_and_harms_nothing(body: bytes) -> None:
    with pytest.raises(ShapeUnknown):
        notices_in(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "Records",
                        "s3",
                        "message",
                        "attributes",
                        "type",
                        "specversion",
                        "schema",
                        "table",
                        "detail-type",
                        "detail",
                        "Type",
                        "Message",
                        "eventType",
                    ]
                ),
                inner,
            )
        ),
    )
)
def test_any_json_gives_notices_or_a_clear_refusal(message: object) -> None:
    try:
        notices_in(json.dumps(message).encode())
    except ShapeUnknown as refused:
        assert str(refused)
