"""The steps, by name, each with how often it is drawn."""

from __future__ import annotations

from tests.truth.steps import cards, people, trouble, work
from tests.truth.steps.common import Step

STEPS: dict[str, tuple[Step, int]] = {
    "a file is made": (cards.create, 5),
    "an odd file is made": (cards.odd_file, 1),
    "a file is changed": (cards.change, 5),
    "a file is renamed": (cards.rename, 2),
    "a file is cut short": (cards.truncate, 1),
    "a file is deleted": (cards.delete, 2),
    "most of a card is deleted": (cards.delete_most, 1),
    "a card is overwritten with noise": (cards.overwrite_all, 1),
    "a card is locked by a stranger": (cards.lock_all, 1),
    "a card is disconnected": (cards.disconnect, 2),
    "a card is connected again": (cards.connect, 3),
    "patterns are changed": (cards.leave_out, 1),
    "a backup is asked for": (work.back_up, 9),
    "moments pass": (work.moments, 6),
    "hours pass": (work.hours, 5),
    "days pass": (work.days, 3),
    "a check is asked for": (work.check, 2),
    "a prune is due": (work.prune, 2),
    "the clock jumps": (work.clock_jumps, 2),
    "the clock is put right": (work.clock_is_right, 2),
    "the wedding is moved": (work.wedding_moves, 1),
    "the policy is changed": (work.policy_changes, 1),
    "a person trusts the newest state": (work.trust, 2),
    "a person acknowledges alerts": (work.acknowledge, 1),
    "everything is recovered": (people.recovery, 2),
    "two cameras upload": (people.upload, 2),
    "a worker dies": (work.restart, 1),
    "a place goes away": (trouble.place_vanishes, 2),
    "a place hangs": (trouble.place_hangs, 1),
    "a place is full": (trouble.place_fills, 1),
    "a place lies": (trouble.place_lies, 1),
    "a place is well again": (trouble.place_returns, 5),
    "files of a place vanish": (trouble.files_vanish, 2),
    "files of a place rot": (trouble.files_rot, 2),
    "a pack rots everywhere": (trouble.rot_everywhere, 1),
}
