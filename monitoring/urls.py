"""Addresses of the overview, the alerts and the health report."""

from django.contrib.auth.decorators import login_not_required
from django.urls import path

from monitoring.views import overview, webhooks

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("alerts/", overview.alert_list, name="alerts"),
    path("alerts/count/", overview.alert_count, name="alert-count"),
    path("alerts/<uuid:alert_id>/acknowledge/", overview.alert_acknowledge_now, name="alert-acknowledge"),
    path("webhooks/", webhooks.webhook_list, name="webhooks"),
    path("webhooks/new/", webhooks.webhook_new, name="webhook-new"),
    path("webhooks/<uuid:webhook_id>/", webhooks.webhook_page, name="webhook"),
    path("webhooks/<uuid:webhook_id>/test/", webhooks.webhook_test_now, name="webhook-test"),
    path("webhooks/<uuid:webhook_id>/switch/", webhooks.webhook_switch, name="webhook-switch"),
    path("webhooks/<uuid:webhook_id>/secret/", webhooks.webhook_secret, name="webhook-secret"),
    path("webhooks/<uuid:webhook_id>/remove/", webhooks.webhook_remove_now, name="webhook-remove"),
    path("webhooks/deliveries/<uuid:delivery_id>/again/", webhooks.delivery_again_now, name="delivery-again"),
    path("healthz", login_not_required(overview.healthz), name="healthz"),
]
