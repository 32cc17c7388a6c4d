"""Fixtures of the providers' tests."""

import pytest

from tests.servers.fixtures import swift, swift_bucket, swift_proxy, swift_tls

__all__ = ["conformance_run", "swift", "swift_bucket", "swift_proxy", "swift_tls"]


@pytest.fixture
def conformance_run(pytestconfig: pytest.Config) -> bool:
    """Whether bin/conformance runs the tests, and with them the promises that take long."""
    return bool(pytestconfig.getoption("--conformance", None))
