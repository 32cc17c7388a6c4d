"""The server's own disk."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest

from monitoring.disk import disk_watch
from monitoring.models import Alert

Usage = namedtuple("Usage", "total used free")


@pytest.mark.django_db
def test_a_filling_disk_is_told_before_no_alert_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """immich, nextcloud: met when it was too late; here no page showed an alert, because none could be stored."""

    def free(gigabytes: float) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, int(gigabytes * 10**9)))
        disk_watch()

    free(6)
    assert not Alert.objects.exists()
    free(4.9)
    assert Alert.objects.get(key="disk.filling").text.startswith("4.9 GB are free")
    free(50)
    assert Alert.objects.get(key="disk.filling").state == "resolved"
