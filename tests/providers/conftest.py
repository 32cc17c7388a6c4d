"""Fixtures of the providers' tests."""

from tests.servers.fixtures import swift, swift_bucket, swift_proxy, swift_tls

__all__ = ["swift", "swift_bucket", "swift_proxy", "swift_tls"]
