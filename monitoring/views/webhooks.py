"""Webhooks, for admins: who is told of what, what was delivered, a test at the press of a button."""

from __future__ import annotations

import uuid

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from backups.models import Organisation
from monitoring.models import Delivery, Webhook
from monitoring.services import webhooks
from providers.services.addresses import AddressRefused
from wedbackup.core import sealing
from wedbackup.core.access import admin_only, person
from wedbackup.core.events import Tag
from wedbackup.core.htmx import render_page

DELIVERIES_SHOWN = 50
ONCE = "webhook secret, to be shown once"  # where the session keeps a secret until the page has shown it once


class WebhookForm(forms.Form):
    """Where to, and what about."""

    name = forms.CharField(max_length=80, help_text="As people will call it, for example: Studio chat")
    url = forms.CharField(max_length=500, label="Address", help_text="https://... of the receiver.")
    organisation = forms.ModelChoiceField(
        Organisation.unscoped.none(), required=False, empty_label="all, and the platform itself", label="Events of"
    )
    tags = forms.MultipleChoiceField(
        choices=[(tag.value, tag.value) for tag in Tag],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Only these events",
        help_text="None ticked: all of them.",
    )
    private_address_allowed = forms.BooleanField(
        required=False, label="It is inside our own network", help_text="Otherwise private addresses are refused."
    )

    def __init__(self, *args: object, organisations: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.label_suffix = ""
        self.fields["organisation"].queryset = organisations  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if Webhook.objects.filter(name=name).exists():
            raise forms.ValidationError("There is a webhook of this name already; choose another name.")
        return name


@require_GET
@admin_only
def webhook_list(request: HttpRequest) -> HttpResponse:
    """All webhooks and whether they are heard."""
    rows = list(Webhook.objects.all())
    failing = sum(row.failing_since is not None for row in rows)
    return render(request, "monitoring/webhooks.html", {"webhooks": rows, "failing": failing})


@require_http_methods(["GET", "POST"])
@admin_only
def webhook_new(request: HttpRequest) -> HttpResponse:
    """Add a webhook; its secret is shown on the next page, once."""
    user = person(request)
    form = WebhookForm(request.POST or None, organisations=Organisation.objects.visible_to(user))
    if request.method == "POST" and form.is_valid():
        answers = form.cleaned_data
        organisation = answers.pop("organisation")
        try:
            webhook, secret = webhooks.webhook_create(
                **answers, organisation_id=organisation.pk if organisation else None, actor=user.get_username()
            )
        except AddressRefused as refused:
            form.add_error("url", f"{refused}.")
        except sealing.SealingError as error:
            form.add_error(None, str(error))
        else:
            _show_once(request, secret)
            return redirect("webhook", webhook.pk)
    return render(request, "monitoring/webhook_new.html", {"form": form})


@require_GET
@admin_only
def webhook_page(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    """One webhook and the log of its deliveries."""
    webhook = get_object_or_404(Webhook, pk=webhook_id)
    context = {
        "webhook": webhook,
        "deliveries": list(webhook.deliveries.all()[:DELIVERIES_SHOWN]),
        "waiting": webhook.deliveries.filter(ended_at=None).count(),
        "organisation": webhook.organisation_id and Organisation.unscoped.filter(pk=webhook.organisation_id).first(),
        "secret": _shown_once(request),
    }
    return render_page(request, "monitoring/webhook.html", "monitoring/fragments/_deliveries.html", context)


@require_POST
@admin_only
def webhook_test_now(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    """Send a harmless message and say how it went."""
    webhook = get_object_or_404(Webhook, pk=webhook_id)
    delivery = webhooks.webhook_test(webhook, actor=person(request).get_username())
    if delivery.state == Delivery.State.DELIVERED:
        messages.success(request, f"{webhook} has answered {delivery.last_status}: the test arrived.")
    else:
        messages.error(request, f"The test did not arrive: {delivery.last_error}.")
    return redirect("webhook", webhook.pk)


@require_POST
@admin_only
def webhook_switch(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    """Tell it of events from now on, or leave it alone."""
    webhook = get_object_or_404(Webhook, pk=webhook_id)
    webhooks.webhook_enable(webhook, not webhook.enabled, actor=person(request).get_username())
    messages.success(
        request, f"{webhook} is {'told of events again' if webhook.enabled else 'left alone from now on'}."
    )
    return redirect("webhook", webhook.pk)


@require_POST
@admin_only
def webhook_secret(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    """Give it a new secret and show that once."""
    webhook = get_object_or_404(Webhook, pk=webhook_id)
    _show_once(request, webhooks.webhook_renew_secret(webhook, actor=person(request).get_username()))
    return redirect("webhook", webhook.pk)


@require_POST
@admin_only
def webhook_remove_now(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    """Forget the webhook."""
    webhook = get_object_or_404(Webhook, pk=webhook_id)
    webhooks.webhook_remove(webhook, actor=person(request).get_username())
    messages.success(request, f"{webhook.name} is removed.")
    return redirect("webhooks")


@require_POST
@admin_only
def delivery_again_now(request: HttpRequest, delivery_id: uuid.UUID) -> HttpResponse:
    """Send an ended delivery once more."""
    delivery = get_object_or_404(Delivery, pk=delivery_id)
    if webhooks.delivery_again(delivery):
        messages.success(request, "It is sent again within a few seconds.")
    return redirect("webhook", delivery.webhook_id)


def _show_once(request: HttpRequest, secret: str) -> None:
    """Keep `secret` for the next page, sealed: sessions lie in the database."""
    request.session[ONCE] = sealing.seal(secret.encode(), purpose=ONCE)


def _shown_once(request: HttpRequest) -> str:
    sealed = request.session.pop(ONCE, "")
    return sealing.unseal(sealed, purpose=ONCE).decode() if sealed else ""
