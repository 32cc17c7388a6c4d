"""How long a business keeps its contracts, by the country of the wedding. Pure; a starting point, no legal advice.

Each figure is the longest period that the named rule asks for, or within which a written contract can be sued upon.
A policy that gives its own figure stands above this table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Period:
    """For how many years, and which rule says so."""

    years: int
    source: str


PERIODS = {
    "UK": Period(6, "Limitation Act 1980, s. 5"),
    "IE": Period(6, "Statute of Limitations 1957, s. 11"),
    "DE": Period(10, "Abgabenordnung, § 147 (3)"),
    "AT": Period(7, "Bundesabgabenordnung, § 132"),
    "CH": Period(10, "Obligationenrecht, Art. 958f"),
    "FR": Period(10, "Code de commerce, art. L123-22"),
    "IT": Period(10, "Codice civile, art. 2220"),
    "ES": Period(6, "Código de Comercio, art. 30"),
    "NL": Period(7, "Algemene wet inzake rijksbelastingen, art. 52"),
    "SE": Period(7, "Bokföringslagen, 7 kap. 2 §"),
    "DK": Period(5, "Bogføringsloven, § 12"),
    "EU": Period(10, "the longest of its countries here"),
    "US": Period(10, "735 ILCS 5/13-206 (Illinois), among the longest of the states"),
    "CA": Period(6, "Income Tax Act, s. 230 (4)"),
    "AU": Period(7, "Corporations Act 2001, s. 286"),
    "NZ": Period(7, "Tax Administration Act 1994, s. 22"),
}
_OTHER_NAMES = {"GB": "UK"}


def contract_period(jurisdiction: str) -> Period:
    """Return the period for a country as a wedding names it, e.g. "UK"; the longest of all where it is not known."""
    name = jurisdiction.strip().upper()
    known = PERIODS.get(_OTHER_NAMES.get(name, name))
    longest = max(period.years for period in PERIODS.values())
    return known or Period(longest, "the longest of all, because the wedding's country is not known")
