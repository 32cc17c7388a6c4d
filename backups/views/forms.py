"""What a person types in, checked with messages that say what to do."""

from __future__ import annotations

from typing import Any

from django import forms

from backups.models import Organisation, Policy, Vault
from backups.models.weddings import validate_zone
from backups.services.sources import patterns_check
from backups.services.vaults import vault_locations
from providers.models import Location


class PlainForm(forms.Form):
    """Fields without Django's trailing colon, marked invalid for screen readers (templates/components/fields.html)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""


class OrganisationForm(PlainForm):
    name = forms.CharField(max_length=120, label="Name of the business")
    vendor_type = forms.ChoiceField(choices=Organisation.VendorType.choices, label="What they do")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if Organisation.unscoped.filter(name__iexact=name).exists():
            raise forms.ValidationError(
                "There is a business of this name already. Use it, or add the town to the name."
            )
        return name


class WeddingForm(PlainForm):
    couple = forms.CharField(max_length=120, help_text="For example: Okafor & Lindqvist")
    date = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}), help_text="The local date at the venue.")
    vendors = forms.ModelMultipleChoiceField(
        queryset=Organisation.unscoped.none(),
        widget=forms.CheckboxSelectMultiple,
        label="Who works on it",
        error_messages={"required": "Tick at least one business. If there is none, add a business first."},
    )
    venue = forms.CharField(max_length=120, required=False)
    time_zone = forms.CharField(
        initial="Europe/London", validators=[validate_zone], label="Time zone", help_text="For example: Europe/Rome"
    )
    jurisdiction = forms.CharField(
        max_length=20, required=False, help_text="Where its data may live, for example UK or EU. Empty: anywhere."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Only the people who run the platform reach this form; they see all businesses.
        self.fields["vendors"].queryset = Organisation.unscoped.all()  # type: ignore[attr-defined]


class VaultForm(PlainForm):
    organisation = forms.ModelChoiceField(queryset=Organisation.unscoped.none(), label="Whose files", empty_label=None)
    protection_class = forms.ChoiceField(choices=Vault.ProtectionClass.choices, label="What kind of files")
    policy = forms.ModelChoiceField(
        queryset=Policy.objects.all(), empty_label=None, help_text="How many copies, how often."
    )
    locations = forms.ModelMultipleChoiceField(
        queryset=Location.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        label="Where the copies go",
        error_messages={"required": "Tick at least one location. If there is none, add one first and validate it."},
    )
    path = forms.CharField(
        max_length=1000, required=False, label="Source folder", help_text="Absolute path of a folder on this machine. "
        "Empty: files come by upload."
    )  # fmt: skip

    def __init__(self, *args: Any, organisations: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["organisation"].queryset = organisations  # type: ignore[attr-defined]
        fit = [location.pk for location in vault_locations()]
        self.fields["locations"].queryset = Location.objects.filter(pk__in=fit)  # type: ignore[attr-defined]
        self.fields["locations"].initial = fit


class PatternsForm(PlainForm):
    excludes = forms.CharField(
        required=False,
        label="Leave out",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One pattern per line, for example *.tmp or cache/. They hold for this folder alone.",
    )

    def clean_excludes(self) -> list[str]:
        lines = (line.strip() for line in self.cleaned_data["excludes"].splitlines())
        patterns = list(dict.fromkeys(filter(None, lines)))
        patterns_check(patterns)
        return patterns


class SourceForm(PatternsForm):
    path = forms.CharField(
        max_length=1000, label="Source folder", help_text="Absolute path of a folder on this machine."
    )
    field_order = ("path", "excludes")


class RecoveryForm(PlainForm):
    form_of_result = forms.ChoiceField(
        choices=[("folder", "Into a new folder on this machine"), ("zip", "As a zip to download")],
        widget=forms.RadioSelect,
        initial="folder",
        label="Where to",
    )
