"""Documents as plain files where clients can open them: from an acknowledged snapshot into a folder of a location.

What is in the folder is a convenience, not a copy: the vault's copies stay what a recovery reads. Documents that left
the wedding stay in the folder until a person removes them there; nothing a client may be looking at is deleted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery

from backups.engine.errors import EngineError
from backups.engine.format.tree import Node
from backups.engine.progress import Progress
from backups.engine.restore.browse import join, open_folders
from backups.models import DocumentFolder, Job, Snapshot, Vault
from backups.policy.names import readable_names, readable_part
from backups.services.browsing import Browser, snapshot_browse
from backups.services.jobs import job_enqueue
from backups.services.weddings import wedding_promise
from backups.states import JOB_UNFINISHED, JobState
from backups.worker import JobContext, Outcome
from providers import registry
from providers.models import Location
from providers.services.locations import location_open, location_report
from providers.stores.base import Holds, ObjectStore
from providers.stores.errors import InvalidName, Rejected, StoreError
from wedbackup.core.audit import AuditTag, record
from wedbackup.core.clock import SYSTEM_CLOCK, Clock
from wedbackup.core.models import User
from wedbackup.core.moments import within
from wedbackup.core.templatetags.words import counted

PURPOSE = "documents"
DOCUMENT_BYTES_MAX = 256 * 1024 * 1024  # a document is read whole; what is larger is no document
AGAIN_AFTER = timedelta(hours=1)
RANK = 10  # behind the backups of the same wedding


def document_locations() -> list[Location]:
    """Return the locations that take plain documents."""
    rows = Location.objects.filter(enabled=True)
    return [row for row in rows if registry.kind_named(row.kind).store_class().capabilities.holds is Holds.DOCUMENTS]


def document_folder_add(
    vault: Vault, location: Location, *, actor: User, clock: Clock = SYSTEM_CLOCK
) -> DocumentFolder:
    """Have the documents of `vault` put as plain files into a folder of `location`; the first filling is queued.

    Raises ValidationError for a vault of another class than documents, a location that is not for documents or was not
    validated, or when the vault has a folder there already.
    """
    if vault.protection_class != Vault.ProtectionClass.DOCUMENTS:
        raise ValidationError("Only documents are put into readable folders; guest data and photos stay encrypted.")
    if location not in document_locations():
        raise ValidationError(f"{location.name} holds vaults, or is switched off; choose a location for documents.")
    if location.validated_at is None:
        raise ValidationError(f"{location.name} was not validated yet; press Validate on its page first.")
    folder = DocumentFolder(vault=vault, location=location, name=_folder_name(vault), created_at=clock.utcnow())
    with transaction.atomic():
        folder.full_clean()
        folder.save(force_insert=True)
        record(
            AuditTag.DOCUMENTS_SHARED,
            actor=actor,
            subject_type="vault",
            subject_id=vault.pk,
            organisation_id=vault.organisation_id,
            detail={"location": location.name, "folder": folder.name},
            clock=clock,
        )
        documents_request(folder, user=actor, clock=clock)
    return folder


def documents_request(folder: DocumentFolder, *, user: User | None = None, clock: Clock = SYSTEM_CLOCK) -> Job:
    """Queue a filling of `folder`, unless one is waiting or running: that one is returned."""
    vault = folder.vault
    unfinished = Job.unscoped.filter(kind=Job.Kind.DOCUMENTS, state__in=JOB_UNFINISHED, organisation=vault.organisation)
    same = next((job for job in unfinished if job.parameters.get("folder") == str(folder.pk)), None)
    return same or job_enqueue(
        kind=Job.Kind.DOCUMENTS,
        organisation=vault.organisation,
        wedding=vault.wedding,
        priority=wedding_promise(vault.wedding, clock=clock).rank + RANK,
        parameters={"folder": str(folder.pk), "location": folder.location.name},
        requested_by=user,
        clock=clock,
    )


def documents_enqueue_due(*, clock: Clock = SYSTEM_CLOCK) -> list[Job]:
    """Queue a filling of each folder whose vault has a newer acknowledged snapshot, not oftener than each hour."""
    newest = Snapshot.unscoped.filter(vault=OuterRef("vault"), acknowledged_at__isnull=False, suspicion="")
    stale = DocumentFolder.unscoped.annotate(newest=Subquery(newest.order_by("-number").values("pk")[:1])).filter(
        Q(snapshot=None) | ~Q(snapshot=F("newest")), newest__isnull=False, location__enabled=True
    )
    recent = Job.unscoped.filter(within("created_at", clock.utcnow(), AGAIN_AFTER), kind=Job.Kind.DOCUMENTS)
    asked = {job.parameters.get("folder") for job in recent}
    due = stale.select_related("vault__organisation", "vault__wedding", "location")
    return [documents_request(folder, clock=clock) for folder in due if str(folder.pk) not in asked]


def run_documents(context: JobContext) -> Outcome:
    """Fill one folder from the newest trustworthy snapshot; what is there already and unchanged is not sent again.

    Raises StoreError while the location does not answer (the worker queues the job again), EngineError.
    """
    rows = DocumentFolder.unscoped.select_related("vault__wedding", "vault__organisation", "location")
    folder = rows.filter(pk=context.job.parameters["folder"]).first()
    if folder is None:
        return Outcome(JobState.COMPLETED, "The folder was given up meanwhile; there is nothing to fill.")
    acknowledged = Snapshot.unscoped.filter(vault=folder.vault, acknowledged_at__isnull=False, suspicion="")
    snapshot = acknowledged.order_by("-number").first()
    if snapshot is None:
        return Outcome(
            JobState.COMPLETED, "No snapshot of the documents is acknowledged yet; the folder is filled when one is."
        )
    filling = _Filling(context, folder, snapshot_browse(snapshot, clock=context.clock))
    try:
        filling.run(location_open(folder.location, purpose=PURPOSE, clock=context.clock))
    except StoreError as exc:
        location_report(folder.location, ok=False, error=exc, clock=context.clock)
        with context.fenced():
            DocumentFolder.unscoped.filter(pk=folder.pk).update(last_error=f"{exc}. {exc.advice}"[:300])
        raise
    location_report(folder.location, ok=True, clock=context.clock)
    return _record(context, folder, snapshot, filling)


@dataclass
class _Filling:
    context: JobContext
    folder: DocumentFolder
    browser: Browser
    manifest: dict[str, str] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0

    def run(self, store: ObjectStore) -> None:
        """Bring the folder up to date in `store`, and close it."""
        try:
            files = dict(_files(self.browser))
            there = {info.name: info.size_bytes for info in store.list(f"{self.folder.name}/")}
            progress = Progress(
                step="documents",
                files_total=len(files),
                bytes_total=sum(node.size for node in files.values()),
                total_known=True,
            )
            for path, name in readable_names(files).items():
                self.context.cancel.check()
                progress.current = name
                self.context.report(progress)
                self._one(store, there, path, name, files[path])
                progress.files_done += 1
                progress.bytes_done += files[path].size
            self.context.report(progress)
        finally:
            store.close()

    def _one(self, store: ObjectStore, there: dict[str, int], path: bytes, name: str, node: Node) -> None:
        full, print_ = f"{self.folder.name}/{name}", _fingerprint(node)
        shown = path.decode("utf-8", "replace")
        if node.size > DOCUMENT_BYTES_MAX:
            self.left_out.append((shown, "larger than 256 MiB"))
            return
        if self.folder.manifest.get(name) == print_ and there.get(full) == node.size:
            self.manifest[name] = print_
            return
        try:
            content = self.browser.read(node, offset=0, length=node.size)
            info = store.put(full, content, sha256=hashlib.sha256(content).hexdigest())
        except (InvalidName, EngineError) as exc:
            self.left_out.append((shown, str(exc)))
            return
        if info.proof is None:
            raise Rejected(f"{self.folder.location.name} did not confirm {name}")
        self.manifest[name] = print_
        self.sent += 1


def _files(browser: Browser) -> Iterator[tuple[bytes, Node]]:
    """Yield (path, node) of every regular file of the snapshot. Raises Damaged at a folder that is lost."""
    base = browser.locate(b"")
    if base.subtree is None:
        return
    for opened in open_folders(browser.reader, base.subtree):
        if isinstance(opened.nodes, EngineError):
            raise opened.nodes
        for node in opened.nodes:
            if node.type == "file":
                yield join(opened.path, node.name), node


def _fingerprint(node: Node) -> str:
    """Return what stays the same as long as the content does: the ids of its blobs name their plain content."""
    return hashlib.sha256(b"".join(node.content)).hexdigest()


def _folder_name(vault: Vault) -> str:
    wedding = f"{vault.wedding.date} {vault.wedding.couple}" if vault.wedding else "Documents"
    return f"{readable_part(vault.organisation.name.encode())}/{readable_part(wedding.encode())}"


def _record(context: JobContext, folder: DocumentFolder, snapshot: Snapshot, filling: _Filling) -> Outcome:
    with context.fenced():
        DocumentFolder.unscoped.filter(pk=folder.pk).update(
            manifest=filling.manifest,
            left_out=filling.left_out,
            snapshot=snapshot,
            filled_at=context.clock.utcnow(),
            last_error="",
        )
    gone = len(set(folder.manifest) - set(filling.manifest))
    words = f"{counted(len(filling.manifest), 'document')} in {folder.name} at {folder.location.name}"
    message = f"{words}, {filling.sent} of them new or changed."
    if gone:
        message += f" {counted(gone, 'document')} left the wedding and stayed in the folder."
    details = {"documents": len(filling.manifest), "sent": filling.sent, "left_out": filling.left_out[:50]}
    if filling.left_out:
        advice = "Rename or shrink what was left out; the folder's card on the wedding's page lists it with reasons."
        missing = f" {counted(len(filling.left_out), 'document')} left out."
        return Outcome(JobState.DEGRADED, message + missing, advice, details)
    return Outcome(JobState.COMPLETED, message, "", details)
