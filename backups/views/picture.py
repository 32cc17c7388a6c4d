"""What a person sees of a job: one picture, as plain values, for the page and for every live message.

Templates fill the first picture into the page; the browser writes later ones into the elements of the same names. So
the wording exists once, and a reload shows what the live page showed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from backups.models import Copy, Job
from backups.states import JobState
from wedbackup.core.templatetags.words import counted, duration, number, size

RATE_WINDOW_SECONDS = 10.0
ETA_NEEDS_SECONDS = 3.0  # of measured rate; a guess after less than that jumps about

TONES = {
    JobState.QUEUED: "empty",
    JobState.RUNNING: "calm",
    JobState.COMPLETED: "safe",
    JobState.DEGRADED: "attention",
    JobState.FAILED: "danger",
    JobState.CANCELLED: "empty",
}
ICONS = {
    JobState.QUEUED: "waiting",
    JobState.RUNNING: "running",
    JobState.COMPLETED: "safe",
    JobState.DEGRADED: "attention",
    JobState.FAILED: "danger",
    JobState.CANCELLED: "stopped",
}
STEPS = {
    "start": "Getting ready",
    "scan": "Counting the files",
    "read": "Reading, encrypting and sending",
    "upload": "Sending to the locations",
    "index": "Writing the index of each copy",
    "snapshot": "Writing the snapshot to each copy",
    "restore": "Writing the files back",
    "check": "Reading every byte of the copy",
    "verify": "Comparing every file's hash",
    "prune": "Removing what is no longer kept",
    "copy": "Bringing the copy up to date",
    "zip": "Packing the zip",
    "sample": "Reading a few pieces at random",
    "validate": "Putting each promise to the test",
}


def job_tone(job: Job) -> str:
    """Return the tone a job is shown in: green only when what it stored is acknowledged as well."""
    unproved = job.state == JobState.COMPLETED and job.result.get("acknowledged") is False
    return "attention" if unproved else TONES[JobState(job.state)]


def job_icon(job: Job) -> str:
    """Return the icon that says the same without colour."""
    return "attention" if job_tone(job) == "attention" else ICONS[JobState(job.state)]


# A vendor is told how it went, not how the platform is built.
VENDOR_OUTCOMES = {
    JobState.QUEUED: "It starts by itself as soon as there is room.",
    JobState.RUNNING: "",
    JobState.COMPLETED: "Everything went well.",
    JobState.DEGRADED: "Your files were copied, but not every place has them yet. The platform's people know.",
    JobState.FAILED: "It did not work this time. The platform's people know; your earlier copies are untouched.",
    JobState.CANCELLED: "Somebody stopped it. Your earlier copies are untouched.",
}


@dataclass
class Rate:
    """How fast a job goes, from the reports of the last seconds."""

    _reports: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, at: float, done: int) -> None:
        """Take a report: `done` [bytes] at `at` [s]. A late one is passed over; a smaller figure is a new attempt."""
        if self._reports and at <= self._reports[-1][0]:
            return
        if self._reports and done < self._reports[-1][1]:
            self._reports.clear()
        self._reports.append((at, done))
        while len(self._reports) > 2 and at - self._reports[0][0] > RATE_WINDOW_SECONDS:
            self._reports.popleft()

    @property
    def per_second(self) -> float | None:
        """Bytes per second, or None as long as the reports span too little time to say."""
        if len(self._reports) < 2:
            return None
        (first_at, first), (last_at, last) = self._reports[0], self._reports[-1]
        if last_at - first_at < ETA_NEEDS_SECONDS:
            return None
        return (last - first) / (last_at - first_at)


def rate_since_start(job: Job) -> float | None:
    """The average rate of this attempt [bytes/s], for a page that has seen no reports, and for an ended job."""
    until = job.finished_at or job.progress_at
    if job.started_at is None or until is None or job.state == JobState.QUEUED:
        return None
    seconds = (until - job.started_at).total_seconds()
    return job.progress.get("bytes_done", 0) / seconds if seconds > ETA_NEEDS_SECONDS else None


def place_names(copies: Sequence[Copy], user: Any) -> dict[str, str]:
    """Return how each copy's location is called for `user`: a vendor reads the city, never a name of the platform's."""
    if user.sees_everything:
        return {str(copy.location_id): copy.location.name for copy in copies}
    return {str(copy.location_id): copy.location.city or f"Place {place}" for place, copy in enumerate(copies, start=1)}


def job_picture(
    job: Job, *, now: datetime, user: Any, places: dict[str, str], rate: float | None = None
) -> dict[str, Any]:
    """Return everything the page shows of `job`, ready to be written into it.

    now:    the present moment, for how long it has been going.
    places: names by location id, as `place_names` gives them.
    rate:   bytes per second, None when it cannot be said honestly.
    """
    progress = job.progress
    done, total = int(progress.get("bytes_done", 0)), int(progress.get("bytes_total", 0))
    known = bool(progress.get("total_known"))
    percent = _percent(job, done, total, known)
    whole = known or job.state != JobState.RUNNING
    private = user.sees_everything
    return {
        "id": str(job.id),
        "state": job.state,
        "stage": _stage(job),
        "ended": job.ended,
        "tone": job_tone(job),
        "percent": percent,
        "progress_at": job.progress_at.isoformat() if job.progress_at else None,
        "places": _places(progress, places, job, errors=private),
        "texts": {
            "percent": "" if percent is None else f"{percent} %",
            "step": _step(job),
            "files": _of(number(progress.get("files_done", 0)), number(progress.get("files_total", 0)), whole),
            "bytes": _of(size(done), size(total), whole),
            "new": size(progress.get("bytes_new", 0)),
            "rate": "–" if rate is None else f"{size(rate)}/s",  # noqa: RUF001
            "eta": _eta(job, done, total, known, rate),
            "current": _current(job, whole_path=private),
            "elapsed": duration(_elapsed(job, now)),
            "outcome": job.message if private else VENDOR_OUTCOMES[JobState(job.state)],
        },
    }


def _stage(job: Job) -> str:
    """Return which part of a recovery is under way: what came before it is finished, and its page says so."""
    if job.kind != Job.Kind.RECOVERY or job.state != JobState.RUNNING:
        return ""
    return str(job.progress.get("step", "")).split(": ")[0]


def _percent(job: Job, done: int, total: int, known: bool) -> int | None:
    if job.state in {JobState.COMPLETED, JobState.DEGRADED}:
        return 100
    if job.state == JobState.QUEUED or not (known or job.ended):
        return None
    # 100 is said only by the state: the last packs, index and snapshot come after the last byte was read.
    return min(99, done * 100 // total) if total else 0 if job.ended else None


def _current(job: Job, *, whole_path: bool) -> str:
    """Return what is being read now; a vendor sees the name, not where it lies on the platform's machine."""
    if job.state != JobState.RUNNING:
        return ""
    path = str(job.progress.get("current", ""))
    return path if whole_path else path.rpartition("/")[2]


