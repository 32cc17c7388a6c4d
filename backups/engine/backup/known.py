"""What is safe already: ids of blobs whose pack lies, in its right size, at a destination that answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from backups.engine.format import ID_BYTES


@dataclass
class KnownBlobs:
    """Ids of stored blobs by type; the same bytes may be known as data and not as a tree."""

    data: set[bytes] = field(default_factory=set)
    trees: set[bytes] = field(default_factory=set)

    def has_content(self, content: bytes) -> bool:
        """Whether all data blobs are known; content: their ids, one after the other."""
        data = self.data
        return all(content[start : start + ID_BYTES] in data for start in range(0, len(content), ID_BYTES))
