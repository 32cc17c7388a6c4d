"""Collects what the contract tests found, provider by promise: `pytest -p tests.providers.conformance.plugin`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--conformance", metavar="FILE", help="write what is found to FILE (JSON)")
    parser.addoption("--long", action="store_true", help="also the promises that take minutes")
    parser.addoption(
        "--figures", action="store_true", help="also measure how long a dead provider takes to be reported"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--conformance") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collector(Path(config.getoption("--conformance"))))


class _Collector:
    """Runs in the process that hears the reports of all workers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._promises: list[list[Any]] = []
        self._figures: list[list[Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":
            return
        test_class = report.nodeid.split("::")[1]
        for name, given in report.user_properties:
            value: Any = given
            if name == "promise" and value[0]:
                self._promises.append([test_class, *value])
            if name == "figure" and value[0]:
                self._figures.append(list(value))

    def pytest_sessionfinish(self) -> None:
        found = {"promises": sorted(self._promises), "figures": sorted(self._figures)}
        self._path.write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")
