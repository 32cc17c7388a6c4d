from __future__ import annotations

import os
from collections.abc import Collection

import pytest

from backups.engine.backup import claims
from backups.engine.backup.claims import Claims, LocalClaims, SharedClaims

KNOWN = {os.urandom(32) for _ in range(1000)}


@pytest.mark.parametrize("make", [LocalClaims, SharedClaims.create], ids=["one thread", "shared"])
@pytest.mark.parametrize("known", [set(), {bytes(31) + b"\1"}, KNOWN], ids=["none", "one", "many"])
def test_what_is_known_is_never_claimed_and_the_rest_once(make: type[LocalClaims], known: Collection[bytes]) -> None:
    board: Claims = make(known)
    assert not any(board.claim(blob_id) for blob_id in known)
    fresh = [os.urandom(32) for _ in range(2000)]
    assert all(board.claim(blob_id) for blob_id in fresh)
    assert not any(board.claim(blob_id) for blob_id in fresh)


def test_another_process_sees_what_is_known_and_claimed() -> None:
    ours = SharedClaims.create(KNOWN)
    taken = os.urandom(32)
    assert ours.claim(taken)
    theirs = SharedClaims(os.dup(ours.fd))
    assert not theirs.claim(taken) and not theirs.claim(next(iter(KNOWN)))
    assert theirs.claim(os.urandom(32))


def test_a_full_table_costs_duplicates_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "CLAIM_SLOTS", 16)
    table = SharedClaims.create([])
    fresh = [os.urandom(32) for _ in range(100)]
    assert all(table.claim(blob_id) for blob_id in fresh)
    assert not any(table.claim(blob_id) for blob_id in fresh)
