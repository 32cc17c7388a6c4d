"""What can happen to an installation in one step. Each step is a function of the world; its noise is its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random

from backups.models import Job, Policy, Source, Vault, Wedding
from backups.services.backups import backup_request
from backups.services.checks import check_request
from backups.services.jobs import job_claim
from backups.services.opening import copies_of
from backups.services.retention import prune_request
from backups.services.vaults import vault_trust
from backups.worker import run_next
from monitoring.models import Alert
from monitoring.services.alerts import alert_acknowledge
from tests.truth.judge import DAY, HOUR, MINUTE, see
from tests.truth.places import Mood
from tests.truth.world import Archive, Card, World, some_file
from wedbackup.tick import run_tick

Step = Callable[[World, Random], str]
JOBS_MAX = 60  # per tick: more would be a loop
MOST = 0.6  # of a card's files


def ticks(world: World, seconds: float, count: int) -> None:
    """Let time pass in `count` parts; after each the scheduler ticks and the worker does what waits."""
    for _ in range(count):
        world.clock.advance(seconds / count)
        run_tick()
        work(world)


def work(world: World) -> None:
    for _ in range(JOBS_MAX):
        job = run_next("oracle")
        if job is None:
            return
        if job.kind == "backup":
            world.backups += 1
            for archive in world.archives:
                see(world, archive)
    world.notes.append("the queue never ended")


def _archive(world: World, noise: Random) -> Archive:
    return noise.choice(world.archives)


def _card(world: World, noise: Random) -> tuple[Archive, Card] | None:
    archive = _archive(world, noise)
    cards = [card for card in archive.cards if card.connected and card.files]
    return (archive, noise.choice(cards)) if cards else None


def _alarm(world: World, archive: Archive) -> None:
    """A person must decide about what happened now, if there is a snapshot that it can be compared with."""
    if archive.recorded and archive.alarming is None:
        archive.alarming = world.clock.true


# --- the cards -------------------------------------------------------------------------------------------------------


def create(world: World, noise: Random) -> str:
    if (chosen := _card(world, noise)) is None:
        return "-"
    name, content = some_file(noise, noise.randrange(100, 9999))
    chosen[1].write(name, content)
    return f"{chosen[1].folder.name}: {name}"


def change(world: World, noise: Random) -> str:
    if (chosen := _card(world, noise)) is None:
        return "-"
    name = noise.choice(sorted(chosen[1].files))
    old = chosen[1].files[name]
    chosen[1].write(name, old[:20] + noise.randbytes(noise.choice((len(old), 700))))
    return f"{chosen[1].folder.name}: {name}"


def rename(world: World, noise: Random) -> str:
    if (chosen := _card(world, noise)) is None:
        return "-"
    name = noise.choice(sorted(chosen[1].files))
    chosen[1].rename(name, f"{name}.{noise.randrange(999)}.bak")
    return f"{chosen[1].folder.name}: {name}"


def truncate(world: World, noise: Random) -> str:
    if (chosen := _card(world, noise)) is None:
        return "-"
    name = noise.choice(sorted(chosen[1].files))
    chosen[1].write(name, chosen[1].files[name][: noise.choice((0, 10, 200))])
    return f"{chosen[1].folder.name}: {name}"


def delete(world: World, noise: Random) -> str:
    if (chosen := _card(world, noise)) is None or len(chosen[1].files) < 6:
        return "-"
    name = noise.choice(sorted(chosen[1].files))
    chosen[1].remove(name)
    return f"{chosen[1].folder.name}: {name}"


def delete_most(world: World, noise: Random) -> str:
    if (chosen := _card(world, noise)) is None or len(chosen[1].files) < 8:
        return "-"
    archive, card = chosen
    names = sorted(card.files)
    for name in names[: round(len(names) * 0.7) + 1]:
        card.remove(name)
    _alarm(world, archive)
    return f"{card.folder.name}: {len(names)} -> {len(card.files)}"


def overwrite_all(world: World, noise: Random) -> str:
    if (chosen := _card(world, noise)) is None or len(chosen[1].files) < 8:
        return "-"
    archive, card = chosen
    for name in sorted(card.files):
        card.write(name, noise.randbytes(max(64, len(card.files[name]))))
    _alarm(world, archive)
    return f"{card.folder.name}: {len(card.files)} files are noise"


def lock_all(world: World, noise: Random) -> str:
    if (chosen := _card(world, noise)) is None or len(chosen[1].files) < 8:
        return "-"
    archive, card = chosen
    for name in sorted(card.files):
        card.write(name, noise.randbytes(max(64, len(card.files[name]))))
        card.rename(name, f"{name}.locked")
    _alarm(world, archive)
    return f"{card.folder.name}: {len(card.files)} files are *.locked"


def disconnect(world: World, noise: Random) -> str:
    if (chosen := _card(world, noise)) is None:
        return "-"
    stays = noise.random() < 0.7
    chosen[1].disconnect(mount_point_stays=stays)
    return f"{chosen[1].folder.name}{', an empty folder stays' if stays else ''}"


def connect(world: World, noise: Random) -> str:
    cards = [card for archive in world.archives for card in archive.cards if not card.connected]
    if not cards:
        return "-"
    card = noise.choice(cards)
    card.connect()
    return card.folder.name


def leave_out(world: World, noise: Random) -> str:
    if (chosen := _card(world, noise)) is None:
        return "-"
    archive, card = chosen
    card.patterns = noise.choice(([], ["*.xmp"], ["*.jpg"], ["*.tmp", "*.txt"]))
    Source.unscoped.filter(vault=archive.vault, path=str(card.folder)).update(excludes=card.patterns)
    return f"{card.folder.name}: {card.patterns}"


# --- work and time ----------------------------------------------------------------------------------------------------


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
    archive = _archive(world, noise)
    if not all(card.connected for card in archive.cards):
        return "-"
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
    backup_request(vault=_archive(world, noise).vault, reason="about to die")
    job = job_claim(worker="dead/1")
    if job is None:
        return "-"
    ticks(world, 5 * MINUTE, 5)
    return f"{job.kind}, now {Job.unscoped.get(pk=job.pk).state}"


# --- the places -------------------------------------------------------------------------------------------------------


def place_vanishes(world: World, noise: Random) -> str:
    place = noise.choice(world.places)
    if place.away:
        return "-"
    place.vanish()
    place.damage.append((world.clock.true, "unreachable"))
    return place.name


def place_returns(world: World, noise: Random) -> str:
    back = [place for place in world.places if place.away or place.mood is not Mood.WELL]
    if not back:
        return "-"
    place = noise.choice(back)
    if place.away:
        place.come_back()
    place.mood = Mood.WELL
    return place.name


def _mood(mood: Mood, what: str) -> Step:
    def step(world: World, noise: Random) -> str:
        place = noise.choice(world.places)
        if place.away:
            return "-"
        place.mood = mood
        if what:
            place.damage.append((world.clock.true, what))
        return place.name

    return step


place_hangs = _mood(Mood.HANGS, "unreachable")
place_fills = _mood(Mood.FULL, "")


def place_lies(world: World, noise: Random) -> str:
    """For one backup a place says that it stored packs, and stores none."""
    place = noise.choice(world.places)
    if place.away or place.mood is not Mood.WELL:
        return "-"
    place.mood = Mood.LIES
    back_up(world, noise)
    place.mood = Mood.WELL
    place.damage.append((world.clock.true, "lied"))
    return place.name


def _damage(what: str) -> Step:
    def step(world: World, noise: Random) -> str:
        place = noise.choice(world.places)
        kinds = noise.choice(
            (("data",), ("data",), ("index",), ("snapshots",), ("keys",), ("data", "index", "snapshots"))
        )
        files = [] if place.away else place.files(kinds)
        if not files:
            return "-"
        chosen = noise.sample(files, min(len(files), noise.choice((1, 1, 3))))
        for path in chosen:
            if what == "lost":
                place.lose(path)
            elif noise.random() < 0.7:
                place.flip(path, noise)
            else:
                place.truncate(path, noise)
        place.damage.append((world.clock.true, what))
        return f"{place.name}: {', '.join('/'.join(path.relative_to(place.root).parts[1:])[:16] for path in chosen)}"

    return step


files_vanish = _damage("lost")
files_rot = _damage("flipped")


def rot_everywhere(world: World, noise: Random) -> str:
    """One pack rots at every place: only the cards have it still."""
    place = world.places[0]
    files = [] if any(other.away for other in world.places) else place.files(("data",))
    if not files:
        return "-"
    chosen = noise.choice(files)
    for other in world.places:
        path = other.root / chosen.relative_to(place.root)
        if path.exists():
            other.flip(path, noise)
            other.damage.append((world.clock.true, "flipped"))
    world.lost_for_good |= {
        str(archive.vault.pk) for archive in world.archives if str(archive.vault.pk) in chosen.parts
    }
    return chosen.name[:6]


STEPS: dict[str, tuple[Step, int]] = {
    "a file is made": (create, 5),
    "a file is changed": (change, 5),
    "a file is renamed": (rename, 2),
    "a file is cut short": (truncate, 1),
    "a file is deleted": (delete, 2),
    "most of a card is deleted": (delete_most, 1),
    "a card is overwritten with noise": (overwrite_all, 1),
    "a card is locked by a stranger": (lock_all, 1),
    "a card is disconnected": (disconnect, 2),
    "a card is connected again": (connect, 3),
    "patterns are changed": (leave_out, 1),
    "a backup is asked for": (back_up, 9),
    "moments pass": (moments, 6),
    "hours pass": (hours, 5),
    "days pass": (days, 3),
    "a check is asked for": (check, 2),
    "a prune is due": (prune, 2),
    "the clock jumps": (clock_jumps, 2),
    "the clock is put right": (clock_is_right, 2),
    "the wedding is moved": (wedding_moves, 1),
    "the policy is changed": (policy_changes, 1),
    "a person trusts the newest state": (trust, 2),
    "a person acknowledges alerts": (acknowledge, 1),
    "a worker dies": (restart, 1),
    "a place goes away": (place_vanishes, 2),
    "a place hangs": (place_hangs, 1),
    "a place is full": (place_fills, 1),
    "a place lies": (place_lies, 1),
    "a place is well again": (place_returns, 5),
    "files of a place vanish": (files_vanish, 2),
    "files of a place rot": (files_rot, 2),
    "a pack rots everywhere": (rot_everywhere, 1),
}
