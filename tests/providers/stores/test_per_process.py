"""Clients that belong to one process, and are made there once."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from providers.stores.per_process import PerProcess


class Client:
    """Stands for an SDK's client."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clients() -> PerProcess[Client]:
    return PerProcess(Client, Client.close)


def test_many_threads_share_one_client(clients: PerProcess[Client]) -> None:
    line_up = threading.Barrier(8)

    def get() -> Client:
        line_up.wait()
        return clients.get()

    with ThreadPoolExecutor(8) as pool:
        got = [pool.submit(get) for _ in range(8)]
    assert len({id(client.result()) for client in got}) == 1


def test_a_closed_client_is_followed_by_a_new_one(clients: PerProcess[Client]) -> None:
    first = clients.get()
    clients.close()
    assert first.closed
    assert clients.get() is not first


def test_a_process_that_inherits_a_client_makes_its_own_and_leaves_the_parents_open(
    clients: PerProcess[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    inherited = clients.get()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    own = clients.get()
    assert own is not inherited
    clients.close()
    assert (own.closed, inherited.closed) == (True, False)


def test_what_a_process_only_inherited_is_not_closed_by_it(
    clients: PerProcess[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    inherited = clients.get()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    clients.close()
    assert not inherited.closed
