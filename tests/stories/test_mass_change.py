"""What ransomware, a dying card and a careless script do to a folder, and what people do to it all day.

Damage is amber, with the numbers; old snapshots are frozen; a person decides. Work is neither.
"""

from __future__ import annotations

import os
import random
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backups.models import Snapshot, Vault
from backups.services import backups
from backups.services.vaults import vault_trust
from backups.states import JobState
from tests.backups.ground import Ground
from wedbackup.core.clock import SYSTEM_CLOCK

noise = random.Random(5)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\0"
SIDECAR = b'<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>' + b"<rdf:li>warm</rdf:li>" * 20


def photo() -> bytes:
    return JPEG + noise.randbytes(900)


@pytest.fixture
def folder(ground: Ground) -> Path:
    return ground.source() / "shoot"


@pytest.fixture
def vault(ground: Ground, folder: Path) -> Vault:
    """A hundred pictures, as many sidecars, and a few things that are odd and always were."""
    vault = ground.vault()
    folder.mkdir()
    for number in range(100):
        (folder / f"DSC_{number:04}.jpg").write_bytes(photo())
        (folder / f"DSC_{number:04}.xmp").write_bytes(SIDECAR + b"%d" % number)
    for name in ("odd.jpg", "odd.pdf", "odd.mp4", "cache.bin"):
        (folder / name).write_bytes(noise.randbytes(800))
    assert ground.back_up(vault).state == JobState.COMPLETED
    return vault


def pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("DSC_*.jpg"))


def overwrite(folder: Path) -> None:
    for file in folder.iterdir():
        file.write_bytes(noise.randbytes(file.stat().st_size))


def add_ending(folder: Path) -> None:
    for file in [*folder.iterdir()]:
        file.rename(f"{file}.locked")


def encrypt_and_rename(folder: Path) -> None:
    for file in pictures(folder):
        (folder / f"{noise.randbytes(8).hex()}.crypt").write_bytes(noise.randbytes(file.stat().st_size))
        file.unlink()


def write_zeros(folder: Path) -> None:
    for file in pictures(folder):
        file.write_bytes(bytes(file.stat().st_size))


def cut_to_nothing(folder: Path) -> None:
    for file in pictures(folder)[:40]:
        file.write_bytes(b"")


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (overwrite, "204 of 217 files were overwritten with noise or zeros"),
        (add_ending, "of 217 files got an unknown ending"),
        (encrypt_and_rename, "100 of 217 files were overwritten with noise or zeros"),
        (write_zeros, "100 of 217 files were overwritten with noise or zeros"),
        (cut_to_nothing, "40 of 217 files were overwritten with noise or zeros"),
    ],
)
def test_files_that_stop_being_what_they_were_are_amber_until_a_person_has_looked(
    ground: Ground, vault: Vault, folder: Path, attack: object, said: str
) -> None:
    """npbackup #144, backuppc #435: an attack was a normal backup, and the old snapshots went by the rules."""
    assert callable(attack)
    attack(folder)

    for _ in range(3):  # they do not change again, and are no less damaged for it
        job = ground.back_up(vault)
        assert job.state == JobState.DEGRADED, job.message
        assert said in job.message
    vault.refresh_from_db()
    assert said in vault.suspicion
    good = Snapshot.unscoped.filter(vault=vault, suspicion="").first()
    assert good is not None and good.number == 1

    vault_trust(vault, actor="alice")
    assert ground.back_up(vault).state == JobState.COMPLETED


def test_an_alarm_does_not_end_by_waiting(ground: Ground, vault: Vault, folder: Path) -> None:
    write_zeros(folder)
    assert ground.back_up(vault).state == JobState.DEGRADED
    Snapshot.unscoped.filter(vault=vault).update(taken_at=SYSTEM_CLOCK.utcnow() - timedelta(days=40))

    job = ground.back_up(vault)

    assert job.state == JobState.DEGRADED and "overwritten with noise or zeros" in job.message


def test_an_attack_that_takes_its_time_is_seen_against_all_it_did(ground: Ground, vault: Vault, folder: Path) -> None:
    states = []
    for number in range(6):
        pictures(folder)[number].write_bytes(noise.randbytes(900))
        states.append(ground.back_up(vault).state)
    assert states[0] == JobState.COMPLETED and states[-1] == JobState.DEGRADED


