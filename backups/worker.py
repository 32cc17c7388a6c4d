"""Runs one job: claim, run, move. The same for the embedded worker, worker processes and commands."""

from __future__ import annotations

import contextlib
import copy
import logging
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection
from django.utils.module_loading import import_string

from backups.engine.errors import Cancelled, EngineError, Locked, TooFewCopies
from backups.engine.progress import CancelToken, Listener
from backups.models import Job
from backups.pulse import PULSE, Run, Stop
from backups.services.jobs import LeaseLost, job_claim, job_hand_back, job_hold, job_move, job_postpone
from backups.states import JobState
from providers.services.traffic import all_paused
from providers.stores.errors import UNTRIED, StoreError
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

log = logging.getLogger(__name__)

RUNNERS: dict[str, str] = {
    Job.Kind.BACKUP: "backups.services.backups.run_backup",
    Job.Kind.RECOVERY: "backups.services.recoveries.run_recovery",
    Job.Kind.CATCH_UP: "backups.services.copies.run_catch_up",
    Job.Kind.CHECK: "backups.services.checking.run_check",
    Job.Kind.PRUNE: "backups.services.pruning.run_prune",
    Job.Kind.DOCUMENTS: "backups.services.documents.run_documents",
    Job.Kind.VALIDATION: "backups.services.validations.run_validation",
}
ATTEMPTS_MAX = 8
BACKOFF_SECONDS = 5.0
BACKOFF_MAX_SECONDS = 300.0
WRITES_MAX = 5
WRITE_PAUSE_SECONDS = 1.0
RECOVERY_THREADS = 4
CANCELLED = "Cancelled. What was stored before is untouched."
SHUTDOWN_REASON = "the server is shutting down"
# Trouble that passes by itself, although the same call need not be repeated at once.
_PASSING = (TooFewCopies, Locked, OperationalError, *UNTRIED)

_stopping = threading.Event()


class StoppedHalfway(Cancelled):
    """Raised by a runner that was stopped when something was done already: its text says what, for a person."""


