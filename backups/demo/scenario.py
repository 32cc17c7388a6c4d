"""The facts of the wedding, on which its photos, documents and lists agree.

The application makes its own records (wedding, venue, vendors) from the same `Scenario`, so that what is
on the page is what is in the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from backups.demo.guests import Guest, invite
from backups.demo.names import COUPLES
from backups.demo.seeds import chance

DEFAULT_DAY = date(2026, 6, 13)  # a Saturday


@dataclass(frozen=True)
class Venue:
    """Where they marry. `jurisdiction` is the ISO 3166 country code."""

    name: str
    city: str
    jurisdiction: str
    zone: str
    latitude: float
    longitude: float
    currency: str


@dataclass(frozen=True)
class Supplier:
    """A business with a contract and an invoice. `price_cents` is in the venue's currency."""

    kind: str
    business: str
    person: str
    service: str
    price_cents: int

    @property
    def slug(self) -> str:
        """The business in a file name, e.g. "photographer-lumen-and-lace"."""
        words = f"{self.kind} {self.business}".lower().replace("&", "and").split()
        return "-".join("".join(sign for sign in word if sign.isascii() and sign.isalnum()) for word in words)


@dataclass(frozen=True)
class Moment:
    """One line of the day's timeline, in the venue's local time."""

    starts: time
    minutes: int
    title: str
    place: str
    responsible: str


@dataclass(frozen=True)
class Scenario:
    """All facts of one wedding."""

    seed: int
    day: date
    couple: tuple[str, str]
    venue: Venue
    suppliers: tuple[Supplier, ...]
    timeline: tuple[Moment, ...]
    guests: tuple[Guest, ...]

    @property
    def title(self) -> str:
        """The wedding as people speak of it, e.g. "Amelia & Arjun"."""
        first, second = (name.split()[0] for name in self.couple)
        return f"{first} & {second}"

    def local(self, at: time, *, days: int = 0) -> datetime:
        """Return the aware local time `at` the venue, `days` [d] after the wedding day (negative: before)."""
        return datetime.combine(self.day + timedelta(days=days), at, ZoneInfo(self.venue.zone))

    def on_the_day(self, minutes: float) -> datetime:
        """Return the local time `minutes` [min] after noon of the wedding day."""
        noon = self.local(time(12)).astimezone(UTC)
        return (noon + timedelta(minutes=minutes)).astimezone(ZoneInfo(self.venue.zone))


_VENUES = (
    Venue("Marlowe Barn", "Canterbury", "GB", "Europe/London", 51.2802, 1.0789, "GBP"),
    Venue("Bastide des Cigales", "Aix-en-Provence", "FR", "Europe/Paris", 43.5297, 5.4474, "EUR"),
    Venue("Gutshof Elbblick", "Hamburg", "DE", "Europe/Berlin", 53.5488, 9.9872, "EUR"),
    Venue("Quinta do Miradouro", "Sintra", "PT", "Europe/Lisbon", 38.8029, -9.3817, "EUR"),
)

# (kind, business, person, service, lowest and highest price)
_TRADES = (
    ("photographer", "Lumen & Lace", "Maeve Delacroix", "Twelve hours, two photographers, album", 2400, 4200),
    ("venue", "", "Estate office", "Barn, garden and bridal suite, two nights", 5200, 9800),
    ("florist", "Wild Stem Studio", "Jonas Okafor", "Arch, twelve tables, two bouquets", 1100, 2900),
    ("planner", "Quiet Clockwork", "Renée Albrecht", "Planning and coordination of the day", 1800, 3500),
    ("caterer", "Salt & Saffron", "Devika Rao", "Three courses, late supper, service", 6100, 11900),
    ("musicians", "The Paper Lanterns", "Cormac Byrne", "Quartet for the ceremony, band until one", 1500, 2800),
    ("baker", "Crumb & Crown", "Inés Navarro", "Four tiers, lemon and elderflower", 480, 950),
)

_TIMELINE = (
    (-180, 120, "Hair and make-up", "Bridal suite", "planner"),
    (-60, 45, "Flowers and arch are set up", "Garden", "florist"),
    (-30, 30, "Portraits of both families", "Terrace", "photographer"),
    (60, 30, "Guests arrive, quartet plays", "Garden", "musicians"),
    (90, 40, "Ceremony", "Garden, under the arch", "planner"),
    (130, 60, "Drinks, confetti, group pictures", "Lawn", "photographer"),
    (210, 45, "Speeches", "Hall", "planner"),
    (255, 120, "Dinner", "Hall", "caterer"),
    (390, 30, "Golden hour portraits of the couple", "Orchard", "photographer"),
    (430, 20, "Cake", "Hall", "baker"),
    (450, 15, "First dance", "Hall", "musicians"),
    (465, 235, "Dancing, late supper at eleven", "Hall", "musicians"),
)


def imagine(seed: int, *, guests: int, suppliers: int, day: date = DEFAULT_DAY) -> Scenario:
    """Return the wedding of `seed`: couple, venue, suppliers (at most seven), timeline and guests."""
    rng = chance(seed, "scenario")
    venue = rng.choice(_VENUES)
    return Scenario(
        seed=seed,
        day=day,
        couple=rng.choice(COUPLES),
        venue=venue,
        suppliers=tuple(
            Supplier(kind, business or venue.name, person, service, rng.randrange(low, high, 10) * 100)
            for kind, business, person, service, low, high in _TRADES[:suppliers]
        ),
        timeline=tuple(
            Moment(_clock_time(after_noon), minutes, title, place, responsible)
            for after_noon, minutes, title, place, responsible in _TIMELINE
        ),
        guests=invite(chance(seed, "guests"), guests),
    )


def _clock_time(after_noon: int) -> time:
    hours, minutes = divmod(12 * 60 + after_noon, 60)
    return time(hours, minutes)
