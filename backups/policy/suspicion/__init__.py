"""When a backup that went through must still not be trusted: never green when suspicious."""

from backups.policy.suspicion.changes import Churn, churn_suspicion, is_rewritten, lost_files
from backups.policy.suspicion.places import Baseline, PlaceFound, place_reasons, tell
from backups.policy.suspicion.problems import files_suspicion

__all__ = [
    "Baseline",
    "Churn",
    "PlaceFound",
    "churn_suspicion",
    "files_suspicion",
    "is_rewritten",
    "lost_files",
    "place_reasons",
    "tell",
]
