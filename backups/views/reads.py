"""What the pages show, read with as few queries as rows are kinds, whatever the number of weddings."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db.models import Case, DateField, F, IntegerField, Q, When, Window
from django.db.models.functions import RowNumber

from backups.models import Copy, DocumentFolder, Job, JobMove, Snapshot, SnapshotCopy, Source, Vault, Wedding
from backups.policy.verdict import Cause, read_late
from backups.services.recovery_result import RecoveryFacts
from backups.services.verdicts import DANGER, Verdict, away_words
from backups.states import JOB_UNFINISHED, CopyState, JobState
from backups.views.picture import TONES, job_icon, job_picture, job_tone, place_names, rate_since_start
from wedbackup.core import clock

SNAPSHOTS_SHOWN = 5
PROOFS = {
    "server_sha256": "the provider's SHA-256",
    "server_md5": "the provider's MD5",
    "read_back": "read back and compared",
}
COPY_TONES = {
    CopyState.EMPTY: "empty",
    CopyState.CURRENT: "safe",
    CopyState.BEHIND: "attention",
    CopyState.UNREACHABLE: "danger",
    CopyState.DAMAGED: "danger",
}
MOVES_IN_WORDS: dict[tuple[str, JobState], str] = {
    ("", JobState.QUEUED): "Asked for",
    (JobState.QUEUED, JobState.RUNNING): "Started",
    (JobState.RUNNING, JobState.QUEUED): "Back to waiting",
    (JobState.FAILED, JobState.QUEUED): "Asked for again",
    (JobState.CANCELLED, JobState.QUEUED): "Asked for again",
}


# Reasons name locations and paths of the platform: a vendor reads how it stands, not why.
TOLD_VENDORS = {
    Cause.NOTHING_YET: "Not everything is backed up yet. Keep your own originals.",
    Cause.NEVER_SAFE: "Your files are not safely copied yet. Our team sees this too; keep your own originals.",
    Cause.NOT_SAFE_YET: "Your newest files are not in enough places yet. Our team sees this too; keep your originals.",
    Cause.TOO_CLOSE: "Your files are copied, but all copies could be lost together. Our team sees this too.",
    Cause.AWAY: "A place with a copy of your files does not answer at the moment. Our team sees this too.",
    Cause.BEHIND: "A copy of your files is being brought up to date. Our team sees this too.",
    Cause.DAMAGED: "A copy of your files is damaged and will be repaired. Our team sees this too; keep your originals.",
    Cause.NOT_READ: "A copy of your files was not read back in time. Our team sees this too.",
    Cause.ARCHIVED: "Copies of your files lie where it takes hours to fetch them. Our team sees this too.",
    Cause.RESIDENCY: "A copy of your files lies in a country where it should not. Our team sees this too.",
    Cause.SUSPICIOUS: "The newest state of your files looks unusual. Earlier ones are kept until somebody has looked.",
    Cause.STALE: "The newest backup of your files is older than it should be. Our team sees this too.",
}
IN_DANGER = "Your files are not safely copied. Our team sees this too; keep your own originals."


def told_to(user: Any, verdict: Verdict) -> Verdict:
    """Return `verdict` in the words that `user` may read."""
    if user.sees_everything or verdict.cause is None:
        return verdict
    told = IN_DANGER if verdict.level == DANGER else TOLD_VENDORS[verdict.cause]
    return Verdict(verdict.level, told, cause=verdict.cause)


def told_overview(user: Any, verdict: Verdict, count: int) -> Verdict:
    """Return the verdict over all `count` weddings; a vendor's are called theirs."""
    if user.sees_everything or verdict.level != "safe":
        return verdict
    return Verdict("safe", f"Your {'wedding is' if count == 1 else f'{count} weddings are'} safe.")


@dataclass(frozen=True)
class CopyLine:
    """One copy as a person sees it."""

    copy: Copy
    place: str
    tone: str
    words: str
    proof: str
    read_late: bool


@dataclass
class VaultView:
    """One vault with everything its card shows."""

    vault: Vault
    copies: list[CopyLine] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    folders: list[DocumentFolder] = field(default_factory=list)

    @property
    def newest_acknowledged(self) -> Snapshot | None:
        return next((snapshot for snapshot in self.snapshots if snapshot.acknowledged_at), None)

    @property
    def pips(self) -> list[tuple[str, str]]:
        return [(line.tone, f"{line.place}: {line.words}") for line in self.copies]


@dataclass(frozen=True)
class JobLine:
    """One job in a list, with its picture and its signs."""

    job: Job
    picture: dict[str, Any]
    tone: str
    icon: str
    pips: list[tuple[str, str]]


def vault_views(vaults: Sequence[Vault], user: Any) -> list[VaultView]:
    """Return `vaults` with their copies, sources and newest snapshots: five queries for any number of them."""
    views = {vault.pk: VaultView(vault) for vault in vaults}
    for source in Source.objects.visible_to(user).filter(vault__in=vaults):
        views[source.vault_id].sources.append(source)
    for folder in DocumentFolder.objects.visible_to(user).filter(vault__in=vaults).select_related("location"):
        views[folder.vault_id].folders.append(folder)
    for snapshot in _newest_snapshots(vaults, user):
        views[snapshot.vault_id].snapshots.append(snapshot)
    proofs = _proofs(views.values())
    for vault_id, copies in copies_by_vault(vaults, user).items():
        names = place_names(copies, user)
        views[vault_id].copies = [_copy_line(copy, names[str(copy.location_id)], proofs) for copy in copies]
    return list(views.values())


