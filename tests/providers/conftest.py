"""Fixtures of the providers' tests."""

import pytest

from tests.providers.store_contract import StoreContract, is_chosen
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes and what a variant of a store only repeats, unless bin/conformance asks for it."""
    campaign = bool(config.getoption("--long", False))
    chosen: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        contract, parameters = getattr(item, "cls", None), getattr(item, "callspec", None)
        promise = parameters.params.get("promise") if parameters else None
        if not (isinstance(contract, type) and issubclass(contract, StoreContract)) or promise is None:
            chosen.append(item)
        else:
            (chosen if is_chosen(contract, promise, campaign=campaign) else left_out).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = chosen
