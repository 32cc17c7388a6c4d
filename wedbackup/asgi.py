"""The ASGI application: pages over HTTP, live news over WebSockets.

Production: `daphne wedbackup.asgi:application`, several of them behind a proxy that ends TLS.
"""

from __future__ import annotations

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wedbackup.settings")

http = get_asgi_application()  # before anything that imports models

from backups.routing import websocket_urlpatterns  # noqa: E402
from wedbackup import watchdog  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http,
        # A page of another site must not open a socket with our visitor's cookie.
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)

if settings.PRODUCTION:
    watchdog.start()