def _newest_snapshots(vaults: Sequence[Vault], user: Any) -> Any:
    """Return of each vault the newest snapshots, and the newest acknowledged one, newest first."""
    place = Window(RowNumber(), partition_by=F("vault"), order_by=F("number").desc())
    is_safe = Case(When(acknowledged_at=None, then=0), default=1)
    safe_place = Window(RowNumber(), partition_by=[F("vault"), is_safe], order_by=F("number").desc())
    rows = Snapshot.objects.visible_to(user).filter(vault__in=vaults).annotate(place=place, safe_place=safe_place)
    return rows.filter(Q(place__lte=SNAPSHOTS_SHOWN) | Q(safe_place=1, acknowledged_at__isnull=False)).order_by(
        "-number"
    )


def _proofs(views: Iterable[VaultView]) -> dict[int, str]:
    """Return by copy how its newest snapshot was proved."""
    newest = [view.snapshots[0].pk for view in views if view.snapshots]
    rows = SnapshotCopy.objects.filter(snapshot__in=newest).values_list("copy_id", "proof")
    return {copy_id: PROOFS.get(proof, proof) for copy_id, proof in rows}


def _copy_line(copy: Copy, place: str, proofs: dict[int, str]) -> CopyLine:
    state, away = CopyState(copy.state), away_words(copy.location)
    since = max(copy.vault.created_at, copy.location.created_at)
    late = state == CopyState.CURRENT and read_late(copy.verified_at, since, clock.SYSTEM_CLOCK.utcnow())
    tone, words = COPY_TONES[state], state.label
    if away and state != CopyState.EMPTY:
        tone, words = "danger", f"{words}, but cannot be reached: {away}"
    return CopyLine(copy, place, tone, words, proofs.get(copy.pk, ""), late)


def copies_by_vault(vaults: Iterable[Vault], user: Any) -> dict[Any, list[Copy]]:
    """Return the copies of each vault, in one query, the required ones first."""
    found: dict[Any, list[Copy]] = defaultdict(list)
    rows = Copy.objects.visible_to(user).filter(vault__in=list(vaults)).select_related("location", "vault")
    for copy in rows.order_by("-required", "location__name"):
        found[copy.vault_id].append(copy)
    return found


def job_lines(jobs: Sequence[Job], user: Any, now: datetime) -> list[JobLine]:
    """Return `jobs` with their pictures; they come with vault, wedding and organisation selected."""
    copies = copies_by_vault({job.vault for job in jobs if job.vault is not None}, user)
    return [_job_line(job, copies.get(job.vault_id, []), user, now) for job in jobs]


def job_line(job: Job, user: Any, now: datetime) -> JobLine:
    return job_lines([job], user, now)[0]


def _job_line(job: Job, copies: list[Copy], user: Any, now: datetime) -> JobLine:
    places = {} if job.kind == Job.Kind.RECOVERY else place_names(copies, user)
    picture = job_picture(job, now=now, user=user, places=places, rate=rate_since_start(job))
    pips = [(place["tone"], f"{place['name']}: {place['words']}") for place in picture["places"]]
    return JobLine(job, picture, job_tone(job), job_icon(job), pips)


@dataclass(frozen=True)
class MoveLine:
    """One change of a job's state, in words."""

    words: str
    tone: str
    actor: str
    reason: str
    at: datetime


def move_lines(job: Job) -> list[MoveLine]:
    """Return the timeline of `job`, oldest first."""
    return [_move_line(move) for move in job.moves.all()]


def _move_line(move: JobMove) -> MoveLine:
    words = MOVES_IN_WORDS.get((move.old_state, JobState(move.new_state)), JobState(move.new_state).label.capitalize())
    return MoveLine(words, TONES[JobState(move.new_state)], move.actor, move.reason, move.at)


@dataclass(frozen=True)
class ProofView:
    """What a recovery promised and what it proved, as pages show it; `total` is None before it has looked."""

    facts: RecoveryFacts

    @property
    def promised_seconds(self) -> float:
        return self.facts.promised_seconds

    @property
    def priority_seconds(self) -> float | None:
        return self.facts.first.seconds

    @property
    def total(self) -> int | None:
        return self.facts.expected

    @property
    def equal(self) -> int:
        return self.facts.equal

    @property
    def misses(self) -> tuple[tuple[str, str], ...]:
        return self.facts.misses

    @property
    def first_missing(self) -> int:
        return self.facts.first.expected - self.facts.first.equal

    @property
    def zip_name(self) -> str:
        return os.path.basename(self.facts.zip_path)

    @property
    def is_whole(self) -> bool:
        return self.facts.is_whole

    @property
    def is_kept(self) -> bool:
        return self.facts.promise_kept


def recovery_proof(job: Job) -> ProofView:
    """Return the promise and the proof of a recovery."""
    return ProofView(RecoveryFacts.of(job))


def jobs_of(user: Any) -> Any:
    return Job.objects.visible_to(user).select_related("vault", "wedding", "organisation", "requested_by")


def unfinished_jobs(user: Any) -> list[Job]:
    """Return what runs, then what waits, the most urgent first."""
    rows = jobs_of(user).filter(state__in=JOB_UNFINISHED).order_by("-state", "priority", "created_at")
    return list(rows[:200])


def find_weddings(user: Any, *, words: str, when: str, today: date) -> Any:
    """Return the weddings that `user` may see, filtered by words of couple or venue and by time, the next one first."""
    rows = Wedding.objects.visible_to(user)
    for word in words.split()[:8]:
        rows = rows.filter(Q(couple__icontains=word) | Q(venue__icontains=word))
    if when == "coming":
        return rows.filter(date__gte=today).order_by("date", "couple")
    if when == "past":
        return rows.filter(date__lt=today).order_by("-date", "couple")
    is_past = Case(When(date__lt=today, then=1), default=0, output_field=IntegerField())
    coming = Case(When(date__gte=today, then="date"), output_field=DateField())
    return rows.order_by(is_past, coming, "-date", "couple")
