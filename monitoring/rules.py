"""What events deserve an alert, in pure functions: an occurrence goes in, wishes come out.

Troubles that happen at a moment (a backup failed) are found here; conditions that hold until they end (a vault is
overdue) are in `monitoring.conditions`.

Alerts with an organisation are read by its people. Their texts name no other tenant and nothing of the platform:
no location, no path, no provider's answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from monitoring.conditions import location_down, location_key, vault_suspicious
from monitoring.wishes import Severity, Wish, location_link


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event with what a rule has to know around it.

    about:  what it concerns, in words: "Okafor & Lindqvist: Guest data".
    urgent: the wedding takes place within a week or did so within the last.
    """

    tag: str
    subject_id: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    organisation_id: UUID | None = None
    about: str = ""
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What follows from an occurrence: alerts to raise, and keys of alerts whose trouble is over."""

    wishes: tuple[Wish, ...] = ()
    over: tuple[str, ...] = ()


NOTHING = Judgement()


def concerns(tag: str, payload: Mapping[str, Any]) -> bool:
    """Say whether an event can lead to anything; most cannot, and need not be described at all."""
    if tag == "job.moved":
        return (payload.get("kind", ""), payload.get("new", "")) in _JOB_RULES
    return tag in _RULES


def judge(occurrence: Occurrence) -> Judgement:
    """Return what follows from one event; events of no interest give NOTHING."""
    rule = _RULES.get(occurrence.tag)
    return rule(occurrence) if rule else NOTHING


def _job_moved(it: Occurrence) -> Judgement:
    rule = _JOB_RULES.get((it.payload.get("kind", ""), it.payload.get("new", "")))
    return rule(it) if rule else NOTHING


def _severity(it: Occurrence) -> Severity:
    return Severity.CRITICAL if it.urgent else Severity.WARNING


def _job_link(it: Occurrence) -> str:
    return f"/jobs/{it.subject_id}/"


def _outcome(it: Occurrence) -> str:
    """The job's own sentences; they name locations and paths."""
    parts = (it.payload.get("message") or it.payload.get("reason"), it.payload.get("advice"))
    return " ".join(part for part in parts if part)


def _backup_key(it: Occurrence, trouble: str) -> str:
    return f"backup.{trouble}:{it.payload.get('vault')}"


def _backup_failed(it: Occurrence) -> Judgement:
    wish = Wish(
        key=_backup_key(it, "failed"),
        severity=_severity(it),
        title=f"Backup failed: {it.about}",
        text="No new snapshot was made. The older ones are kept and can be restored.",
        what_to_do="Open the job, put right what it names, then choose Try again. The platform's team sees this too.",
        detail=_outcome(it),
        link=_job_link(it),
        organisation_id=it.organisation_id,
    )
    return Judgement((wish,))


def _backup_degraded(it: Occurrence) -> Judgement:
    wish = Wish(
        key=_backup_key(it, "degraded"),
        severity=Severity.WARNING,
        title=f"Backup has gaps: {it.about}",
        text="A snapshot was made, but not everything is where it should be.",
        what_to_do="Open the job and read what is missing. The next backup tries again by itself.",
        detail=_outcome(it),
        link=_job_link(it),
        organisation_id=it.organisation_id,
    )
    return Judgement((wish,), over=(_backup_key(it, "failed"),))


def _backup_completed(it: Occurrence) -> Judgement:
    return Judgement(over=(_backup_key(it, "failed"), _backup_key(it, "degraded")))


def _recovery_key(it: Occurrence) -> str:
    return f"recovery.failed:{it.payload.get('wedding')}:{it.organisation_id}"


def _recovery_failed(it: Occurrence) -> Judgement:
    wish = Wish(
        key=_recovery_key(it),
        severity=Severity.CRITICAL,
        title=f"Recovery did not bring everything back: {it.about}",
        text="Files are missing, or could not be proved to be what was stored.",
        what_to_do="Open the recovery, see which files are missing, and start it again.",
        detail=_outcome(it),
        link=_job_link(it),
        organisation_id=it.organisation_id,
    )
    return Judgement((wish,))


def _recovery_completed(it: Occurrence) -> Judgement:
    return Judgement(over=(_recovery_key(it),))


