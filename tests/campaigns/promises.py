"""What a vault has promised: an acknowledged snapshot is never lost, until retention lets it go in so many words."""

from __future__ import annotations

from collections.abc import Iterable

from backups.models import SnapshotCopy, Vault


class Promises:
    """Remembers outside the database which snapshots of a vault were ever seen acknowledged, and who confirmed them.

    acknowledged: restic id -> roots of the places.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self.acknowledged: dict[str, set[str]] = {}

    def present(self) -> dict[str, set[str]]:
        """Return what the database says now."""
        confirmed = SnapshotCopy.objects.filter(
            snapshot__vault=self._vault, snapshot__acknowledged_at__isnull=False
        ).values_list("snapshot__restic_id", "copy__location__options__root")
        found: dict[str, set[str]] = {}
        for restic_id, root in confirmed:
            found.setdefault(restic_id, set()).add(root)
        return found

    def note(self) -> None:
        """Take in what the database says now; what it once said it must keep."""
        for restic_id, roots in self.present().items():
            self.acknowledged.setdefault(restic_id, set()).update(roots)

    def let_go(self, restic_ids: Iterable[str]) -> None:
        """These may go: the policy says so."""
        for restic_id in restic_ids:
            self.acknowledged.pop(restic_id, None)
