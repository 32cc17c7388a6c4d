"""The wiring as a Django application: it sees everything and is seen by nobody."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class WiringConfig(AppConfig):
    """Makes Celery's application known to every process, so that a ring finds the broker; holds `serve`."""

    name = "wedbackup"
    label = "wiring"

    def ready(self) -> None:
        import_module("wedbackup.celery")
