"""Jobs: what runs and what ran, one job live, cancel and retry."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from backups.models import Job
from backups.services.jobs import JobRefused, job_cancel, job_retry
from backups.states import JobState
from backups.views.picture import summary
from backups.views.reads import job_line, job_lines, jobs_of, move_lines, recovery_proof, unfinished_jobs
from wedbackup.core import clock
from wedbackup.core.access import fetch, person
from wedbackup.core.htmx import render_page

JOBS_PER_PAGE = 50


@require_GET
def job_list(request: HttpRequest) -> HttpResponse:
    """All jobs the person may see; the overview's panel asks for the unfinished ones only."""
    state = request.GET.get("state", "")
    now = clock.SYSTEM_CLOCK.utcnow()
    if state == "unfinished":
        jobs = unfinished_jobs(request.user)
        context = {"running": job_lines(jobs, request.user, now), "running_summary": summary(jobs), "state": state}
    else:
        found = jobs_of(request.user).order_by("-created_at")
        found = found.filter(state=state) if state in JobState.values else found
        page = Paginator(found, JOBS_PER_PAGE).get_page(request.GET.get("page"))
        context = {"page": page, "lines": job_lines(list(page.object_list), request.user, now), "state": state}
    return render_page(
        request,
        "backups/jobs.html",
        "backups/fragments/_jobs.html",
        context | {"states": JobState.choices},
        targets={"running": "backups/fragments/_running.html"},
    )


@require_GET
def job_page(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """One job, live."""
    job = fetch(Job, request.user, job_id, "vault", "wedding", "organisation", "requested_by")
    context = {
        "job": job,
        "line": job_line(job, request.user, clock.SYSTEM_CLOCK.utcnow()),
        "moves": move_lines(job),
        "proof": recovery_proof(job) if job.kind == Job.Kind.RECOVERY else None,
        "may_cancel": not job.ended and not job.cancel_requested,
        "may_retry": job.state in {JobState.FAILED, JobState.CANCELLED},
    }
    return render_page(request, "backups/job.html", "backups/fragments/_job.html", context)


@require_POST
def job_cancel_now(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Stop a job. A running one stops at its next safe point."""
    job = fetch(Job, request.user, job_id)
    if not job_cancel(job, actor=person(request)):
        messages.warning(request, "There was nothing to stop any more: the job has ended.")
    return redirect("job", job.pk)


@require_POST
def job_retry_now(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Queue an ended job again."""
    job = fetch(Job, request.user, job_id)
    try:
        job_retry(job, actor=person(request))
    except JobRefused as refusal:
        messages.warning(request, str(refusal))
    return redirect("job", job.pk)
