"""What people ask of the product and rely on: recoveries and uploads, each judged at once by its bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
from random import Random

from django.core.exceptions import ValidationError

from backups.models import Job
from backups.services.recoveries import recovery_request
from backups.services.recovery_result import RecoveryFacts
from backups.services.uploads.arrivals import upload_finish, upload_folder, upload_piece, upload_standing
from backups.services.uploads.parts import PIECE_BYTES, Claim, WrongOffset, whole_digest
from backups.worker import run_next
from tests.truth.judge import Finding, newest_whole, sources_in
from tests.truth.world import Archive, Card, World

CAMERAS = (b"A", b"B")


def recovery(world: World, noise: Random) -> str:
    """Staff bring everything back; what is called whole is compared with what the chosen states were."""
    target = world.root / f"recovered-{noise.randrange(10**9)}"
    try:
        job = recovery_request(wedding=world.wedding, user=world.admin, target=str(target))
    except ValidationError as exc:
        return f"refused: {exc.messages[0]}"
    for _ in range(5):
        if run_next("oracle", only=job) is None:
            break
    job.refresh_from_db()
    world.found += _judge_recovery(world, job, target)
    shutil.rmtree(target, ignore_errors=True)
    return f"{job.state}: {job.message[:90]}"


def _judge_recovery(world: World, job: Job, target: os.PathLike[str]) -> list[Finding]:
    facts = RecoveryFacts.of(job)
    # What lies beside the folders is the proof, not what was recovered.
    back = {path: content for path, content in sources_in(target) if os.path.dirname(path) != os.fspath(target)}
    claims = f"recovery {job.state}: {job.message[:200]}"
    if job.state == "completed":
        for archive in world.archives:
            states = [content for _, content in archive.recorded.values() if content]
            if states and not any(_is_back(state, back) for state in states):
                return [Finding("untrue", claims, f"no state of {archive.vault.protection_class} is back as it was")]
    if not back and any(_anything(world, archive) for archive in world.archives):
        return [Finding("untrue", claims, "a place that answers holds a whole state, and nothing came back")]
    if facts.equal > len(back):
        return [Finding("untrue", f"{facts.equal} files are equal", f"{len(back)} files are there")]
    return []


def _is_back(state: dict[str, bytes], back: dict[str, bytes]) -> bool:
    """Whether each file of a state is somewhere among what came back, under its own path's end, with its bytes."""
    by_end: dict[str, list[bytes]] = {}
    for path, content in back.items():
        by_end.setdefault(os.path.basename(path), []).append(content)
    return all(content in by_end.get(os.path.basename(path), []) for path, content in state.items())


def _anything(world: World, archive: Archive) -> bool:
    return any(place.answers and newest_whole(world, place, archive) for place in world.places)


def upload(world: World, noise: Random) -> str:
    """Two cameras send a file of the same name and size; one of them may stop half-way and go on later."""
    archive = world.archives[0]
    name, size = f"DCIM/IMG_{noise.randrange(4)}.NEF", noise.choice((0, 10, 3_000))
    told = []
    for letter in noise.sample(CAMERAS, 2)[: noise.choice((1, 2))]:
        content = (letter + noise.randbytes(size))[: size + 1] if size else letter
        told.append(_send(world, archive, name, content, noise))
    return "; ".join(told)


def _send(world: World, archive: Archive, name: str, content: bytes, noise: Random) -> str:
    digest = hashlib.sha256(content).digest()
    claim = Claim(name, len(content), 0, digest.hex())
    assert len(content) <= PIECE_BYTES
    if not upload_standing(archive.vault, claim).digests:
        upload_piece(archive.vault, claim, offset=0, piece=content, digest=digest.hex())
    if noise.random() < 0.2:
        return f"{name}: stopped"
    try:
        arrival = upload_finish(archive.vault, claim, digest=whole_digest([digest]))
    except WrongOffset:
        return f"{name}: to be continued"
    folder = upload_folder(archive.vault)
    card = next((card for card in archive.cards if card.folder == folder), None)
    if card is None:
        card = Card(folder, history=[(0.0, {})])
        archive.cards.append(card)
    stored = (folder / arrival.name).read_bytes() if (folder / arrival.name).exists() else None
    if stored != content:
        world.found.append(Finding("untrue", f"{name} arrived as {arrival.name}", "other bytes are there, or none"))
    card.files[arrival.name] = content
    return f"{name}: {'already ' if arrival.already else ''}{arrival.name}"
