"""What a check can find, in words that a person can act on."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NamedTuple

from backups.engine.format import CONFIG_NAME, FileKind

_REPAIR = "Repair this copy from another location."
_ASK = "Keep all other copies; restore what is needed from an older snapshot, and back the source up again."


class Kind(enum.Enum):
    """What can be wrong. advice: what a person should do. harmless: nothing is lost by it."""

    CONFIG_MISSING = ("config missing", _REPAIR)
    CONFIG_DAMAGED = ("config damaged", _REPAIR)
    KEY_MISSING = ("no key file", _REPAIR)
    KEY_DAMAGED = ("key file damaged", _REPAIR)
    INDEX_DAMAGED = ("index damaged", _REPAIR)
    SNAPSHOT_DAMAGED = ("snapshot damaged", _REPAIR)
    PACK_MISSING = ("pack missing", _REPAIR)
    PACK_SIZE = ("pack has another size", _REPAIR)
    PACK_DAMAGED = ("pack damaged", _REPAIR)
    PACK_WRONG = ("pack was written wrong", _ASK)
    PACK_UNINDEXED = ("pack in no index", "Nothing to do: the next prune removes it, or a running backup needs it.")
    FILE_MISSING = ("file missing", _REPAIR)
    TREE_UNREADABLE = ("folder list unreadable", _REPAIR)
    BLOB_MISSING = ("piece of a file missing", _REPAIR)
    ENTRY_WRONG = ("entry of a folder wrong", _ASK)
    NOT_READ = ("could not be read", "Check again when the location answers; until then it is not verified.")

    def __init__(self, label: str, advice: str) -> None:
        self.label = label
        self.advice = advice

    @property
    def harmless(self) -> bool:
        return self is Kind.PACK_UNINDEXED


class Finding(NamedTuple):
    """One thing that is wrong. name: the vault's file (or path in a snapshot) it is about. detail: for people."""

    kind: Kind
    name: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind.label}: {self.name}: {self.detail}. {self.kind.advice}"


class Verdict(enum.StrEnum):
    """WHOLE: everything asked for was verified. UNKNOWN: nothing is wrong, but not everything could be read."""

    WHOLE = "whole"
    UNKNOWN = "unknown"
    DAMAGED = "damaged"


class Sample(NamedTuple):
    """How much of a copy a sample looked at. read, total: blobs; bytes_read: stored bytes [bytes]."""

    read: int
    total: int
    bytes_read: int

    def __str__(self) -> str:
        share = 100 * self.read // self.total if self.total else 100
        percent = f"{share} %" if share or not self.read else "less than 1 %"
        return f"{self.read:,} of {self.total:,} blobs, {percent}"


@dataclass(slots=True)
class CheckResult:
    """What a check saw. packs, bytes_read: read in full; snapshots, trees, blobs: of the structure; sample: if any."""

    findings: list[Finding] = field(default_factory=list)
    snapshots: int = 0
    trees: int = 0
    blobs: int = 0
    packs: int = 0
    bytes_read: int = 0
    sample: Sample | None = None

    @property
    def verdict(self) -> Verdict:
        kinds = {finding.kind for finding in self.findings if not finding.kind.harmless}
        if not kinds:
            return Verdict.WHOLE
        return Verdict.UNKNOWN if kinds == {Kind.NOT_READ} else Verdict.DAMAGED

    @property
    def damage(self) -> dict[str, str]:
        """Files to be replaced by a repair: name, and what is wrong with it."""
        repairable = {kind for kind in Kind if kind.advice == _REPAIR}
        return {
            finding.name: f"{finding.kind.label}: {finding.detail}"
            for finding in self.findings
            if finding.kind in repairable and _is_file(finding.name)
        }

    @property
    def damaged(self) -> set[str]:
        """Names of files to be replaced by a repair."""
        return set(self.damage)


def _is_file(name: str) -> bool:
    return name == CONFIG_NAME or ("/" in name and name.split("/")[0] in set(FileKind))
