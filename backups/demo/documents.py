"""The paperwork of a wedding: contracts, invoices, timeline, seating plan, shot list."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from backups.demo.guests import dietary_needs_csv, guest_list_csv, seating_plan_csv
from backups.demo.scenario import Moment, Scenario, Supplier

if TYPE_CHECKING:
    from fpdf import FPDF

DEPOSIT_PERCENT = 30

_CLAUSES = (
    (
        "Service",
        "The supplier provides the service named above on the day of the wedding, at the venue, in person "
        "or by a colleague of equal standing whom the couple has met.",
    ),
    (
        "Price and payment",
        "The deposit is due on signature and reserves the day. The balance is due fourteen days before the wedding.",
    ),
    (
        "Postponement",
        "The day may be moved once, free of charge, up to ninety days before the wedding, to any day that is free.",
    ),
    (
        "Cancellation",
        "Up to ninety days before: the deposit is kept. Up to thirty days before: half of the price. Later: all of it.",
    ),
    (
        "Safekeeping",
        "Everything made for the couple is kept in at least three places, two of them away from the studio, "
        "until seven years after delivery.",
    ),
    (
        "Personal data",
        "Names, addresses and needs of guests serve this wedding only and are erased ninety days after it.",
    ),
)

_SHOTS = (
    "Rings on the invitation", "Dress in the window", "Shoes, letters, perfume", "First look",
    "Walking in with father", "Faces during the vows", "Ring exchange, both hands", "First kiss, wide and close",
    "Confetti from above", "Both families on the steps", "Grandparents together", "Table details before guests enter",
    "Speeches: speaker and the couple's faces", "Golden hour in the orchard", "Cutting the cake", "First dance",
)  # fmt: skip


@dataclass(frozen=True)
class Paper:
    """One document: where it goes, when it was last changed, and how its bytes are made."""

    path: str
    changed_at: datetime
    render: Callable[[], bytes]


def papers(scenario: Scenario) -> list[Paper]:
    """Return every document and guest list of the wedding, not yet rendered."""
    found = [
        Paper("documents/timeline.json", scenario.local(time(21, 40), days=-6), lambda: timeline_json(scenario)),
        Paper("documents/timeline.pdf", scenario.local(time(21, 42), days=-6), lambda: timeline_pdf(scenario)),
        Paper("documents/shot-list.md", scenario.local(time(9, 15), days=-9), lambda: _shot_list(scenario)),
        Paper(
            "documents/seating-plan.csv",
            scenario.local(time(22, 5), days=-4),
            lambda: seating_plan_csv(scenario.guests),
        ),
        Paper("guests/guest-list.csv", scenario.local(time(20, 30), days=-5), lambda: guest_list_csv(scenario.guests)),
        Paper(
            "guests/dietary-needs.csv",
            scenario.local(time(20, 55), days=-5),
            lambda: dietary_needs_csv(scenario.guests),
        ),
    ]
    for number, supplier in enumerate(scenario.suppliers):
        found += _papers_of(scenario, number, supplier)
    return found


def _papers_of(scenario: Scenario, number: int, supplier: Supplier) -> list[Paper]:
    signed = scenario.local(time(10 + number, 20), days=-300 + 17 * number)
    billed = scenario.local(time(9, 5 + number), days=-14)
    return [
        Paper(f"documents/contracts/{supplier.slug}.pdf", signed, lambda: contract_pdf(scenario, supplier, signed)),
        Paper(
            f"documents/invoices/{_invoice_number(scenario, number)}-{supplier.slug}.pdf",
            billed,
            lambda: invoice_pdf(scenario, supplier, _invoice_number(scenario, number), billed),
        ),
    ]


def timeline_json(scenario: Scenario) -> bytes:
    """Return the day's timeline for programs: times with the venue's offset from UTC."""
    content = {
        "wedding": scenario.title,
        "date": scenario.day.isoformat(),
        "venue": scenario.venue.name,
        "zone": scenario.venue.zone,
        "events": [
            {
                "start": scenario.local(moment.starts).isoformat(),
                "end": _end(scenario, moment).isoformat(),
                "title": moment.title,
                "place": moment.place,
                "responsible": moment.responsible,
            }
            for moment in scenario.timeline
        ],
    }
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()


def timeline_pdf(scenario: Scenario) -> bytes:
    """Return the day's timeline for people, on one page."""
    pdf = _sheet(scenario, "The day", scenario.local(time(21, 42), days=-6))
    with pdf.table(col_widths=(26, 60, 38, 28), line_height=7, text_align="LEFT") as table:
        table.row(("Time", "What", "Where", "Who"))
        for moment in scenario.timeline:
            until = _end(scenario, moment)
            table.row((f"{moment.starts:%H:%M}-{until:%H:%M}", moment.title, moment.place, moment.responsible))
    return bytes(pdf.output())