@dataclass(frozen=True)
class JobContext:
    """What a runner gets.

    job:    the claimed row; write to it, and whatever follows from it, inside `fenced()`.
    cancel: to be asked often, and handed to the engine.
    report: takes the engine's progress.
    """

    job: Job
    cancel: CancelToken
    report: Listener
    clock: Clock = SYSTEM_CLOCK

    @contextlib.contextmanager
    def fenced(self) -> Iterator[None]:
        """Open a transaction that commits only if the job still belongs to this run; raises LeaseLost otherwise."""
        with job_hold(self.job):
            yield


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    state:   COMPLETED, DEGRADED or FAILED.
    message: the outcome in one sentence; advice: what a person should do now, "" for nothing.
    result:  plain values for the job's page.
    """

    state: str
    message: str
    advice: str = ""
    result: dict[str, Any] = field(default_factory=dict)


def run_next(worker_name: str, only: Job | None = None, *, clock: Clock = SYSTEM_CLOCK) -> Job | None:
    """Claim the most urgent job, run it to an end, and return it; None if there was nothing to claim.

    only: this job or none. The calling thread does the work. The last threads of a process are kept for recoveries:
    however many backups are under way, an emergency starts at once. While all traffic is paused, nothing else starts.
    """
    if _stopping.is_set():
        return None
    nearly_full = len(PULSE.runs()) >= settings.WORKER_CONCURRENCY - _reserved_for_recoveries()
    recoveries_only = (nearly_full and only is None) or all_paused()
    job = job_claim(worker=worker_name, only=only, recoveries_only=recoveries_only, clock=clock)
    if job is None:
        return None
    run = Run(job, clock)
    PULSE.add(run)
    try:
        if _stopping.is_set():  # told to stop between the claim and now
            run.stop(Stop.SHUTDOWN)
        _persist(run, worker_name, _attempt(run))
    except (KeyboardInterrupt, SystemExit):
        job_hand_back(job, "its process was interrupted", clock=clock)
        raise
    finally:
        PULSE.remove(run)
    return job


def _reserved_for_recoveries() -> int:
    return min(RECOVERY_THREADS, settings.WORKER_CONCURRENCY // 4)


def _attempt(run: Run) -> Outcome | Exception:
    """Call the runner and return what came of it."""
    try:
        run.cancel.check()
        runner: Callable[[JobContext], Outcome] = import_string(RUNNERS[run.job.kind])
        return runner(JobContext(run.job, run.cancel, run.report, run.clock))
    except Exception as exc:
        return exc


def _persist(run: Run, worker: str, outcome: Outcome | Exception) -> None:
    """Write how it ended, also when the database is too busy for the first try: the work must not be done twice."""
    for _ in range(WRITES_MAX - 1):
        try:
            return _finish(run, worker, outcome)
        except OperationalError as exc:
            log.warning("job %s: its end could not be written (%s); trying again", run.job.pk, exc)
            connection.close()
            run.clock.sleep(WRITE_PAUSE_SECONDS)
        except LeaseLost:
            raise
        except Exception as exc:
            log.error("job %s: its end could not be written", run.job.pk, exc_info=exc)
            run.forget_progress()
            return _end(run, worker, _failure(run.job, exc))
    return _finish(run, worker, outcome)


def _finish(run: Run, worker: str, outcome: Outcome | Exception) -> None:
    """Move the job according to what came of it; writes nothing if the lease is lost."""
    job, clock = run.job, run.clock
    if run.why is Stop.LOST or isinstance(outcome, LeaseLost):
        log.warning("job %s: the lease was lost, its result is dropped", job.pk)
    elif isinstance(outcome, Outcome):
        _end(run, worker, outcome)
    elif run.why is Stop.SHUTDOWN:
        job_hand_back(job, SHUTDOWN_REASON, clock=clock)
    elif isinstance(outcome, Cancelled) or run.why is Stop.CANCELLED:
        said = str(outcome) if isinstance(outcome, StoppedHalfway) else CANCELLED
        _end(run, worker, Outcome(JobState.CANCELLED, said))
    elif _passes(outcome) and job.attempts < ATTEMPTS_MAX:
        _postpone(run, worker, outcome)
    else:
        _end(run, worker, _failure(job, outcome))


def _end(run: Run, worker: str, outcome: Outcome) -> None:
    progress = run.fresh_progress()
    fields: dict[str, Any] = {"progress": progress, "progress_at": run.clock.utcnow()} if progress else {}
    if progress:
        run.tell(progress)
    job_move(
        run.job,
        outcome.state,
        reason=outcome.message,
        actor=worker,
        clock=run.clock,
        message=outcome.message,
        advice=outcome.advice,
        result=outcome.result or run.job.result,  # what a runner kept there before it was stopped, or failed
        **fields,
    )


def _passes(exc: Exception) -> bool:
    """Whether a later attempt may succeed."""
    return isinstance(exc, _PASSING) or (isinstance(exc, StoreError) and exc.retryable)


def _postpone(run: Run, worker: str, exc: Exception) -> None:
    """Back to the queue with exponential backoff, full jitter over its upper half, and the provider's own wish."""
    longest = min(BACKOFF_MAX_SECONDS, BACKOFF_SECONDS * 2 ** (run.job.attempts - 1))
    seconds = longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, protects nothing
    seconds = min(BACKOFF_MAX_SECONDS, max(seconds, getattr(exc, "retry_after", None) or 0.0))
    sentence, advice = _words(exc)
    job_postpone(
        run.job,
        seconds=seconds,
        reason=f"{sentence} Next attempt in {seconds:.0f} s.",
        message=sentence,
        advice=advice,
        actor=worker,
        clock=run.clock,
    )


def _failure(job: Job, exc: Exception) -> Outcome:
    sentence, advice = _words(exc)
    if not isinstance(exc, EngineError | StoreError):
        log.error("job %s (%s) failed unexpectedly", job.pk, job.kind, exc_info=exc)
    elif _passes(exc):
        sentence = f"{sentence} Given up after {job.attempts} attempts."
    return Outcome(JobState.FAILED, sentence, advice)


def _words(exc: Exception) -> tuple[str, str]:
    """Return what happened and what to do now. An unknown exception's text stays in the log: it may hold a secret."""
    if isinstance(exc, EngineError | StoreError):
        return _sentence(str(exc)), exc.advice
    if isinstance(exc, OperationalError):
        return "The database did not answer.", "Check the database server; the job goes on by itself when it answers."
    return (
        f"An unexpected error ({type(exc).__name__}) ended the job.",
        "Try it again; if it fails again, send the server's log to whoever runs this installation.",
    )


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def stop_runs(*, seconds: float = 3.0, clock: Clock = SYSTEM_CLOCK) -> int:
    """Claim no more, cancel what runs here and hand it back to the queue; return how many jobs were handed back.

    seconds: how long the runs may take to stop by themselves [s]; what has not stopped then is handed back over their
    heads, and the fence keeps them from writing.
    """
    _stopping.set()
    runs = PULSE.runs()
    for run in runs:
        run.stop(Stop.SHUTDOWN)
    deadline = clock.monotonic() + seconds
    while PULSE.runs() and clock.monotonic() < deadline:
        clock.sleep(0.02)
    for run in PULSE.runs():
        run.stop(Stop.LOST)
        job_hand_back(copy.copy(run.job), SHUTDOWN_REASON, clock=run.clock)
    PULSE.leave()
    return len(runs)
