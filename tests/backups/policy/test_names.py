"""Any file name becomes one that every service and computer can show, and no two become one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.policy.names import readable_names, readable_part
from providers.stores.base import PART_BYTES_MAX, check_name


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (b"Contract.pdf", "Contract.pdf"),
        ("Zoë's plan.pdf".encode(), "Zoë's plan.pdf"),
        (b"what? who: me.txt", "what_ who_ me.txt"),
        (b".hidden", "_hidden"),
        (b"ends with dot. ", "ends with dot"),
        (b"line\nbreak.txt", "line_break.txt"),
        (b"..", "_"),
        (b"caf\xe9.txt", "caf\ufffd.txt"),
        (b"a" * 300 + b".pdf", "a" * 251 + ".pdf"),
    ],
)
def test_a_name_keeps_what_can_be_kept(given: bytes, shown: str) -> None:
    assert readable_part(given) == shown


@given(st.binary(min_size=1, max_size=400).filter(lambda name: b"/" not in name))
def test_any_name_becomes_one_that_every_store_takes(name: bytes) -> None:
    shown = readable_part(name)
    assert check_name(shown) == shown
    assert len(shown.encode()) <= PART_BYTES_MAX


def test_names_that_differ_by_case_or_sign_only_stay_apart() -> None:
    names = readable_names([b"Plan.pdf", b"plan.pdf", b"PLAN.PDF", b"a/x?", b"a/x*"])
    assert len({name.casefold() for name in names.values()}) == 5
    assert names[b"PLAN.PDF"] == "PLAN.PDF"
    assert sorted(names.values())[-1] == "plan (3).pdf"


@given(st.sets(st.binary(min_size=1, max_size=12).filter(lambda name: name.strip(b"/") != b"")))
def test_no_two_paths_share_a_name(paths: set[bytes]) -> None:
    names = readable_names(paths)
    assert len({name.casefold() for name in names.values()}) == len(paths)