def _snapshot_suspicious(it: Occurrence) -> Judgement:
    """Whether it is over is no event's to say: the vault's own row is looked at, in `monitoring.watch`."""
    vault, reason, wedding = it.payload.get("vault"), it.payload.get("reason", ""), it.payload.get("wedding")
    return Judgement((vault_suspicious(vault, it.about, it.urgent, it.organisation_id, wedding, reason),))


def _location_down(it: Occurrence) -> Judgement:
    reason, advice = it.payload.get("reason", ""), it.payload.get("advice", "")
    return Judgement((location_down(it.subject_id, it.payload.get("name", ""), it.urgent, reason, advice),))


def _location_recovered(it: Occurrence) -> Judgement:
    return Judgement(over=(location_key(it.subject_id),))


def _objects_key(it: Occurrence) -> str:
    return f"objects.changed:{it.payload.get('vault')}:{it.payload.get('place')}"


def _objects_changed(it: Occurrence) -> Judgement:
    count, named = it.payload.get("count", 0), ", ".join(it.payload.get("objects", []))
    wish = Wish(
        key=_objects_key(it),
        severity=Severity.CRITICAL,
        title=f"Somebody else removed files of a copy: {it.about}",
        text="Files are gone that this program did not remove. The copy is being checked and repaired.",
        what_to_do="Look at the provider for a lifecycle rule that deletes. If there is none, find out who holds this "
        "location's credential; enter a new one and delete the old at the provider.",
        detail=f"{it.payload.get('name', '')}: {count} removed, for example {named}",
        link=location_link(it.subject_id),
    )
    return Judgement((wish,))


# Work that nobody waits for: without an alert nobody would ever hear that it fails each time.
_UPKEEP = {
    "check": (
        "A copy could not be verified",
        "Whether all of its files are whole is not known, or some of them are not.",
        "Open the job and do what it says. The check comes again by itself.",
    ),
    "catch_up": (
        "A copy could not be brought up to date",
        "It misses what the newer snapshots need; the other copies have it.",
        "Open the job and read what is missing. It is tried again by itself once the location answers.",
    ),
    "prune": (
        "Old snapshots could not be cleared away everywhere",
        "Nothing that is kept is lost by it, but storage fills up, and what was to be erased may still lie there.",
        "Open the job and put right what it names. The next one comes within a day of the next backup.",
    ),
    "documents": (
        "A folder for clients was not filled completely",
        "What clients see there may be old or incomplete. The backups themselves are not touched by it.",
        "Open the job and put right what it names. The folder is filled again by itself.",
    ),
}


# What a check looks at, the least first: one that did more also says what those that do less would have said.
_DEPTHS = ("structure", "sample", "reading")


def _upkeep_key(it: Occurrence, depth: str = "") -> str:
    key = f"{it.payload.get('kind')}.failed:{it.payload.get('vault')}:{it.payload.get('place') or ''}"
    return f"{key}:{depth}" if depth else key


def _upkeep_failed(it: Occurrence) -> Judgement:
    title, text, what_to_do = _UPKEEP[it.payload["kind"]]
    wish = Wish(
        key=_upkeep_key(it, it.payload.get("depth") or ""),
        severity=_severity(it) if it.payload["kind"] == "check" else Severity.WARNING,
        title=f"{title}: {it.about}",
        text=text,
        what_to_do=what_to_do,
        detail=_outcome(it),
        link=_job_link(it),
    )
    return Judgement((wish,))


def _upkeep_completed(it: Occurrence) -> Judgement:
    return Judgement(over=(_upkeep_key(it),))


def _check_completed(it: Occurrence) -> Judgement:
    """A check ends what one of its kind, or a lesser one, of the same copy found; a lesser one proves nothing more."""
    done = _DEPTHS.index(it.payload.get("depth") or _DEPTHS[0])
    lesser = [_upkeep_key(it, depth) for depth in _DEPTHS[: done + 1]]
    before = [f"objects.changed:{it.payload.get('vault')}", _upkeep_key(it)]  # as older versions raised them
    return Judgement(over=(_objects_key(it), *lesser, *before))


def _webhook_key(it: Occurrence) -> str:
    return f"webhook.failing:{it.subject_id}"


def _webhook_failing(it: Occurrence) -> Judgement:
    wish = Wish(
        key=_webhook_key(it),
        severity=Severity.WARNING,
        title=f"A webhook is not heard: {it.payload.get('name', '')}",
        text="Messages to it were tried for a day and given up. Whoever relies on them hears nothing.",
        what_to_do="Open the webhook, read what its receiver answers, put it right, then choose Send a test.",
        detail=it.payload.get("reason", ""),
        link=f"/webhooks/{it.subject_id}/",
    )
    return Judgement((wish,))


