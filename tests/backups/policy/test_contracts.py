from __future__ import annotations

import pytest

from backups.policy.contracts import PERIODS, contract_period


@pytest.mark.parametrize(("where", "years"), [("UK", 6), ("gb", 6), (" de ", 10), ("US", 10), ("NL", 7)])
def test_contracts_are_kept_as_long_as_the_weddings_country_asks_for(where: str, years: int) -> None:
    assert contract_period(where).years == years


@pytest.mark.parametrize("unknown", ["", "Atlantis"])
def test_where_the_country_is_not_known_the_longest_period_holds(unknown: str) -> None:
    assert contract_period(unknown).years == max(period.years for period in PERIODS.values())


def test_every_period_names_its_source() -> None:
    assert all(len(period.source) > 10 for period in PERIODS.values())
