"""The pages that bin/conformance writes tell of the promises and providers that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.registry import KINDS
from providers.stores.base import Capabilities
from providers.validation import GROUPS, PROMISES, State
from tests.providers.conformance import capabilities, figures, table
from tests.providers.conformance.servers import PROVED_AGAINST
from tests.providers.store_contract import UNPROVED

DOCS = Path(__file__).parents[3] / "docs" / "providers"
NAMES = {promise.name for promise in PROMISES}


def rows(page: str) -> list[list[str]]:
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_lists_exactly_the_promises_of_the_code() -> None:
    page = (DOCS / "conformance.md").read_text(encoding="utf-8")
    assert [row[0] for row in rows(page) if row[0] in NAMES] == [promise.name for promise in PROMISES]
    heads = [row for row in rows(page) if row[0] == "promise"]
    assert len(heads) == len(GROUPS)
    assert all(row[1:] == list(KINDS) for row in heads), "run bin/conformance: a provider has no column yet"


def test_no_provider_breaks_a_promise_on_the_page() -> None:
    assert "BROKEN" not in (DOCS / "conformance.md").read_text(encoding="utf-8")


def test_every_kind_says_what_it_was_proved_against() -> None:
    assert set(PROVED_AGAINST) >= set(KINDS)


def test_the_table_of_proofs_is_that_of_the_capabilities() -> None:
    readme = (DOCS / "README.md").read_text(encoding="utf-8")
    assert capabilities.renewed(readme) == readme, "run bin/conformance: the capabilities changed"


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_an_exception_names_a_promise_that_exists(kind: object) -> None:
    has: Capabilities = capabilities.capabilities_of(kind)  # type: ignore[arg-type]
    assert set(has.exceptions) <= NAMES


def line(kind: str, state: str, detail: str = "") -> list[str]:
    return ["TestPromises", kind, PROMISES[0].name, state, detail]


@pytest.mark.parametrize(
    ("variants", "cell"),
    [
        ([line("s3", State.KEPT), line("s3", State.EXEMPT, "why")], "kept"),
        ([line("s3", State.KEPT), line("s3", State.BROKEN, "what")], "BROKEN [1]"),
        ([line("s3", State.KEPT), line("s3", UNPROVED, "server")], "unproved [1]"),
        ([line("s3", State.EXEMPT, "why")], "exempt [1]"),
        ([], "not run"),
    ],
)
def test_the_worst_of_its_variants_speaks_for_a_provider(variants: list[list[str]], cell: str) -> None:
    page = table.page(variants)
    row = next(row for row in rows(page) if row[0] == PROMISES[0].name)
    assert row[1 + list(KINDS).index("s3")] == cell


def test_a_reason_that_several_share_is_one_note() -> None:
    page = table.page([line("s3", State.EXEMPT, "the same"), line("r2", State.EXEMPT, "the same")])
    assert page.count(". the same\n") == 1


def test_a_figure_that_is_missed_says_so() -> None:
    page = figures.table([["s3", "refused", 0.4, 2], ["s3", "refused", 0.6, 2], ["s3", "black hole", 13.0, 1]])
    assert "| s3 | 0.6 s (2) | not measured | 13.0 s (1) MISSED |" in page
