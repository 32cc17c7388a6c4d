"""A paste filter that gives a one-process Swift proxy the part of memcached that it needs.

Runs in Swift's own virtual environment; the folder of this file is on its PYTHONPATH and holds nothing else, since
the module beside it, `tests/servers/swift.py`, would hide Swift's own package.
"""

import threading
import time


class LocalCache:
    """Keys with an expiry time, for one process. The signatures are those of swift.common.memcached."""

    def __init__(self):
        self._lock = threading.Lock()
        self._kept = {}

    def set(self, key, value, serialize=True, time=0, min_compress_len=0, raise_on_error=False):
        with self._lock:
            self._kept[key] = (value, _expiry(time))

    def get(self, key, raise_on_error=False):
        with self._lock:
            value, expiry = self._kept.get(key, (None, None))
        return value if expiry is None or expiry > time.monotonic() else None

    def delete(self, key, server_key=None):
        with self._lock:
            self._kept.pop(key, None)

    def incr(self, key, delta=1, time=0):
        value = max(0, int(self.get(key) or 0) + int(delta))
        self.set(key, value, time=time)
        return value

    def decr(self, key, delta=1, time=0):
        return self.incr(key, -delta, time=time)

    def set_multi(self, mapping, server_key, serialize=True, time=0, min_compress_len=0):
        for key, value in mapping.items():
            self.set(key, value, time=time)

    def get_multi(self, keys, server_key):
        return [self.get(key) for key in keys]


def _expiry(seconds):
    return time.monotonic() + seconds if seconds else None


def filter_factory(global_conf, **local_conf):
    cache = LocalCache()

    def wrap(app):
        def with_cache(environ, start_response):
            environ["swift.cache"] = cache
            return app(environ, start_response)

        return with_cache

    return wrap
