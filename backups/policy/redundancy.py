"""The honest judgement of where copies lie: places that are lost together count once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COPIES_ASKED = 3
DOMAINS_ASKED = 2


@dataclass(frozen=True, slots=True)
class Place:
    """A place that holds a copy. Places with equal (account, region, medium) can be lost together.

    countable: whether the provider can prove what it holds; a place that cannot never counts.
    """

    name: str
    account: str
    region: str = ""
    medium: str = ""
    countable: bool = True

    @property
    def failure_domain(self) -> tuple[str, str, str]:
        return (self.account, self.region, self.medium)


@dataclass(frozen=True, slots=True)
class Redundancy:
    """What a set of places is worth.

    copies:   places that count.             domains: of them can be lost independently.
    accounts: different provider accounts or machines.
    gap:      one sentence that names what is missing, "" when nothing is.
    """

    copies: int
    domains: int
    accounts: int
    gap: str

    @property
    def sound(self) -> bool:
        """Three copies, in at least two failure domains, on at least two accounts."""
        return not self.gap


def judge(places: Sequence[Place]) -> Redundancy:
    """Judge `places` by the 3-2-1 rule: three copies, two media or providers, one of them elsewhere."""
    counted = [place for place in places if place.countable]
    copies = len(counted)
    domains = len({place.failure_domain for place in counted})
    accounts = len({place.account for place in counted})
    return Redundancy(copies, domains, accounts, _gap(counted, copies, domains, accounts))


def _gap(places: Sequence[Place], copies: int, domains: int, accounts: int) -> str:
    if copies == 0:
        return "Nothing is stored anywhere yet."
    if copies == 1:
        return f"The only copy is at {places[0].name}; add two more places."
    all_of_them = "Both" if copies == 2 else f"All {copies}"
    if domains == 1:
        what = "on one disk" if places[0].medium else "in one account and region"
        return f"{all_of_them} places are {what}; add a location elsewhere to be safe from its loss."
    if accounts == 1:
        what = "on one machine" if all(place.medium for place in places) else "in one account"
        return f"{all_of_them} places are {what}; add a location elsewhere to be safe from its loss."
    if copies < COPIES_ASKED:
        return f"Only {copies} places hold a copy; add one more."
    return ""
