"""`manage.py backup`: does the work here, says in a sentence how it went, and ends with 1 when it failed."""

from __future__ import annotations

import io
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from backups.management import running
from backups.models import Job, Vault
from backups.states import JobState
from tests.backups.ground import Ground, fill


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("backup", *arguments, stdout=out)
    return out.getvalue()


def test_a_wedding_is_backed_up_by_the_couples_name(ground: Ground) -> None:
    ground.vault("media")
    ground.vault("documents")
    printed = run("Ada")
    assert printed.index("Documents and timeline: done.") < printed.index("Photos and video: done.")
    assert "stored in 3 places, all confirmed." in printed


def test_a_plain_folder_gets_its_own_vault_once(ground: Ground, tmp_path: Path) -> None:
    fill(tmp_path / "scans")
    run("--path", str(tmp_path / "scans"), "--name", "Scans")
    run("--path", str(tmp_path / "scans"), "--name", "Scans")
    vault = Vault.unscoped.get(organisation__name="Scans")
    assert vault.snapshots.count() == 2


def test_with_queue_nothing_runs_here(ground: Ground) -> None:
    vault = ground.vault()
    assert "In the queue" in run("--vault", str(vault.pk)[:8], "--queue")
    assert Job.unscoped.get().state == JobState.QUEUED


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Nobody"], "There is no wedding 'Nobody'. There are:"),
        (["--vault", "00000000"], "There is no vault '00000000'"),
        (["--path", "/nowhere/at/all"], "is not a folder on this machine"),
        (["Ada"], "has no vault yet"),
    ],
)
def test_what_is_not_there_is_explained(ground: Ground, arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        run(*arguments)


def test_a_failed_backup_ends_the_command_with_an_error(ground: Ground) -> None:
    vault = ground.vault()
    vault.sources.all().delete()
    with pytest.raises(CommandError, match="Not everything was backed up"):
        run("--vault", str(vault.pk))


def test_a_backup_that_waits_for_its_places_says_so(ground: Ground) -> None:
    vault = ground.vault()
    for place in range(3):
        ground.lose(place)
    with pytest.raises(CommandError, match="waits in the queue"):
        run("--vault", str(vault.pk))


def test_a_backup_that_runs_elsewhere_is_not_started_twice(ground: Ground) -> None:
    vault = ground.vault()
    run("--vault", str(vault.pk), "--queue")
    Job.unscoped.update(state=JobState.RUNNING, lease_owner="worker 7")
    with pytest.raises(CommandError, match="running in another process"):
        run("--vault", str(vault.pk))


def test_ctrl_c_cancels_the_backup(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = ground.vault()
    real_next, real_cancel = running.run_next, running.job_cancel
    pressed, cancelled = [], threading.Event()

    def pressed_at_the_start(*arguments: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        pressed.append(True)
        assert cancelled.wait(20)  # so small a backup would be done before the key press is looked at
        return real_next(*arguments, **options)

    def cancel(*arguments: Any, **options: Any) -> Any:
        real_cancel(*arguments, **options)
        cancelled.set()

    monkeypatch.setattr(running, "run_next", pressed_at_the_start)
    monkeypatch.setattr(running, "job_cancel", cancel)
    with pytest.raises(CommandError):
        run("--vault", str(vault.pk))
    assert pressed
    assert Job.unscoped.get().state == JobState.CANCELLED