def _of(done: str, total: str, known: bool) -> str:
    """Return "12 of 40"; "12 of 40+" as long as more may be found; "40" when that is all."""
    if known and done == total:
        return total
    return f"{done} of {total}{'' if known else '+'}"


def _step(job: Job) -> str:
    if job.state == JobState.RUNNING:
        if job.cancel_requested:
            return "Stopping"
        return ": ".join(_step_words(part) for part in str(job.progress.get("step", "start")).split(": "))
    return JobState(job.state).label.capitalize()


def _step_words(step: str) -> str:
    """Return a step of the engine, or the vault that a recovery is at ("documents: verify" has both), in words."""
    return STEPS.get(step, step[:1].upper() + step[1:])


def _eta(job: Job, done: int, total: int, known: bool, rate: float | None) -> str:
    if job.state != JobState.RUNNING:
        return "–"  # noqa: RUF001
    if not known:
        return "counting first"
    if not rate or rate <= 0:
        return "known in a moment"
    left = (total - done) / rate
    return "a few seconds" if left < 5 else f"about {duration(round(left))}"


def _elapsed(job: Job, now: datetime) -> float:
    # Whoever waits for files counts from the request, through every attempt.
    start = job.created_at if job.kind == Job.Kind.RECOVERY else job.started_at or job.created_at
    return max(0.0, ((job.finished_at or now) - start).total_seconds())


def _places(progress: dict[str, Any], places: dict[str, str], job: Job, *, errors: bool) -> list[dict[str, Any]]:
    """One line per location: what it has of the new bytes, and what went wrong there."""
    stored, failed = progress.get("location_bytes", {}), progress.get("location_errors", {})
    whole = max([int(progress.get("bytes_new", 0)), *(int(count) for count in stored.values())], default=0)
    lines = []
    for key, name in places.items():
        count, error = int(stored.get(key, 0)), str(failed.get(key, ""))
        if error:
            state, tone, words = "failed", "danger", error if errors else "did not take the copy"
        elif job.state == JobState.COMPLETED or (job.ended and count == whole and whole):
            state, tone, words = "done", "safe", f"{size(count)} stored"
        elif job.state == JobState.RUNNING:
            state, tone, words = "running", "calm", f"{size(count)} of {size(whole)} so far"
        else:
            state, tone, words = (
                "waiting",
                "empty",
                "nothing sent in this run" if not count else f"{size(count)} stored",
            )
        full = 1 if state == "done" else whole or 1
        lines.append(
            {"key": key, "name": name, "tone": tone, "state": state, "words": words,
             "value": full if state == "done" else min(count, full), "max": full}
        )  # fmt: skip
    return lines


def summary(jobs: Sequence[Job]) -> str:
    """How many run and how many wait, in words."""
    running = sum(job.state == JobState.RUNNING for job in jobs)
    waiting = len(jobs) - running
    if not jobs:
        return "none running"
    return f"{running} running, {waiting} waiting" if waiting else counted(running, "job") + " running"
