"""When a backup that went through must still not be trusted: never green when suspicious."""

from backups.policy.suspicion.places import Baseline, PlaceFound, places_suspicion
from backups.policy.suspicion.problems import files_suspicion

__all__ = ["Baseline", "PlaceFound", "files_suspicion", "places_suspicion"]