def _webhook_recovered(it: Occurrence) -> Judgement:
    return Judgement(over=(_webhook_key(it),))


def _quota_key(it: Occurrence) -> str:
    return f"location.filling:{it.subject_id}"


def _location_filling(it: Occurrence) -> Judgement:
    full = it.tag == "location.full"
    name, quota = it.payload.get("name", ""), it.payload.get("quota_bytes") or 1
    wish = Wish(
        key=_quota_key(it),
        severity=Severity.CRITICAL if full else Severity.WARNING,
        title=f"{name} has reached its quota" if full else f"{name} is filling up",
        text=f"{100 * it.payload.get('used_bytes', 0) / quota:.0f} % of its quota is used. "
        + ("Nothing more is stored there." if full else "At the quota nothing more is stored there."),
        what_to_do="Raise the quota on the location's page, or free space: prune its vaults or move copies elsewhere.",
        link=location_link(it.subject_id),
    )
    return Judgement((wish,))


def _location_roomy(it: Occurrence) -> Judgement:
    return Judgement(over=(_quota_key(it),))


def _refusal_key(it: Occurrence) -> str:
    return f"credential.refused:{it.subject_id}:{it.payload.get('role')}"


def _credential_refused(it: Occurrence) -> Judgement:
    """Whoever entered it sees it on the page; what came from the environment nobody looks at."""
    wish = Wish(
        key=_refusal_key(it),
        severity=Severity.WARNING,
        title=f"The new credential of {it.payload.get('name', '')} was refused",
        text=it.payload.get("reason") or "It could not be proved.",
        what_to_do="The one before stays in use. Put right what it says, then enter the new one again.",
        link=location_link(it.subject_id),
    )
    return Judgement((wish,))


def _credential_changed(it: Occurrence) -> Judgement:
    return Judgement(over=(_refusal_key(it),))


def _silence(key: str, title: str, text: str, what_to_do: str) -> Callable[[Occurrence], Judgement]:
    return lambda _: Judgement((Wish(key, Severity.CRITICAL, title, text, what_to_do),))


def _silence_over(key: str) -> Callable[[Occurrence], Judgement]:
    return lambda _: Judgement(over=(key,))


SCHEDULER_SILENT = (
    "scheduler.silent",
    "The scheduler is silent",
    "Nothing starts backups by itself and nothing watches the locations at the moment.",
    "Start the service again (manage.py serve, or the scheduler's own unit) and look at its log.",
)
WORKERS_SILENT = (
    "workers.silent",
    "No worker is answering",
    "Backups and recoveries wait in the queue; none of them is being worked on.",
    "Start a worker (manage.py serve, or the workers' own units) and look at its log; what waits goes on by itself.",
)

_RULES: dict[str, Callable[[Occurrence], Judgement]] = {
    "job.moved": _job_moved,
    "snapshot.suspicious": _snapshot_suspicious,
    "location.down": _location_down,
    "location.recovered": _location_recovered,
    "credential.refused": _credential_refused,
    "credential.changed": _credential_changed,
    "location.filling": _location_filling,
    "location.full": _location_filling,
    "location.roomy": _location_roomy,
    "location.objects_changed": _objects_changed,
    "webhook.failing": _webhook_failing,
    "webhook.recovered": _webhook_recovered,
    "scheduler.silent": _silence(*SCHEDULER_SILENT),
    "scheduler.returned": _silence_over(SCHEDULER_SILENT[0]),
    "workers.silent": _silence(*WORKERS_SILENT),
    "workers.returned": _silence_over(WORKERS_SILENT[0]),
}
_JOB_RULES: dict[tuple[str, str], Callable[[Occurrence], Judgement]] = {
    ("backup", "failed"): _backup_failed,
    ("backup", "degraded"): _backup_degraded,
    ("backup", "completed"): _backup_completed,
    **{(kind, new): _upkeep_failed for kind in _UPKEEP for new in ("failed", "degraded")},
    **{(kind, "completed"): _upkeep_completed for kind in _UPKEEP},
    ("check", "completed"): _check_completed,
    ("recovery", "failed"): _recovery_failed,
    ("recovery", "degraded"): _recovery_failed,
    ("recovery", "completed"): _recovery_completed,
}
