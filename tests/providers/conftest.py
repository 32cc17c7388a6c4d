"""Fixtures of the providers' tests."""

import pytest

from tests.servers.fixtures import swift, swift_bucket, swift_proxy, swift_tls

__all__ = ["conformance_run", "figures_run", "swift", "swift_bucket", "swift_proxy", "swift_tls"]


@pytest.fixture
def conformance_run(pytestconfig: pytest.Config) -> bool:
    """Whether bin/conformance runs the tests, and with them the promises that take long."""
    return bool(pytestconfig.getoption("--conformance", None))


@pytest.fixture
def figures_run(pytestconfig: pytest.Config) -> bool:
    """Whether bin/conformance measures how long a dead provider takes to be reported."""
    return bool(pytestconfig.getoption("--figures", False))
