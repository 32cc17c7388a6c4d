"""What PostgreSQL itself refuses when a query forgets its scope. Run by `test_postgresql.py` on a private server."""

from __future__ import annotations

import pytest
from django.db import ProgrammingError, connection, transaction
from django.test import Client

from backups.models import Copy, Job, Snapshot, Source, Vault, Wedding
from backups.services.jobs import job_enqueue
from tests.cast import PASSWORD, Cast
from wedbackup.core.rowsecurity import seen_by

SCOPED = (Vault, Copy, Source, Job, Wedding)


@pytest.fixture(autouse=True)
def job(cast: Cast, vault: Vault) -> Job:
    return job_enqueue(kind=Job.Kind.BACKUP, organisation=cast.lumen, wedding=cast.wedding, vault=vault)


@pytest.mark.django_db
def test_a_query_without_a_scope_shows_a_stranger_nothing(cast: Cast) -> None:
    with seen_by(cast.carl):
        assert [model.__name__ for model in SCOPED if model.unscoped.exists()] == []


@pytest.mark.django_db
def test_the_same_query_shows_owner_and_staff_their_rows(cast: Cast) -> None:
    for user in (cast.vera, cast.sam):
        with seen_by(user):
            assert [model.__name__ for model in SCOPED if not model.unscoped.exists()] == []


@pytest.mark.django_db
def test_a_stranger_can_neither_change_nor_make_rows_of_others(cast: Cast, vault: Vault) -> None:
    with seen_by(cast.carl):
        assert Vault.unscoped.filter(pk=vault.pk).update(suspicion="mine now") == 0
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            job_enqueue(kind=Job.Kind.BACKUP, organisation=cast.lumen)
    assert Snapshot.unscoped.count() == 0
    assert Vault.unscoped.get().suspicion == ""


@pytest.mark.django_db
def test_the_platforms_own_jobs_are_no_vendors(cast: Cast) -> None:
    job = job_enqueue(kind=Job.Kind.VALIDATION, organisation=None, parameters={"location": "Shelf"})
    for vendor in (cast.vera, cast.carl):
        with seen_by(vendor):
            assert not Job.unscoped.filter(pk=job.pk).exists()
            with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
                job_enqueue(kind=Job.Kind.VALIDATION, organisation=None)
    with seen_by(cast.sam):
        assert Job.unscoped.filter(pk=job.pk).exists()


@pytest.mark.django_db
def test_after_a_request_the_session_is_the_platforms_again(cast: Cast) -> None:
    client = Client()
    client.login(username="carl", password=PASSWORD)
    assert client.get(f"/weddings/{cast.wedding.pk}/").status_code == 404
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('wedbackup.organisations')")
        assert cursor.fetchone() == ("*",)
    assert Vault.unscoped.count() == 1
