"""Stories begin on the common ground."""

from tests.backups.ground import ground, guarded_audit

__all__ = ["ground", "guarded_audit"]