def new_dates(folder: Path) -> None:
    for file in pictures(folder):
        file.write_bytes(JPEG + b"Exif 2026" + file.read_bytes()[len(JPEG) :])


def develop(folder: Path) -> None:
    for file in sorted(folder.glob("*.xmp"))[:60]:
        file.write_bytes(SIDECAR.replace(b"warm", b"cold") + file.name.encode())


def export_again(folder: Path) -> None:
    for file in pictures(folder):
        file.write_bytes(photo())


def import_a_card(folder: Path) -> None:
    for number in range(2000):
        (folder / f"NEW_{number:04}.jpg").write_bytes(photo())


def rename_the_folder(folder: Path) -> None:
    folder.rename(folder.parent / "2026-06 Ada & Grace")


def rename_every_file(folder: Path) -> None:
    for number, file in enumerate(pictures(folder)):
        file.rename(folder / f"Ada-Grace-{number:03}.jpg")


def make_smaller_formats(folder: Path) -> None:
    for file in pictures(folder):
        (folder / f"{file.stem}.webp").write_bytes(b"RIFF\0\0\0\0WEBPVP8 " + noise.randbytes(600))
        file.unlink()


def touch_all(folder: Path) -> None:
    for file in folder.iterdir():
        os.utime(file, (1_700_000_000, 1_700_000_000))


def cull(folder: Path) -> None:
    for file in pictures(folder)[:45]:
        file.unlink()


def write_new_caches(folder: Path) -> None:
    for number in range(300):
        (folder / f"{number}.cache").write_bytes(zlib.compress(noise.randbytes(700)))


def rename_and_render_previews(folder: Path) -> None:
    rename_every_file(folder)
    write_new_caches(folder)


@pytest.mark.parametrize(
    "work",
    [
        rename_and_render_previews,
        new_dates, develop, export_again, import_a_card, rename_the_folder, rename_every_file, make_smaller_formats,
        touch_all, cull, write_new_caches,
    ],
)  # fmt: skip
def test_a_days_work_is_no_alarm(ground: Ground, vault: Vault, folder: Path, work: object) -> None:
    assert callable(work)
    work(folder)
    job = ground.back_up(vault)
    assert job.state == JobState.COMPLETED, job.message


def test_what_was_odd_from_the_beginning_may_change_but_not_all_at_once(ground: Ground) -> None:
    """Formats that nobody here knows, and names that never fitted, are no alarm while people work with them."""
    vault, folder = ground.vault(), ground.source() / "shoot"
    folder.mkdir()
    for number in range(100):
        (folder / f"DSC_{number:04}.jpg").write_bytes(noise.randbytes(900))
    ground.back_up(vault)
    for file in pictures(folder)[:60]:
        file.write_bytes(noise.randbytes(900))
    assert ground.back_up(vault).state == JobState.COMPLETED

    for file in [*pictures(folder), *ground.source().glob("part */*.jpg")]:
        file.write_bytes(noise.randbytes(900))

    assert "overwritten with noise or zeros" in ground.back_up(vault).message


def test_an_attack_is_seen_although_the_run_that_saw_it_was_killed(
    ground: Ground, vault: Vault, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: the files do not change again, so the next run alone has nothing to tell."""

    class Killed(Exception):
        """As if the process had ended here."""

    killed = []

    def die(*args: Any, **kwargs: Any) -> None:
        killed.append(True)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(backups, "backup_record", die)
        write_zeros(folder)
        ground.back_up(vault)

    job = ground.back_up(vault)

    assert killed and job.state == JobState.DEGRADED
    assert "100 of 217 files were overwritten with noise or zeros" in job.message


def test_without_the_cache_of_folders_nothing_is_an_attack(ground: Ground, vault: Vault, settings: Any) -> None:
    """Everything is read as if it were new; it is known by its content."""
    (cache,) = settings.CACHE_DIR.glob("*.sqlite3")
    cache.unlink()
    job = ground.back_up(vault)
    assert job.state == JobState.COMPLETED, job.message
