"""The record of a recovery that a person can keep: what came back, from which snapshots, what is missing; signed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import datetime

from backups.models import Job
from backups.services.recovering import Recovered
from wedbackup.core.sealing import SealingError, sign, signature_holds

PROOF_NAME = "RECOVERY-PROOF.txt"
_PURPOSE = "recovery proof"
_SIGNATURE_LINE = "Signature: "


@dataclass(frozen=True, slots=True)
class Proof:
    """sha256: of the text above the signature line (hex). signature: "" when the key file was not at hand."""

    sha256: str
    signature: str


def proof_write(job: Job, target: str, recovered: Recovered, *, at: datetime) -> Proof:
    """Write the proof beside the recovered files and return what identifies it."""
    text = _text(job, recovered, at)
    try:
        signature = sign(text.encode(), purpose=_PURPOSE)
    except SealingError:  # the files are there: a missing key file must not fail a recovery
        signature = ""
    path = os.path.join(target, PROOF_NAME)
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{text}{_SIGNATURE_LINE}{signature or 'none, the key file was missing'}\n")
    return Proof(hashlib.sha256(text.encode()).hexdigest(), signature)


def proof_holds(content: str) -> bool:
    """Say whether a proof's text is exactly as this installation signed it."""
    text, found, signature = content.rpartition(_SIGNATURE_LINE)
    return bool(found) and signature_holds(text.encode(), signature.strip(), purpose=_PURPOSE)


def _text(job: Job, recovered: Recovered, at: datetime) -> str:
    lines = [
        "Proof of recovery",
        f"Recovery:  {job.pk}",
        f"Wedding:   {job.wedding} ({job.wedding_id})",
        f"Of:        {job.organisation or 'all businesses'}",
        f"Asked by:  {job.requested_by or 'the system'} at {job.created_at:%Y-%m-%d %H:%M:%S} UTC",
        f"Finished:  {at:%Y-%m-%d %H:%M:%S} UTC",
        f"Result:    {recovered.equal} of {recovered.expected} files read back and equal to the vault's SHA-256 hashes",
        f"Missing:   {len(recovered.misses)}",
        "",
        "Snapshots (the tree's hash stands for every name and every byte below it):",
        *(
            f"  {name}: snapshot {facts['snapshot']} tree {facts['tree']}"
            for name, facts in recovered.snapshots.items()
        ),
        "",
        *(f"Note: {note}" for note in recovered.notes),
        *(f"Missing: {path}: {reason}" for path, reason in recovered.misses),
        *(f"Changed: {line}" for line in recovered.told),
        "",
    ]
    return "\n".join(lines)
