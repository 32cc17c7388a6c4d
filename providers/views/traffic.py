"""Traffic: pause and resume, limits, office hours, quota, the breaker, and a measurement of the line."""

from __future__ import annotations

import uuid
from zoneinfo import available_timezones

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from providers.models import Location
from providers.services.breakers import breaker_reset
from providers.services.locations import store_of
from providers.services.pauses import (
    HOURS,
    line_measure,
    location_limits_set,
    location_pause,
    location_resume,
    office_hours_set,
    traffic_pause,
    traffic_resume,
)
from providers.services.traffic import traffic_row
from providers.stores.errors import StoreError
from wedbackup.core.access import admin_only
from wedbackup.core.templatetags.words import size

MEGABYTE, GIGABYTE = 10**6, 10**9
DAYS = list(enumerate(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")))


class LimitsForm(forms.Form):
    """Limits of one location, in the units in which people think."""

    megabytes_per_second = forms.FloatField(
        label="Megabytes a second",
        required=False,
        min_value=0.01,
        help_text="Up and down together. Empty for no limit.",
    )
    requests_per_second = forms.FloatField(
        label="Requests a second",
        required=False,
        min_value=0.1,
        help_text="Only if the provider asks for a slower pace. Empty for no limit.",
    )
    office_share_percent = forms.IntegerField(
        label="Share of the line in office hours [%]",
        min_value=1,
        max_value=100,
        help_text="Of what the line was measured to carry; 100 for all of it.",
    )
    quota_gigabytes = forms.FloatField(
        label="Quota [GB]",
        required=False,
        min_value=0.001,
        help_text="A warning comes at 80 %, and nothing more is stored at 100 %. Empty for none.",
    )

    def limits(self) -> dict[str, object]:
        """Return the answers as `location_limits_set` takes them."""
        answers = self.cleaned_data
        speed, quota = answers["megabytes_per_second"], answers["quota_gigabytes"]
        return {
            "bytes_per_second": None if speed is None else speed * MEGABYTE,
            "requests_per_second": answers["requests_per_second"],
            "office_share_percent": answers["office_share_percent"],
            "quota_bytes": None if quota is None else round(quota * GIGABYTE),
        }


def limits_now(location: Location) -> dict[str, object]:
    """Return what LimitsForm shows at first."""
    speed, quota = location.bytes_per_second, location.quota_bytes
    return {
        "megabytes_per_second": None if speed is None else speed / MEGABYTE,
        "requests_per_second": location.requests_per_second,
        "office_share_percent": location.office_share_percent,
        "quota_gigabytes": None if quota is None else quota / GIGABYTE,
    }


class OfficeHoursForm(forms.Form):
    """When people need the line."""

    office_from = forms.TimeField(label="From", widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))
    office_until = forms.TimeField(
        label="Until",
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text="Earlier than the beginning means the next morning.",
    )
    office_weekdays = forms.TypedMultipleChoiceField(
        label="On", choices=DAYS, coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )
    office_zone = forms.CharField(label="Time zone", help_text="For example Europe/London.", max_length=60)

    def clean_office_zone(self) -> str:
        zone: str = self.cleaned_data["office_zone"]
        if zone not in available_timezones():
            raise forms.ValidationError("There is no such time zone; write it like Europe/London.")
        return zone


@require_http_methods(["GET", "POST"])
@admin_only
def location_traffic(request: HttpRequest, location_id: uuid.UUID) -> HttpResponse:
    """Limits and quota of one location."""
    location = get_object_or_404(Location, pk=location_id)
    form = LimitsForm(request.POST or None, initial=limits_now(location), label_suffix="")
    if request.method == "POST" and form.is_valid():
        if location_limits_set(location, form.limits(), actor=request.user.get_username()):
            messages.success(request, f"{location.name} has new limits. Running transfers follow within seconds.")
        return redirect("location", location.pk)
    return render(request, "providers/limits.html", {"location": location, "form": form})


@require_http_methods(["GET", "POST"])
@admin_only
def traffic(request: HttpRequest) -> HttpResponse:
    """What holds for all locations: a pause, and office hours."""
    row = traffic_row()
    form = OfficeHoursForm(request.POST or None, initial={name: getattr(row, name) for name in HOURS}, label_suffix="")
    if request.method == "POST" and form.is_valid():
        if office_hours_set(form.cleaned_data, actor=request.user.get_username()):
            messages.success(request, "The office hours are changed. Running transfers follow within seconds.")
        return redirect("traffic")
    return render(request, "providers/traffic.html", {"form": form, "traffic": row})


@require_POST
@admin_only
def traffic_switch(request: HttpRequest) -> HttpResponse:
    """Pause all traffic but recoveries, or let it go on."""
    actor = request.user.get_username()
    if request.POST.get("pause"):
        traffic_pause(actor=actor)
        messages.warning(request, "All traffic is paused. Backups wait until you resume it; recoveries go on.")
    else:
        traffic_resume(actor=actor)
        messages.success(request, "Traffic goes on. What has waited begins now.")
    return redirect("traffic")


@require_POST
@admin_only
def location_pause_now(request: HttpRequest, location_id: uuid.UUID) -> HttpResponse:
    """Pause one location, or use it again."""
    location = get_object_or_404(Location, pk=location_id)
    actor = request.user.get_username()
    if request.POST.get("pause"):
        location_pause(location, actor=actor)
        messages.warning(request, f"{location.name} is paused. Its copies lag and are caught up afterwards.")
    else:
        location_resume(location, actor=actor)
        messages.success(request, f"{location.name} is used again. The next backups catch its copies up.")
    return redirect("location", location.pk)


@require_POST
@admin_only
def breaker_reset_now(request: HttpRequest, location_id: uuid.UUID) -> HttpResponse:
    """Ask a location again that was left alone."""
    location = get_object_or_404(Location, pk=location_id)
    if breaker_reset(location, actor=request.user.get_username()):
        messages.success(request, f"{location.name} is asked again from now on.")
    return redirect("location", location.pk)


@require_POST
@admin_only
def line_measure_now(request: HttpRequest, location_id: uuid.UUID) -> HttpResponse:
    """Upload 8 MiB and keep how fast that was."""
    location = get_object_or_404(Location, pk=location_id)
    try:
        speed = line_measure(location, store_of(location))
    except StoreError as error:
        messages.error(request, f"{error}. {error.advice}")
    else:
        messages.success(request, f"8 MiB went to {location.name} at {size(speed)} a second; they are deleted again.")
    return redirect("location", location.pk)
