"""Addresses of the live news."""

from django.urls import path

from backups.consumers import JobConsumer, LiveConsumer

websocket_urlpatterns = [
    path("ws/live/", LiveConsumer.as_asgi()),
    path("ws/job/<uuid:job_id>/", JobConsumer.as_asgi()),
]
