"""Where the files of a wedding may lie: the law of its guests travels with their data.

Transfers to a country that the European Commission calls adequate need no further safeguard (GDPR, article 45); among
them are the United Kingdom (decision (EU) 2021/1772, renewed in 2025) and Switzerland (2000/518/EC). The United Kingdom
takes the EEA and Switzerland for adequate in turn (Data Protection Act 2018, schedule 21). Anything else needs a
contract that this program cannot see, and is told to a person.
"""

from __future__ import annotations

_EUROPE = frozenset({"EU", "EEA", "UK", "CH"})
_ALLOWED = {"EU": _EUROPE, "EEA": _EUROPE, "UK": _EUROPE, "CH": _EUROPE}
_SAME = {"GB": "UK", "EUROPE": "EU"}


def residency_gap(wedding: str, place: str) -> str:
    """Return in words why a wedding under one law should not lie in a place under another; "" if nothing is known.

    wedding, place: jurisdictions as people enter them, "" when nobody has.
    """
    ours, theirs = _plain(wedding), _plain(place)
    allowed = _ALLOWED.get(ours)
    if allowed is None or not theirs or theirs in allowed:
        return ""
    return f"it lies under the law of {theirs}, and the wedding's guests under that of {ours}"


def _plain(jurisdiction: str) -> str:
    name = jurisdiction.strip().upper()
    return _SAME.get(name, name)
