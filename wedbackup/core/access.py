"""The one way by which a view fetches a row: foreign or unknown answers 404, a missing role answers 403.

A person is never told that somebody else's wedding exists, so the two cases look the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponseBase

from wedbackup.core.models import User

M = TypeVar("M", bound=models.Model)
View = Callable[..., Any]

NOT_THERE = "There is nothing at this address, or it belongs to somebody else."


def fetch(model: type[M], user: Any, pk: Any, *related: str) -> M:
    """Return the row `pk` of a scoped `model` if `user` may see it.

    related: names for select_related, so that a page needs no further query.

    Raises Http404 for a foreign and for an unknown row alike.
    """
    rows = model.objects.visible_to(user)  # type: ignore[attr-defined]
    if related:
        rows = rows.select_related(*related)
    row: M | None = rows.filter(pk=pk).first()
    if row is None:
        raise Http404(NOT_THERE)
    return row


def person(request: HttpRequest) -> User:
    """Return who is signed in; the middleware has sent everybody else to the sign-in page."""
    user = request.user
    if not isinstance(user, User):
        raise PermissionDenied("Sign in first.")
    return user


def _only(allowed: Callable[[Any], bool], message: str) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not allowed(request.user):
                raise PermissionDenied(message)
            response: HttpResponseBase = view(request, *args, **kwargs)
            return response

        return guarded

    return decorate


platform_only = _only(
    lambda user: user.sees_everything,
    "This page is for the people who run the platform. Ask an admin if you need something from it.",
)
admin_only = _only(
    lambda user: user.is_admin,
    "Only an admin may do this. Ask one of your admins.",
)
recovery_only = _only(
    lambda user: user.may_recover,
    "Emergency recovery is started by staff. Call them: they see the same page with a Start button.",
)
