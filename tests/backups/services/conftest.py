"""Stories begin on the common ground."""

from tests.backups.ground import ground

__all__ = ["ground"]
