"""A form for any kind of location, made from the description of its options."""

from __future__ import annotations

import dataclasses
import enum
import typing
from typing import Any

from django import forms

from providers import registry
from providers.models import Location

HIDDEN = {"location_id", "prefix"}  # set by the program
USUAL = {"endpoint_url", "region", "checksum"}  # have defaults, but most people choose
WHERE = ("account", "region", "city", "country", "jurisdiction", "latitude", "longitude")


class LocationForm(forms.Form):
    """Name, the options of one kind, and where it is."""

    name = forms.CharField(max_length=80, help_text="As people will call it, for example: Office NAS")

    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.kind = kind
        options = registry.options_class(kind)
        hints = typing.get_type_hints(options)
        self.options = [item for item in dataclasses.fields(options) if item.name not in HIDDEN]
        self.special = {
            item.name for item in self.options if item.default is not dataclasses.MISSING and item.name not in USUAL
        } | {"jurisdiction", "latitude", "longitude"}
        for item in self.options:
            self.fields[item.name] = _field(item, hints[item.name])
        self._add_where()

    def _add_where(self) -> None:
        if not registry.kind_named(self.kind).folder:
            self.fields["account"] = forms.CharField(
                max_length=120, help_text="The account at the provider. Two buckets in one account are lost together."
            )
        self.fields["city"] = forms.CharField(max_length=80, required=False, help_text="For the map and the cards.")
        self.fields["country"] = forms.CharField(
            max_length=2, min_length=2, required=False, help_text="Two letters, for example GB or DE."
        )
        self.fields["jurisdiction"] = forms.CharField(max_length=20, required=False, help_text="For example UK or EU.")
        self.fields["latitude"] = forms.FloatField(required=False, min_value=-90, max_value=90)
        self.fields["longitude"] = forms.FloatField(required=False, min_value=-180, max_value=180)

    def plain_fields(self) -> list[forms.BoundField]:
        """What everybody has to think about."""
        return [field for field in self if field.name not in self.special]

    def special_fields(self) -> list[forms.BoundField]:
        """What has a good default and is changed for a special provider only."""
        return [field for field in self if field.name in self.special]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if Location.objects.filter(name=name).exists():
            raise forms.ValidationError("There is a location of this name already; choose another name.")
        return name

    def split(self) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
        """Return the answers as (options, secrets, where it is), as `location_create` takes them."""
        answers = self.cleaned_data
        secret = {item.name for item in self.options if item.metadata.get("secret")}
        given = {item.name: answers[item.name] for item in self.options if answers.get(item.name) not in (None, "")}
        options = {name: value for name, value in given.items() if name not in secret}
        secrets = {name: str(value) for name, value in given.items() if name in secret}
        taken = {item.name for item in self.options}
        where = {name: answers[name] for name in WHERE if name not in taken and answers.get(name) not in (None, "")}
        if "region" in options:
            where["region"] = options["region"]
        return options, secrets, where


def _field(item: Any, kind: type[Any]) -> forms.Field:
    """Return the form field of one described option."""
    required = item.default is dataclasses.MISSING
    common = {"label": item.metadata.get("label", item.name), "help_text": item.metadata.get("text", "")}
    initial = None if required else item.default
    if kind is bool:
        return forms.BooleanField(required=False, initial=initial, **common)
    if kind is int:
        return forms.IntegerField(required=required, initial=initial, **common)
    if kind is float:
        return forms.FloatField(required=required, initial=initial, **common)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        choices = [(member.value, str(member.value).replace("_", " ")) for member in kind]
        return forms.ChoiceField(choices=choices, required=required, initial=getattr(initial, "value", None), **common)
    if item.metadata.get("secret"):
        widget = forms.PasswordInput(attrs={"autocomplete": "off"})
        return forms.CharField(required=required, widget=widget, **common)
    return forms.CharField(required=required, initial=initial, max_length=1000, **common)
