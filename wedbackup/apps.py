"""The wiring as a Django application: it sees everything and is seen by nobody."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class WiringConfig(AppConfig):
    """Tells the doorbell of Celery's application, so that a ring finds the broker; holds `serve`."""

    name = "wedbackup"
    label = "wiring"

    def ready(self) -> None:
        import_module("backups.doorbell").connect("wedbackup.celery.app")
