"""Live news: the row at once, pushes, the row itself when nobody pushes, and nothing for whom it is not meant."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser

from backups import consumers
from backups.models import Job, Membership, Vault
from backups.routing import websocket_urlpatterns
from backups.services.jobs import job_enqueue
from backups.services.moves import job_move
from backups.states import JobState
from providers.models import Location
from providers.services.breakers import ROW_POLICY
from providers.services.locations import location_open, location_report
from tests.cast import Cast
from wedbackup.core import live
from wedbackup.core.clock import ManualClock
from wedbackup.core.models import User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]
READ = {"bytes_done": 1_000_000, "bytes_total": 4_000_000, "files_done": 2, "files_total": 7, "total_known": True}


@pytest.fixture
def job(vault: Vault, cast: Cast, clock: ManualClock) -> Job:
    """A running backup that has reported nothing yet."""
    job = job_enqueue(kind=Job.Kind.BACKUP, organisation=cast.lumen, wedding=cast.wedding, vault=vault, clock=clock)
    job_move(job, JobState.RUNNING, reason="", actor="worker", clock=clock, started_at=clock.utcnow())
    return job


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats and polls in milliseconds, so that no test waits."""
    monkeypatch.setattr(consumers.LiveConsumer, "heartbeat_seconds", 0.05)
    monkeypatch.setattr(consumers.JobConsumer, "poll_seconds", 0.02)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No poll and no heartbeat within a test: only pushes."""
    monkeypatch.setattr(consumers.LiveConsumer, "heartbeat_seconds", 600.0)
    monkeypatch.setattr(consumers.JobConsumer, "poll_seconds", 600.0)


class Page:
    """A browser's end of a WebSocket."""

    def __init__(self, path: str, user: Any) -> None:
        self.socket = WebsocketCommunicator(URLRouter(websocket_urlpatterns), path)
        self.socket.scope["user"] = user

    async def __aenter__(self) -> Page:
        connected, _ = await self.socket.connect()
        assert connected
        self.first = await self.socket.receive_output(timeout=5)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.disconnect()

    async def hears(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first message like that; other messages in between are passed over."""
        async with asyncio.timeout(5):
            while True:
                message = await self.socket.receive_json_from(timeout=5)
                if message["type"] != "hello" and wanted(message):
                    return message

    async def closed_with(self) -> int:
        message = self.first
        async with asyncio.timeout(5):
            while True:
                if message["type"] == "websocket.close":
                    return message["code"]
                message = await self.socket.receive_output(timeout=5)

    async def everything(self) -> list[dict[str, Any]]:
        """Return all that came until now."""
        messages = []
        while not await self.socket.receive_nothing(timeout=0.15, interval=0.01):
            messages.append(await self.socket.receive_json_from())
        return messages

    async def hears_nothing(self) -> bool:
        return await self.socket.receive_nothing(timeout=0.15, interval=0.01)


def of_type(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: message["type"] == name


def progress_message(job: Job, clock: ManualClock, **changes: Any) -> dict[str, Any]:
    return {
        "type": "job.progress",
        "job": str(job.pk),
        "at": clock.utcnow().isoformat(),
        "progress": READ | changes,
    }


def push(group: str, message: dict[str, Any]) -> Awaitable[None]:
    return get_channel_layer().group_send(group, message)


async def test_a_job_page_gets_the_rows_state_at_once(job: Job, cast: Cast, quiet: None) -> None:
    async with Page(f"/ws/job/{job.pk}/", cast.vera) as page:
        picture = json.loads(page.first["text"])["picture"]
    assert picture["id"] == str(job.pk)
    assert picture["state"] == "running"
    assert len(picture["places"]) == 3


async def test_a_pushed_report_reaches_the_page(job: Job, cast: Cast, clock: ManualClock, quiet: None) -> None:
    async with Page(f"/ws/job/{job.pk}/", cast.alice) as page:
        clock.advance(1)
        await push(f"job.{job.pk}", progress_message(job, clock))
        picture = (await page.hears(of_type("job")))["picture"]
    assert picture["percent"] == 25
    assert picture["texts"]["files"] == "2 of 7"


async def test_a_time_to_go_is_told_only_after_three_seconds_of_rate(
    job: Job, cast: Cast, clock: ManualClock, quiet: None
) -> None:
    told = []
    async with Page(f"/ws/job/{job.pk}/", cast.alice) as page:
        for second in range(5):
            clock.advance(1)
            await push(f"job.{job.pk}", progress_message(job, clock, bytes_done=500_000 * (second + 1)))
            told.append((await page.hears(of_type("job")))["picture"]["texts"])
    assert [texts["rate"] for texts in told] == ["–", "–", "–", "500 kB/s", "500 kB/s"]  # noqa: RUF001
    assert told[2]["eta"] == "known in a moment"
    assert told[4]["eta"] == "a few seconds"


async def test_no_time_to_go_is_told_while_files_are_still_being_found(
    job: Job, cast: Cast, clock: ManualClock, quiet: None
) -> None:
    async with Page(f"/ws/job/{job.pk}/", cast.alice) as page:
        for second in range(5):
            clock.advance(1)
            report = progress_message(job, clock, bytes_done=500_000 * (second + 1), total_known=False)
            await push(f"job.{job.pk}", report)
            picture = (await page.hears(of_type("job")))["picture"]
    assert picture["percent"] is None
    assert picture["texts"]["eta"] == "counting first"
    assert picture["texts"]["files"] == "2 of 7+"


async def test_without_pushes_the_page_reads_the_row(job: Job, cast: Cast, clock: ManualClock, quick: None) -> None:
    """`manage.py backup` in another process writes the row and pushes nothing here."""
    async with Page(f"/ws/job/{job.pk}/", cast.vera) as page:
        row = Job.unscoped.filter(pk=job.pk)
        await database_sync_to_async(row.update)(progress=READ, progress_at=clock.utcnow())
        message = await page.hears(lambda message: message.get("picture", {}).get("percent") == 25)
    assert message["picture"]["texts"]["bytes"] == "1.0 MB of 4.0 MB"


async def test_the_end_of_a_job_is_told_and_then_the_row_is_left_alone(
    job: Job, cast: Cast, clock: ManualClock, quick: None
) -> None:
    async with Page(f"/ws/job/{job.pk}/", cast.alice) as page:
        await database_sync_to_async(job_move)(
            job, JobState.COMPLETED, reason="", actor="worker", clock=clock, message="7 files in 3 places."
        )
        message = await page.hears(lambda message: message.get("picture", {}).get("ended") is True)
        assert message["picture"]["texts"]["outcome"] == "7 files in 3 places."
        later = [await page.hears(lambda _: True) for _ in range(4)]
    assert [message["type"] for message in later if message["type"] == "job"] == []


async def test_a_report_that_comes_after_the_end_changes_nothing(
    job: Job, cast: Cast, clock: ManualClock, quiet: None
) -> None:
    """The worker's heart beats beside the job: its last report may be sent after the end was written."""
    await database_sync_to_async(job_move)(job, JobState.COMPLETED, reason="", actor="worker", clock=clock)
    async with Page(f"/ws/job/{job.pk}/", cast.alice) as one, Page("/ws/live/", cast.alice) as all_news:
        clock.advance(1)
        await push(f"job.{job.pk}", progress_message(job, clock))
        await push("platform", progress_message(job, clock))
        assert await all_news.hears_nothing()
        assert [message["type"] for message in await one.everything()] == ["hello"]


async def test_a_move_makes_the_page_fetch_itself_again(job: Job, cast: Cast, quiet: None) -> None:
    async with Page(f"/ws/job/{job.pk}/", cast.alice) as page:
        await push(f"job.{job.pk}", {"type": "job.moved", "job": str(job.pk)})
        assert (await page.hears(of_type("event")))["topic"] == "job"


async def test_a_foreign_job_closes_with_not_there(job: Job, cast: Cast, quiet: None) -> None:
    async with Page(f"/ws/job/{job.pk}/", cast.carl) as page:
        assert await page.closed_with() == 4404


async def test_an_unknown_job_closes_just_the_same(cast: Cast, quiet: None) -> None:
    async with Page("/ws/job/6f1c1e9e-0000-4000-8000-000000000000/", cast.carl) as page:
        assert await page.closed_with() == 4404


@pytest.mark.parametrize("path", ["/ws/live/", "/ws/job/6f1c1e9e-0000-4000-8000-000000000000/"])
async def test_a_stranger_is_closed_out(cast: Cast, path: str, quiet: None) -> None:
    async with Page(path, AnonymousUser()) as page:
        assert await page.closed_with() == 4401


async def test_a_foreign_vendor_hears_nothing_of_the_job(job: Job, cast: Cast, clock: ManualClock, quiet: None) -> None:
    async with Page("/ws/live/", cast.carl) as carl, Page("/ws/live/", cast.vera) as vera:
        for group in (f"job.{job.pk}", f"organisation.{cast.lumen.pk}", f"wedding.{cast.wedding.pk}", "platform"):
            await push(group, progress_message(job, clock))
        assert (await vera.hears(of_type("job")))["picture"]["id"] == str(job.pk)
        assert await carl.hears_nothing()


async def test_a_vendors_picture_names_no_place_and_no_error_of_the_platform(
    job: Job, cast: Cast, clock: ManualClock, locations: list[Any], quiet: None
) -> None:
    async with Page(f"/ws/job/{job.pk}/", cast.vera) as page:
        clock.advance(1)
        failed = {str(locations[0].pk): "AccessDenied on /srv/attic"}
        await push(
            f"job.{job.pk}", progress_message(job, clock, location_errors=failed, current="/srv/lumen/IMG_1.jpg")
        )
        picture = (await page.hears(of_type("job")))["picture"]
    assert picture["texts"]["current"] == "IMG_1.jpg"
    assert "Attic" not in str(picture) and "/srv" not in str(picture)
    assert "did not take the copy" in str(picture["places"])


async def test_a_changed_alert_is_told_without_its_content(cast: Cast, quiet: None) -> None:
    async with Page("/ws/live/", cast.sam) as page:
        await push("platform", {"type": "alert.changed", "title": "secret"})
        assert await page.hears(lambda _: True) == {"type": "event", "topic": "alert"}


async def test_a_location_that_goes_down_or_comes_back_is_told_to_the_platforms_people_at_once(
    cast: Cast, locations: list[Location], clock: ManualClock, quiet: None
) -> None:
    report = database_sync_to_async(location_report)
    live.register_loop(asyncio.get_running_loop())
    try:
        async with Page("/ws/live/", cast.sam) as sam, Page("/ws/live/", cast.vera) as vera:
            for _ in range(ROW_POLICY.failures_to_open):
                await report(locations[0], ok=False, error="no answer", clock=clock)
            assert await sam.hears(lambda _: True) == {"type": "event", "topic": "location"}
            assert await sam.hears_nothing()
            clock.advance(ROW_POLICY.open_seconds)
            await database_sync_to_async(location_open)(locations[0], purpose="backup", clock=clock)
            await report(locations[0], ok=True, clock=clock)
            assert await sam.hears(lambda _: True) == {"type": "event", "topic": "location"}
            assert await vera.hears_nothing()
    finally:
        live.register_loop(None)


async def test_a_message_that_no_page_knows_is_no_error(cast: Cast, quiet: None) -> None:
    async with Page("/ws/live/", cast.sam) as page:
        await push("platform", {"type": "something.new"})
        await push("platform", {"type": "alert.changed"})
        assert (await page.hears(of_type("event")))["topic"] == "alert"


async def test_the_heartbeat_comes_when_nothing_else_does(cast: Cast, quick: None) -> None:
    async with Page("/ws/live/", cast.sam) as page:
        assert (await page.hears(lambda _: True))["type"] == "heartbeat"


async def test_who_loses_the_membership_is_closed_out_at_the_next_heartbeat(job: Job, cast: Cast, quick: None) -> None:
    async with Page(f"/ws/job/{job.pk}/", cast.vera) as page:
        await database_sync_to_async(Membership.unscoped.filter(user=cast.vera).delete)()
        assert await page.closed_with() in {1012, 4404}
    async with Page(f"/ws/job/{job.pk}/", cast.vera) as again:
        assert await again.closed_with() == 4404


async def test_who_is_switched_off_is_closed_out_at_the_next_heartbeat(cast: Cast, quick: None) -> None:
    async with Page("/ws/live/", cast.vera) as page:
        await database_sync_to_async(User.objects.filter(pk=cast.vera.pk).update)(is_active=False)
        assert await page.closed_with() == 4401
