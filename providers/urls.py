"""Addresses of locations."""

from django.urls import path

from providers.views import credentials, guides, locations, notifications, protected, traffic, wizard

urlpatterns = [
    path("locations/", locations.location_list, name="locations"),
    path("locations/new/", wizard.location_new, name="location-new"),
    path("locations/new/<slug:kind>/", wizard.location_new_place, name="location-new-place"),
    path("locations/new/<slug:kind>/credential/", wizard.location_new_credential, name="location-new-credential"),
    path("locations/<uuid:location_id>/added/", wizard.location_added, name="location-added"),
    path("locations/guides/<slug:kind>/", guides.guide_page, name="location-guide"),
    path("locations/traffic/", traffic.traffic, name="traffic"),
    path("locations/traffic/switch/", traffic.traffic_switch, name="traffic-switch"),
    path("locations/<uuid:location_id>/traffic/", traffic.location_traffic, name="location-traffic"),
    path("locations/<uuid:location_id>/pause/", traffic.location_pause_now, name="location-pause"),
    path("locations/<uuid:location_id>/breaker/", traffic.breaker_reset_now, name="breaker-reset"),
    path("locations/<uuid:location_id>/line/", traffic.line_measure_now, name="line-measure"),
    path("locations/<uuid:location_id>/", locations.location_page, name="location"),
    path("locations/<uuid:location_id>/credentials/", credentials.location_credentials, name="location-credentials"),
    path("locations/<uuid:location_id>/switch/", locations.location_switch, name="location-switch"),
    path(
        "locations/<uuid:location_id>/notifications/", notifications.notifications_open, name="location-notifications"
    ),
    path("notifications/<uuid:location_id>/", notifications.notification_taken, name="notification"),
    path("locations/<uuid:location_id>/marker/", protected.marker_checked, name="location-marker"),
]
