"""The guests of the wedding and the lists that are kept about them (personal data, some of it special)."""

from __future__ import annotations

import csv
import io
import random
import unicodedata
from collections import Counter
from dataclasses import dataclass, fields

from backups.demo.names import CULTURES, WEIGHTS

SEATS_PER_TABLE = 10
FIRST_TABLE_GUESTS = 8  # the couple's own table

_RSVP = (("yes", 82), ("no", 11), ("waiting", 7))
_MEALS = (("beef", 34), ("sea bass", 28), ("mushroom wellington", 24), ("thali", 14))
_DIETARY = (
    ("", 66),
    ("vegetarian", 10),
    ("vegan", 6),
    ("gluten-free (coeliac)", 4),
    ("nut allergy, carries adrenaline", 3),
    ("halal", 4),
    ("kosher", 2),
    ("lactose intolerant", 3),
    ("no shellfish", 2),
)
_NOTES = (
    ("", 70),
    ("wheelchair, seat near the door", 3),
    ("high chair needed", 4),
    ("speech: keep near the microphone", 2),
    ("not next to uncle Arthur", 2),
    ("arrives by train at 11:42, needs a lift", 5),
    ("brings own car seat", 3),
    ("leaves before the dancing", 4),
    ("staying at the venue; room booked", 7),
)
# Spellings that decomposition does not reach.
_ASCII = str.maketrans({"ß": "ss", "ł": "l", "Ł": "l", "đ": "d", "Đ": "d", "ı": "i", "Þ": "th", "ð": "d"})


@dataclass(frozen=True)
class Guest:
    """One invited person. `table` is 0 for those who do not come."""

    guest_id: str
    first_name: str
    family_name: str
    email: str
    phone: str
    rsvp: str
    meal: str
    dietary_need: str
    table: int
    notes: str


def invite(rng: random.Random, count: int) -> tuple[Guest, ...]:
    """Return `count` guests with unique ids, e-mail addresses (example.com) and fictional phone numbers."""
    taken: Counter[str] = Counter()
    guests = []
    seated = 0
    for number in range(1, count + 1):
        first, family, address = _draw_name(rng)
        taken[address] += 1
        if taken[address] > 1:
            address += str(taken[address])
        rsvp = _draw(rng, _RSVP)
        comes = rsvp == "yes"
        guests.append(
            Guest(
                guest_id=f"G{number:03d}",
                first_name=first,
                family_name=family,
                email=f"{address}@example.com",
                # Ofcom keeps 07700 900000 to 900999 for films: nobody's telephone rings.
                phone=f"+44 7700 900{number % 1000:03d}",
                rsvp=rsvp,
                meal=_draw(rng, _MEALS) if comes else "",
                dietary_need=_draw(rng, _DIETARY) if comes else "",
                table=_table_of(seated) if comes else 0,
                notes=_draw(rng, _NOTES),
            )
        )
        seated += comes
    return tuple(guests)


def guest_list_csv(guests: tuple[Guest, ...]) -> bytes:
    """Return the full guest list as CSV, UTF-8."""
    header = tuple(field.name for field in fields(Guest))
    rows = [[_cell(getattr(guest, column)) for column in header] for guest in guests]
    return _csv(header, rows)


def dietary_needs_csv(guests: tuple[Guest, ...]) -> bytes:
    """Return what the kitchen must know (health and religion: special category), CSV, UTF-8."""
    rows = [
        [str(guest.table), f"{guest.first_name} {guest.family_name}", guest.meal, guest.dietary_need]
        for guest in sorted(guests, key=lambda guest: guest.table)
        if guest.dietary_need
    ]
    return _csv(("table", "guest", "meal", "dietary_need"), rows)


def seating_plan_csv(guests: tuple[Guest, ...]) -> bytes:
    """Return tables and seats by guest id: no names, since the plan lies among the documents."""
    seats: Counter[int] = Counter()
    rows = []
    for guest in guests:
        if guest.table:
            seats[guest.table] += 1
            rows.append([str(guest.table), str(seats[guest.table]), guest.guest_id, guest.meal])
    return _csv(("table", "seat", "guest_id", "meal"), rows)


def _draw(rng: random.Random, weighted: tuple[tuple[str, int], ...]) -> str:
    return rng.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]


def _draw_name(rng: random.Random) -> tuple[str, str, str]:
    """Return (first name, family name, local part of the e-mail address)."""
    culture = rng.choices(list(CULTURES), [WEIGHTS.get(name, 2) for name in CULTURES])[0]
    firsts, families = CULTURES[culture]
    first, _, first_ascii = rng.choice(firsts).partition("|")
    family, _, family_ascii = rng.choice(families).partition("|")
    return first, family, f"{_plain(first_ascii or first)}.{_plain(family_ascii or family)}"


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.translate(_ASCII))
    return "".join(sign for sign in decomposed.lower() if sign.isascii() and sign.isalpha())


def _table_of(seated: int) -> int:
    if seated < FIRST_TABLE_GUESTS:
        return 1
    return 2 + (seated - FIRST_TABLE_GUESTS) // SEATS_PER_TABLE


def _cell(value: str | int) -> str:
    return "" if value == 0 else str(value)


def _csv(header: tuple[str, ...], rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
