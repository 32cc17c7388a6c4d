"""Collects what the contract tests found, provider by promise: `pytest -p tests.providers.conformance.plugin`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--conformance", metavar="FILE", help="write the promises of all providers to FILE (JSON)")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--conformance") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collector(Path(config.getoption("--conformance"))))


class _Collector:
    """Runs in the process that hears the reports of all workers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[list[str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            test_class = report.nodeid.split("::")[1]
            found = [value for name, value in report.user_properties if name == "promise"]
            self._found += [[test_class, *value] for value in found if value[0]]

    def pytest_sessionfinish(self) -> None:
        self._path.write_text(json.dumps(sorted(self._found), ensure_ascii=False, indent=1), encoding="utf-8")
