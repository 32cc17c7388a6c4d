"""Addresses of locations."""

from django.urls import path

from providers import views

urlpatterns = [
    path("locations/", views.location_list, name="locations"),
    path("locations/new/", views.location_new, name="location-new"),
    path("locations/<uuid:location_id>/", views.location_page, name="location"),
    path("locations/<uuid:location_id>/validate/", views.location_validate_now, name="location-validate"),
    path("locations/<uuid:location_id>/switch/", views.location_switch, name="location-switch"),
]
