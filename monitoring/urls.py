"""Addresses of the overview, the alerts and the health report."""

from django.contrib.auth.decorators import login_not_required
from django.urls import path

from monitoring import views

urlpatterns = [
    path("", views.overview, name="overview"),
    path("alerts/", views.alert_list, name="alerts"),
    path("alerts/count/", views.alert_count, name="alert-count"),
    path("alerts/<uuid:alert_id>/acknowledge/", views.alert_acknowledge_now, name="alert-acknowledge"),
    path("healthz", login_not_required(views.healthz), name="healthz"),
]
