"""Fixtures of the providers' tests."""

import pytest

from tests.servers.fixtures import swift, swift_bucket, swift_proxy, swift_tls

__all__ = ["figures_run", "long_run", "swift", "swift_bucket", "swift_proxy", "swift_tls"]


@pytest.fixture
def long_run(pytestconfig: pytest.Config) -> bool:
    """Whether the promises that take long are put to the test as well: bin/conformance asks for them."""
    return bool(pytestconfig.getoption("--long", False))


@pytest.fixture
def figures_run(pytestconfig: pytest.Config) -> bool:
    """Whether bin/conformance measures how long a dead provider takes to be reported."""
    return bool(pytestconfig.getoption("--figures", False))
