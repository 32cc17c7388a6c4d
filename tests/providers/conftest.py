"""Fixtures of the providers' tests."""

import pytest

from tests.providers.store_contract import StoreContract, is_chosen
from tests.servers.fixtures import swift, swift_bucket, swift_proxy, swift_tls

__all__ = ["long_run", "swift", "swift_bucket", "swift_proxy", "swift_tls"]


@pytest.fixture
def long_run(pytestconfig: pytest.Config) -> bool:
    """Whether the promises that take long are put to the test as well: bin/conformance asks for them."""
    return bool(pytestconfig.getoption("--long", False))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes and what a variant of a store only repeats, unless bin/conformance asks for it."""
    campaign, figures = bool(config.getoption("--long", False)), bool(config.getoption("--figures", False))
    chosen: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        contract, parameters = getattr(item, "cls", None), getattr(item, "callspec", None)
        if parameters is None or not (isinstance(contract, type) and issubclass(contract, StoreContract)):
            chosen.append(item)
        elif promise := parameters.params.get("promise"):
            (chosen if is_chosen(contract, promise, campaign=campaign) else left_out).append(item)
        else:
            takes_long = parameters.params.get("trouble") == "black hole" and not figures
            (left_out if takes_long else chosen).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = chosen
