"""Progress in the terminal: bars for a person, sentences for a file, and an end that leaves the screen as it was."""

from __future__ import annotations

import io
import threading

from backups.models import Job
from backups.services.backups import backup_request
from backups.states import JobState
from backups.terminal import Follower, sentence, watch
from tests.backups.ground import Ground, ground
from wedbackup.core.clock import ManualClock

__all__ = ["ground"]

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"  # what hides and shows a terminal's cursor


class Screen(io.StringIO):
    """A terminal without a person."""

    def isatty(self) -> bool:
        return True


def running(job: Job, clock: ManualClock, done: int) -> None:
    progress = {
        "step": "read",
        "files_done": done,
        "files_total": 10,
        "bytes_done": done * 1_000_000,
        "bytes_total": 10_000_000,
        "bytes_new": done * 1_000_000,
        "total_known": True,
        "location_bytes": {str(copy.location_id): done * 900_000 for copy in job.vault.copies.all()},  # type: ignore[union-attr]
        "location_errors": {},
    }
    Job.unscoped.filter(pk=job.pk).update(state=JobState.RUNNING, progress=progress, progress_at=clock.utcnow())


def test_a_terminal_shows_files_bytes_rate_and_every_place(ground: Ground) -> None:
    (job,) = backup_request(vault=ground.vault(), reason="test")
    clock, screen, looks = ManualClock(), Screen(), []

    def a_second_passes(_: float) -> None:
        looks.append(True)
        clock.advance(1)
        running(job, clock, len(looks))
        if len(looks) == 4:
            Job.unscoped.update(state=JobState.COMPLETED, message="10 files, 10 MB: stored in 3 places, all confirmed.")

    (ended,) = watch([job], out=screen, wait=a_second_passes, clock=clock)

    shown = screen.getvalue()
    assert "3/10 files" in shown
    assert "1.0 MB/s" in shown
    for place in (1, 2, 3):
        assert f"Folder {place}" in shown
    assert shown.count(HIDE) == shown.count(SHOW)
    assert sentence(ended).endswith("done. 10 files, 10 MB: stored in 3 places, all confirmed.")


def test_what_is_over_at_once_draws_nothing(ground: Ground) -> None:
    (job,) = backup_request(vault=ground.vault(), reason="test")
    ground.run(job)
    screen = Screen()
    watch([job], out=screen)
    assert screen.getvalue() == ""


def test_a_server_that_stops_ends_the_drawing(ground: Ground) -> None:
    backup_request(vault=ground.vault(), reason="test")
    screen, told = Screen(), threading.Event()
    follower = Follower(screen, lambda followed: told.set())
    follower.start()
    follower.stop()
    assert screen.getvalue().count(HIDE) == screen.getvalue().count(SHOW)
    assert not told.is_set()
