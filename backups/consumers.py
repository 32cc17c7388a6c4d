"""Live news for the pages, over WebSockets: who may hear what is decided at connecting and again at each heartbeat.

A page gets the row's state when it connects, then what workers push. Work done by a command in another process pushes
nothing here, so a job's page falls back to reading the row each second. Close codes: 4401 signed out, 4404 not there or
somebody else's; the browser does not come back after either.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.contrib.auth import get_user_model

from backups.models import Job, Organisation
from backups.services.opening import copies_of
from backups.views.picture import Rate, job_picture, place_names, rate_since_start
from wedbackup.core import clock
from wedbackup.core.live import PLATFORM
from wedbackup.core.rowsecurity import seen_by

log = logging.getLogger(__name__)

T = TypeVar("T")

SIGNED_OUT, NOT_THERE = 4401, 4404
COME_BACK = 1012  # "service restart": the browser connects again and joins what is its own now
HEARTBEAT_SECONDS = 10.0
POLL_SECONDS = 1.0


@dataclass
class Followed:
    """A job that a page follows: its row as last read, the names of its places, and how fast it goes."""

    job: Job
    places: dict[str, str]
    user: Any
    rate: Rate = field(default_factory=Rate)

    def take(self, progress: dict[str, Any], at: datetime) -> bool:
        """Take a pushed report; False for one that is overtaken: it may be sent after the job's end was written."""
        if self.job.ended or (self.job.progress_at is not None and at <= self.job.progress_at):
            return False
        self.job.progress, self.job.progress_at = progress, at
        self._note()
        return True

    def take_row(self, job: Job) -> None:
        """Take the row as it is now; within one attempt its progress may be older than what was pushed."""
        known = self.job
        same_attempt = known.started_at == job.started_at and job.state == known.state
        if same_attempt and known.progress_at and (job.progress_at is None or job.progress_at < known.progress_at):
            job.progress, job.progress_at = known.progress, known.progress_at
        self.job = job
        self._note()

    def _note(self) -> None:
        if self.job.progress_at is not None:
            self.rate.add(self.job.progress_at.timestamp(), int(self.job.progress.get("bytes_done", 0)))

    def _rate(self) -> float | None:
        return rate_since_start(self.job) if self.job.ended else self.rate.per_second

    def message(self) -> dict[str, Any]:
        """Return the picture as it is sent."""
        now = clock.SYSTEM_CLOCK.utcnow()
        picture = job_picture(self.job, now=now, user=self.user, places=self.places, rate=self._rate())
        return {"type": "job", "picture": picture}


def _fresh_user(user: Any) -> Any | None:
    """Return the person as the database knows them now, None when they may not be here any more."""
    if not user.is_authenticated:
        return None
    return get_user_model().objects.filter(pk=user.pk, is_active=True).first()


def _groups_of(user: Any) -> list[str]:
    """Return the live groups of everything that `user` may see."""
    if user.sees_everything:
        return [PLATFORM]
    return [f"organisation.{pk}" for pk in Organisation.objects.visible_to(user).values_list("pk", flat=True)]


def _read_job(user: Any, job_id: uuid.UUID | str) -> Job | None:
    return Job.objects.visible_to(user).filter(pk=job_id).select_related("vault", "wedding").first()


def _follow(user: Any, job_id: uuid.UUID | str) -> Followed | None:
    """Return the job for following it, None if it is not there for `user`."""
    job = _read_job(user, job_id)
    if job is None:
        return None
    copies = copies_of(job.vault) if job.vault is not None and job.kind != Job.Kind.RECOVERY else []
    followed = Followed(job, place_names(copies, user), user)
    followed.take_row(job)
    return followed


async def _read(reader: Callable[..., T], user: Any, *what: str) -> T:
    """Call `reader` in a thread whose database session sees only what `user` may see."""

    def narrowed() -> T:
        with seen_by(user):
            return reader(user, *what)

    return await database_sync_to_async(narrowed)()


