"""The browsers of the cast, as pytest fixtures, each signed in. A conftest takes those it needs."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.cast import Cast
from wedbackup.core.models import User


def signed_in(user: User) -> Client:
    """Return a browser in which `user` is signed in."""
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def alice(cast: Cast) -> Client:
    """The admin's browser."""
    return signed_in(cast.alice)


@pytest.fixture
def sam(cast: Cast) -> Client:
    """The browser of staff."""
    return signed_in(cast.sam)


@pytest.fixture
def vera(cast: Cast) -> Client:
    """The browser of the photographer whose wedding it is."""
    return signed_in(cast.vera)


@pytest.fixture
def carl(cast: Cast) -> Client:
    """The browser of the florist who works on no wedding."""
    return signed_in(cast.carl)
