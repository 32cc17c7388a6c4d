"""What every store promises, as checks that run against a real location.

The same promises are the contract of the tests (tests/providers/store_contract.py) and what an administrator runs
against a new location before it may hold copies. Everything happens below one prefix, under names of this time only,
and is removed again.
"""

from providers.validation.promise import Exempt, Finding, Promise, PromiseBroken, State, Warned
from providers.validation.room import PREFIX, Room
from providers.validation.suite import CLEAN_UP, GROUPS, PROMISES, judge, validate_store

__all__ = [
    "CLEAN_UP",
    "GROUPS",
    "PREFIX",
    "PROMISES",
    "Exempt",
    "Finding",
    "Promise",
    "PromiseBroken",
    "Room",
    "State",
    "Warned",
    "judge",
    "validate_store",
]