class LiveConsumer(AsyncJsonWebsocketConsumer):
    """News of everything the person may see: alerts that changed, jobs that moved, pictures of running jobs."""

    heartbeat_seconds = HEARTBEAT_SECONDS

    async def connect(self) -> None:
        self.joined: list[str] = []
        self.followed: dict[str, Followed] = {}
        self.beating: asyncio.Task[None] | None = None
        # Accepted first: a browser learns the code of a close, but nothing from a refused handshake.
        await self.accept()
        self.user = await database_sync_to_async(_fresh_user)(self.scope["user"])
        if self.user is None:
            await self.close(SIGNED_OUT)
        elif await self.prepare():
            # What changed between the page's rendering and the joining was told to nobody: the page asks again.
            await self.send_json({"type": "hello"})
            self.beating = asyncio.create_task(self.beat())

    async def prepare(self) -> bool:
        """Join the groups; False when the person may not be here and the socket was closed."""
        await self.join_own()
        return True

    async def join_own(self) -> None:
        """Join the groups of everything the person may see."""
        self.groups = set(await database_sync_to_async(_groups_of)(self.user))
        await self.join(self.groups)

    async def join(self, groups: set[str]) -> None:
        for group in groups:
            await self.channel_layer.group_add(group, self.channel_name)
        self.joined += [*groups]

    async def disconnect(self, code: int) -> None:
        del code
        if self.beating is not None:
            self.beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.beating
        for group in self.joined:
            await self.channel_layer.group_discard(group, self.channel_name)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As the base class, but a message that no page asks for is no error."""
        if not hasattr(self, message["type"].replace(".", "_")):
            log.debug("no page listens to %s", message["type"])
            return
        await super().dispatch(message)

    async def beat(self) -> None:
        """Say "I am here" until the person may not be here any more."""
        while True:
            await asyncio.sleep(self.heartbeat_seconds)
            if not await self.may_stay():
                return
            await self.send_json({"type": "heartbeat"})

    async def may_stay(self) -> bool:
        """Ask again who the person is: a membership or a role may be gone since."""
        user = await database_sync_to_async(_fresh_user)(self.user)
        if user is None:
            await self.close(SIGNED_OUT)
            return False
        if user.role != self.user.role or set(await database_sync_to_async(_groups_of)(user)) != self.groups:
            await self.close(COME_BACK)
            return False
        return True

    async def alert_changed(self, message: dict[str, Any]) -> None:
        """The page fetches what it may see; the message itself carries nothing of the alert."""
        del message
        await self.send_json({"type": "event", "topic": "alert"})

    async def location_changed(self, message: dict[str, Any]) -> None:
        """The page asks for the cards that it shows; only the platform's people hear of locations."""
        del message
        await self.send_json({"type": "event", "topic": "location"})

    async def job_moved(self, message: dict[str, Any]) -> None:
        self.followed.pop(message["job"], None)
        await self.send_json({"type": "event", "topic": "job"})

    async def job_progress(self, message: dict[str, Any]) -> None:
        followed = self.followed.get(message["job"])
        if followed is None:
            followed = await _read(_follow, self.user, message["job"])
            if followed is None:
                return
            self.followed[message["job"]] = followed
        if followed.take(message["progress"], datetime.fromisoformat(message["at"])):
            await self.send_json(followed.message())


class JobConsumer(LiveConsumer):
    """One job: its state at once, then every push, and the row itself when nobody pushes."""

    poll_seconds = POLL_SECONDS

    async def prepare(self) -> bool:
        self.job_id = str(self.scope["url_route"]["kwargs"]["job_id"])
        followed = await _read(_follow, self.user, self.job_id)
        if followed is None:
            await self.close(NOT_THERE)
            return False
        self.one = followed
        self.pushed_at = float("-inf")
        await self.join({f"job.{self.job_id}"})
        await self.join_own()
        await self.send_json(followed.message())
        return True

    async def beat(self) -> None:
        """Heartbeats, and between them the row itself as long as the job lives and nobody pushes."""
        loop = asyncio.get_running_loop()
        heartbeat_at = loop.time() + self.heartbeat_seconds
        while True:
            await asyncio.sleep(min(self.poll_seconds, max(0.0, heartbeat_at - loop.time())))
            now = loop.time()
            due = now >= heartbeat_at
            if due:
                if not await self.may_stay():
                    return
                heartbeat_at = now + self.heartbeat_seconds
                await self.send_json({"type": "heartbeat"})
            silent = now - self.pushed_at >= self.poll_seconds
            if (due or (silent and not self.one.job.ended)) and not await self.read_row():
                return

    async def read_row(self) -> bool:
        """Read the row and send it if it may have news; False when it is not there for the person any more."""
        job = await _read(_read_job, self.user, self.job_id)
        if job is None:
            await self.close(NOT_THERE)
            return False
        changed = job.state != self.one.job.state or not job.ended
        self.one.take_row(job)
        if changed:
            await self.send_json(self.one.message())
        return True

    async def job_moved(self, message: dict[str, Any]) -> None:
        if message["job"] == self.job_id and await self.read_row():
            await self.send_json({"type": "event", "topic": "job"})

    async def job_progress(self, message: dict[str, Any]) -> None:
        if message["job"] != self.job_id:
            return
        self.pushed_at = asyncio.get_running_loop().time()
        if self.one.take(message["progress"], datetime.fromisoformat(message["at"])):
            await self.send_json(self.one.message())