def contract_pdf(scenario: Scenario, supplier: Supplier, signed: datetime) -> bytes:
    """Return the contract between the couple and `supplier`, two pages."""
    pdf = _sheet(scenario, f"Contract: {supplier.kind}", signed)
    deposit = supplier.price_cents * DEPOSIT_PERCENT // 100
    _paragraph(pdf, f"{supplier.business}, represented by {supplier.person}, and {' and '.join(scenario.couple)}.")
    _paragraph(pdf, f"Service: {supplier.service}.")
    _paragraph(pdf, f"Price: {_money(scenario, supplier.price_cents)}, of which {_money(scenario, deposit)} deposit.")
    for number, (heading, text) in enumerate(_CLAUSES, start=1):
        pdf.set_font("Helvetica", "B", 11)
        pdf.multi_cell(0, 8, f"{number}. {heading}", new_x="LMARGIN", new_y="NEXT")
        _paragraph(pdf, text)
    pdf.add_page()
    _paragraph(pdf, f"Signed at {scenario.venue.city} on {signed:%d %B %Y}.")
    for name in (supplier.person, *scenario.couple):
        pdf.ln(14)
        pdf.set_font("Times", "I", 20)
        pdf.multi_cell(0, 10, name, new_x="LMARGIN", new_y="NEXT")
        _paragraph(pdf, f"________________________________  {name}")
    return bytes(pdf.output())


def invoice_pdf(scenario: Scenario, supplier: Supplier, number: str, billed: datetime) -> bytes:
    """Return the invoice for what is left to pay after the deposit."""
    deposit = supplier.price_cents * DEPOSIT_PERCENT // 100
    pdf = _sheet(scenario, f"Invoice {number}", billed)
    _paragraph(pdf, f"{supplier.business}\nTo: {' and '.join(scenario.couple)}")
    with pdf.table(col_widths=(110, 40), line_height=8, text_align=("LEFT", "RIGHT")) as table:
        table.row(("Item", "Amount"))
        table.row((supplier.service, _money(scenario, supplier.price_cents)))
        table.row((f"Deposit paid ({DEPOSIT_PERCENT} %)", "-" + _money(scenario, deposit)))
        table.row(("To pay", _money(scenario, supplier.price_cents - deposit)))
    pdf.ln(6)
    _paragraph(pdf, f"Please pay by {billed + timedelta(days=10):%d %B %Y}, quoting {number}.")
    return bytes(pdf.output())


def _shot_list(scenario: Scenario) -> bytes:
    lines = [f"# Shot list: {scenario.title}, {scenario.day.isoformat()}", ""]
    lines += [f"- [ ] {shot}" for shot in _SHOTS]
    return ("\n".join(lines) + "\n").encode()


def _sheet(scenario: Scenario, heading: str, written: datetime) -> FPDF:
    """Return a first page with the wedding and `heading` at its top."""
    from fpdf import FPDF

    pdf = FPDF(format="A4")
    pdf.set_creation_date(written)  # without it the present time: not the same bytes twice
    pdf.set_title(f"{heading} - {scenario.title}")
    pdf.set_margin(22)
    pdf.add_page()
    pdf.set_font("Times", "I", 13)
    place = f"{scenario.venue.name}, {scenario.venue.city}"
    pdf.multi_cell(0, 7, f"{scenario.title}  |  {scenario.day:%d %B %Y}  |  {place}", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("Times", "B", 24)
    pdf.multi_cell(0, 18, heading, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("Helvetica", "", 11)
    return pdf


def _paragraph(pdf: FPDF, text: str) -> None:
    pdf.set_font("Helvetica", "", 11)
    pdf.multi_cell(0, 6, text, new_x="LMARGIN", new_y="NEXT")
    pdf.ln(2)


def _end(scenario: Scenario, moment: Moment) -> datetime:
    return scenario.local(moment.starts) + timedelta(minutes=moment.minutes)


def _invoice_number(scenario: Scenario, number: int) -> str:
    return f"{scenario.day.year}-{100 + 7 * number:04d}"


def _money(scenario: Scenario, cents: int) -> str:
    return f"{scenario.venue.currency} {cents // 100:,}.{cents % 100:02d}"
