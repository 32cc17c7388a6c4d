"""What people and time do: backups, checks, decisions, other dates, clocks that are wrong."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from backups.models import Job, Policy, Vault, Wedding
from backups.services.backups import backup_request
from backups.services.checks import check_request
from backups.services.jobs import job_claim
from backups.services.opening import copies_of
from backups.services.retention import prune_request
from backups.services.vaults import vault_trust
from monitoring.models import Alert
from monitoring.services.alerts import alert_acknowledge
from tests.truth.judge import DAY, HOUR, MINUTE
from tests.truth.steps.common import some_archive, ticks, work
from tests.truth.world import World


def back_up(world: World, noise: Random) -> str:
    ticks(world, 30, 1)
    for archive in world.archives:
        backup_request(vault=archive.vault, user=world.admin, reason="a person asked")
    work(world)
    return ""


def moments(world: World, noise: Random) -> str:
    seconds = noise.choice((2 * MINUTE, 7 * MINUTE, 20 * MINUTE))
    ticks(world, seconds, 4)
    return f"{seconds:.0f} s"


def hours(world: World, noise: Random) -> str:
    seconds = noise.choice((HOUR, 3 * HOUR, 6 * HOUR))
    ticks(world, seconds, 4)
    return f"{seconds / HOUR:.0f} h"


def days(world: World, noise: Random) -> str:
    seconds = noise.choice((DAY, 3 * DAY, 9 * DAY))
    ticks(world, seconds, round(seconds / DAY) + 1)
    ticks(world, 2 * MINUTE, 3)
    return f"{seconds / DAY:.0f} d"


def check(world: World, noise: Random) -> str:
    for archive in world.archives:
        check_request(copies_of(archive.vault), read_data=noise.random() < 0.6)
    work(world)
    return ""


def prune(world: World, noise: Random) -> str:
    for archive in world.archives:
        prune_request(archive.vault)
    work(world)
    return ""


def clock_jumps(world: World, noise: Random) -> str:
    jump = noise.choice((-DAY, -HOUR, -5 * MINUTE, 5 * MINUTE, HOUR, 3 * HOUR, 40 * DAY, 365 * DAY, 0))
    world.clock.error = jump
    return f"the clock is {jump:+.0f} s off"


def clock_is_right(world: World, noise: Random) -> str:
    world.clock.error = 0.0
    return ""


def wedding_moves(world: World, noise: Random) -> str:
    day = world.clock.true_now().date() + timedelta(days=noise.choice((0, 1, 5, 25, 80, 300)))
    Wedding.unscoped.filter(pk=world.wedding.pk).update(date=day)
    world.wedding.date = day
    ticks(world, 6 * MINUTE, 4)
    return str(day)


def policy_changes(world: World, noise: Random) -> str:
    keep = noise.choice((1, 3))
    Policy.objects.filter(pk=world.policy.pk).update(
        keep_last=keep, keep_daily=noise.choice((0, 7)), interval_minutes=noise.choice((5, 60, 24 * 60))
    )
    world.policy.refresh_from_db()
    return f"keep {keep}, every {world.policy.interval_minutes} min"


def trust(world: World, noise: Random) -> str:
    archive = some_archive(world, noise)
    newest = archive.recorded[archive.order[-1]][1] if archive.order else None
    if newest != archive.state() or not all(card.connected for card in archive.cards):
        return "-"  # who looks at the newest state sees that it is not as it should be
    vault = Vault.unscoped.get(pk=archive.vault.pk)
    if vault_trust(vault, actor=world.admin):
        archive.alarming = None
        return archive.vault.protection_class
    return "-"


def acknowledge(world: World, noise: Random) -> str:
    alerts = list(Alert.objects.exclude(state="resolved")[:3])
    for alert in alerts:
        alert_acknowledge(alert, user=world.admin)
    return f"{len(alerts)} alerts"


def restart(world: World, noise: Random) -> str:
    """A worker that died: its job is running, and nobody renews its lease."""
    backup_request(vault=some_archive(world, noise).vault, reason="about to die")
    job = job_claim(worker="dead/1")
    if job is None:
        return "-"
    ticks(world, 5 * MINUTE, 5)
    return f"{job.kind}, now {Job.unscoped.get(pk=job.pk).state}"
