"""What happens to the cards: pictures are made, changed and lost; strangers and children do worse."""

from __future__ import annotations

import os
from random import Random

from backups.models import Source
from tests.truth.steps.common import alarm, some_card
from tests.truth.world import World, some_file


def create(world: World, noise: Random) -> str:
    if (chosen := some_card(world, noise)) is None:
        return "-"
    name, content = some_file(noise, noise.randrange(100, 9999))
    chosen[1].write(name, content)
    return f"{chosen[1].folder.name}: {name}"


def odd_file(world: World, noise: Random) -> str:
    """restic #705: a photo of the year 30828; #1173: one before 1677."""
    if (chosen := some_card(world, noise)) is None:
        return "-"
    card, name = chosen[1], f"day/DSC0{noise.randrange(999)}.JPG"
    card.write(name, b"\xff\xd8\xff" + noise.randbytes(500))
    year = noise.choice((10**10, -(10**10), 2**34))  # 2286, 1653, 2514 [s since 1970]
    os.utime(card.folder / name, ns=(year * 10**9, year * 10**9))
    return f"{card.folder.name}: {name}"


def change(world: World, noise: Random) -> str:
    if (chosen := some_card(world, noise)) is None:
        return "-"
    name = noise.choice(sorted(chosen[1].files))
    old = chosen[1].files[name]
    chosen[1].write(name, old[:20] + noise.randbytes(noise.choice((len(old), 700))))
    return f"{chosen[1].folder.name}: {name}"


def rename(world: World, noise: Random) -> str:
    if (chosen := some_card(world, noise)) is None:
        return "-"
    name = noise.choice(sorted(chosen[1].files))
    chosen[1].rename(name, f"{name}.{noise.randrange(999)}.bak")
    return f"{chosen[1].folder.name}: {name}"


def truncate(world: World, noise: Random) -> str:
    if (chosen := some_card(world, noise)) is None:
        return "-"
    name = noise.choice(sorted(chosen[1].files))
    chosen[1].write(name, chosen[1].files[name][: noise.choice((0, 10, 200))])
    return f"{chosen[1].folder.name}: {name}"


def delete(world: World, noise: Random) -> str:
    if (chosen := some_card(world, noise)) is None or len(chosen[1].files) < 6:
        return "-"
    name = noise.choice(sorted(chosen[1].files))
    chosen[1].remove(name)
    return f"{chosen[1].folder.name}: {name}"


def delete_most(world: World, noise: Random) -> str:
    if (chosen := some_card(world, noise)) is None or len(chosen[1].files) < 8:
        return "-"
    archive, card = chosen
    names = sorted(card.files)
    for name in names[: round(len(names) * 0.7) + 1]:
        card.remove(name)
    alarm(world, archive)
    return f"{card.folder.name}: {len(names)} -> {len(card.files)}"


def overwrite_all(world: World, noise: Random) -> str:
    if (chosen := some_card(world, noise)) is None or len(chosen[1].files) < 8:
        return "-"
    archive, card = chosen
    for name in sorted(card.files):
        card.write(name, noise.randbytes(max(64, len(card.files[name]))))
    alarm(world, archive)
    return f"{card.folder.name}: {len(card.files)} files are noise"


def lock_all(world: World, noise: Random) -> str:
    if (chosen := some_card(world, noise)) is None or len(chosen[1].files) < 8:
        return "-"
    archive, card = chosen
    for name in sorted(card.files):
        card.write(name, noise.randbytes(max(64, len(card.files[name]))))
        card.rename(name, f"{name}.locked")
    alarm(world, archive)
    return f"{card.folder.name}: {len(card.files)} files are *.locked"


def disconnect(world: World, noise: Random) -> str:
    chosen = some_card(world, noise)
    if chosen is None or chosen[1].folder.parent.name != "sources":
        return "-"  # uploads lie on the server's own disk
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
    if (chosen := some_card(world, noise)) is None:
        return "-"
    archive, card = chosen
    card.patterns = noise.choice(([], ["*.xmp"], ["*.jpg"], ["*.tmp", "*.txt"]))
    Source.unscoped.filter(vault=archive.vault, path=str(card.folder)).update(excludes=card.patterns)
    return f"{card.folder.name}: {card.patterns}"
