"""What every store promises, as checks that run against a real location.

The same promises are the contract of the tests (tests/providers/store_contract.py) and what an administrator runs
against a new location before it may hold copies. Everything happens below one prefix, under names of this time only,
and is removed again.
"""

from providers.validation.promise import Finding, Promise, PromiseBroken, State
from providers.validation.room import PREFIX, Room
from providers.validation.suite import CLEAN_UP, PROMISES, judge, validate_store

__all__ = [
    "CLEAN_UP",
    "PREFIX",
    "PROMISES",
    "Finding",
    "Promise",
    "PromiseBroken",
    "Room",
    "State",
    "judge",
    "validate_store",
]
