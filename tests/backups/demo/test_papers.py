"""Documents and lists can be read, and agree with each other."""

from __future__ import annotations

import csv
import json
import re
import zlib
from datetime import datetime
from pathlib import Path

from backups.demo.documents import papers
from backups.demo.guests import invite
from backups.demo.names import CULTURES
from backups.demo.scenario import imagine
from backups.demo.seeds import chance
from backups.demo.wedding import DEMO, WeddingFiles

from .conftest import SEED


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def pdf_text(raw: bytes) -> bytes:
    """Return the inflated content streams of a PDF."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", raw, re.DOTALL)
    return b"\n".join(zlib.decompress(stream) for stream in streams if stream[:1] == b"\x78")


def test_every_pdf_has_pages_and_names_the_couple(wedding: WeddingFiles) -> None:
    found = sorted((wedding.root / "documents").rglob("*.pdf"))
    assert len(found) == 5
    for path in found:
        raw = path.read_bytes()
        assert raw.startswith(b"%PDF-") and raw.rstrip().endswith(b"%%EOF")
        pages = len(re.findall(rb"/Type\s*/Page\b", raw))
        assert pages == (2 if "contracts" in path.parts else 1), path
        first_name = wedding.scenario.couple[0].split()[0].encode("latin-1")
        assert first_name in pdf_text(raw), path


def test_an_invoice_asks_for_the_price_less_the_deposit(wedding: WeddingFiles) -> None:
    supplier = wedding.scenario.suppliers[0]
    (path,) = (wedding.root / "documents/invoices").glob(f"*{supplier.slug}.pdf")
    left = supplier.price_cents - supplier.price_cents * 30 // 100
    assert f"{wedding.scenario.venue.currency} {left // 100:,}.{left % 100:02d}".encode() in pdf_text(path.read_bytes())


def test_the_timeline_is_in_order_and_in_the_venues_time(wedding: WeddingFiles) -> None:
    timeline = json.loads((wedding.root / "documents/timeline.json").read_text(encoding="utf-8"))
    assert timeline["wedding"] == wedding.scenario.title
    starts = [datetime.fromisoformat(event["start"]) for event in timeline["events"]]
    assert starts == sorted(starts) and len(starts) >= 10
    offset = wedding.scenario.on_the_day(0).utcoffset()
    assert all(start.utcoffset() == offset for start in starts)
    assert any(event["title"] == "Ceremony" for event in timeline["events"])


def test_guest_lists_keep_names_of_every_script_and_reachable_addresses(wedding: WeddingFiles) -> None:
    guests = rows(wedding.root / "guests/guest-list.csv")
    assert len(guests) == len(wedding.scenario.guests) == 40
    assert len({guest["email"] for guest in guests}) == len(guests)
    for guest in guests:
        assert re.fullmatch(r"[a-z]+\.[a-z]+\d*@example\.com", guest["email"]), guest["email"]
        assert re.fullmatch(r"\+44 7700 900\d{3}", guest["phone"])
        assert (guest["table"] != "") == (guest["rsvp"] == "yes") == (guest["meal"] != "")
    assert any(not guest["first_name"].isascii() for guest in guests)


def test_every_name_there_is_can_become_an_address() -> None:
    many = invite(chance(SEED, "many"), 2000)
    assert {guest.first_name for guest in many} == {
        name.partition("|")[0] for firsts, _ in CULTURES.values() for name in firsts
    }
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+\d*@example\.com", guest.email) for guest in many)
    assert len({guest.email for guest in many}) == 2000


def test_the_seating_plan_seats_everyone_who_comes_once_and_names_nobody(wedding: WeddingFiles) -> None:
    seats = rows(wedding.root / "documents/seating-plan.csv")
    coming = {guest.guest_id: str(guest.table) for guest in wedding.scenario.guests if guest.rsvp == "yes"}
    assert {seat["guest_id"]: seat["table"] for seat in seats} == coming
    assert len({(seat["table"], seat["seat"]) for seat in seats}) == len(seats)
    assert max(int(seat["seat"]) for seat in seats) <= 10
    assert set(seats[0]) == {"table", "seat", "guest_id", "meal"}


def test_the_kitchen_learns_every_dietary_need(wedding: WeddingFiles) -> None:
    needs = rows(wedding.root / "guests/dietary-needs.csv")
    wanted = [guest.dietary_need for guest in wedding.scenario.guests if guest.dietary_need]
    assert sorted(row["dietary_need"] for row in needs) == sorted(wanted) != []


def test_the_demo_preset_has_every_supplier_with_contract_and_invoice() -> None:
    paths = [paper.path for paper in papers(imagine(SEED, guests=DEMO.guests, suppliers=DEMO.suppliers))]
    assert sum("contracts/" in path for path in paths) == sum("invoices/" in path for path in paths) == 7
    assert all(re.fullmatch(r"[a-z0-9/.-]+", path) for path in paths)
