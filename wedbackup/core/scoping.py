"""Tenant isolation at the query: a model with a scope cannot be queried without saying for whom.

`Model.objects` refuses to answer until it is told who asks (`visible_to(user)`) or for which organisation
(`of(organisation)`). Work that is done for the platform itself (worker, scheduler, admin site) says so in words by
using `Model.unscoped`. Foreign rows are simply not there, so a view answers 404.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from django.db import models


class ScopeRequired(RuntimeError):
    """A scoped model was queried without a scope."""


T = TypeVar("T", bound=models.Model)


class ScopedQuerySet(models.QuerySet[T]):
    """A query set that knows how to keep to one person's or one organisation's rows.

    scope_lookup: the path from the model to the organisation, e.g. "vault__organisation".
    """

    scope_lookup: ClassVar[str] = "organisation"

    def visible_to(self, user: Any) -> ScopedQuerySet[T]:
        """Rows that `user` may see: all for admins and staff, a vendor's own organisations' otherwise."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.sees_everything:
            return self
        return self.filter(**{f"{self.scope_lookup}__memberships__user": user}).distinct()

    def of(self, organisation: Any) -> ScopedQuerySet[T]:
        """Rows of one organisation."""
        return self.filter(**{self.scope_lookup: organisation})


class ScopedManager(models.Manager[T]):
    """`objects` of a scoped model: only `visible_to` and `of` lead to rows."""

    def __init__(self, queryset_class: type[ScopedQuerySet[Any]]) -> None:
        super().__init__()
        self._queryset_of_model = queryset_class

    def _open(self) -> ScopedQuerySet[T]:
        return self._queryset_of_model(self.model, using=self._db)

    def visible_to(self, user: Any) -> ScopedQuerySet[T]:
        return self._open().visible_to(user)

    def of(self, organisation: Any) -> ScopedQuerySet[T]:
        return self._open().of(organisation)

    def get_queryset(self) -> ScopedQuerySet[T]:
        raise ScopeRequired(
            f"{self.model.__name__}.objects needs a scope: visible_to(user) or of(organisation); "
            "work of the platform itself uses .unscoped"
        )
