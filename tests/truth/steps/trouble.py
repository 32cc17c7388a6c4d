"""What goes wrong with places: they go away, hang, fill, lie, and lose or change what they hold."""

from __future__ import annotations

from random import Random

from tests.truth.places import Mood
from tests.truth.steps.common import Step
from tests.truth.steps.work import back_up
from tests.truth.world import World


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
