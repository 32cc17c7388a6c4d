"""The figure: a credential changes under eight threads' puts, not one of which fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.models import Location
from providers.stores.errors import AccessDenied
from providers.stores.s3 import S3Options, S3Store
from providers.validation.faultproxy import FaultProxy
from tests.bench.rotation import make_location, rotate_under_load
from tests.servers.swift import Swift

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
PUTS = 1000


def test_a_thousand_puts_notice_nothing_of_a_rotation(
    key_file: Path, swift: Swift, swift_bucket: str, swift_proxy: FaultProxy
) -> None:
    location = make_location(swift, swift_proxy, swift_bucket)
    figures = rotate_under_load(location, swift_proxy, swift, puts=PUTS)
    assert figures.puts >= PUTS
    assert figures.errors == []
    assert figures.old_key > 0 and figures.new_key > 0
    assert figures.after_retirement >= PUTS // 3
    assert figures.old_key_refused == 0, "somebody still used the old key"
    states = dict(Location.objects.get().credentials.values_list("version", "state"))
    assert states == {1: "retired", 2: "current"}
    old_key = S3Options(
        bucket=swift_bucket, access_key=swift.access_key, secret_key=swift.secret_key, endpoint_url=swift_proxy.url
    )
    with pytest.raises(AccessDenied):
        S3Store(old_key).head("load/0/0")
    assert swift_proxy.fault is not None and swift_proxy.fault.hits > 0, "the old key was not really refused"
