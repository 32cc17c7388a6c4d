"""One small wedding for all tests of the generator; nobody may change it."""

from __future__ import annotations

import pytest

from backups.demo.wedding import SMALL, WeddingFiles, make_wedding

SEED = 20260613


@pytest.fixture(scope="session")
def wedding(tmp_path_factory: pytest.TempPathFactory) -> WeddingFiles:
    return make_wedding(tmp_path_factory.mktemp("wedding"), seed=SEED, size=SMALL)
