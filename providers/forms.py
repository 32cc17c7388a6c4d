"""The forms of the wizard that adds a location, made from the description of a kind's options."""

from __future__ import annotations

import dataclasses
import enum
import typing
from typing import Any

from django import forms

from providers import registry
from providers.models import Location
from providers.regions import region_choices, region_named
from providers.services.addresses import address_check
from providers.stores.options import InvalidOptions, is_required

OTHER = "other"
_BY_PROGRAM = {"location_id"}
_LINE = {"ca_file", "proxy_url", "connect_seconds", "read_seconds"}


class PlaceForm(forms.Form):
    """Name, everything of one kind's options that is no credential, and where it is."""

    name = forms.CharField(max_length=80, help_text="As people will call it, for example: Frankfurt bucket")

    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.kind = registry.kind_named(kind)
        self._provider: str = self.kind.store_class().regions
        self._described = [item for item in option_fields(kind) if not item.metadata.get("credential")]
        self._special: set[str] = {"jurisdiction", "latitude", "longitude", "private_address_allowed"}
        choices = region_choices(self._provider)
        for item in self._described:
            if not (item.name == "region" and choices):
                self.fields[item.name] = option_field(kind, item)
            if not is_required(item) and not item.metadata.get("env"):
                self._special.add(item.name)
        self._add_where(choices)

    def _add_where(self, choices: list[Any]) -> None:
        if not self.kind.folder:
            self.fields["account"] = forms.CharField(
                max_length=120, help_text="The account at the provider. Two buckets in one account are lost together."
            )
        if choices:
            self.fields["region"] = forms.ChoiceField(
                choices=[("", "choose"), *choices, (OTHER, "another one")], help_text="Where the bucket was made."
            )
            self.fields["other_region"] = forms.CharField(
                max_length=60, required=False, help_text="Only for another one: the provider's own name of it."
            )
            self._special.add("other_region")
        country = forms.CharField(
            max_length=2, min_length=2, required=False, help_text="Two letters, for example GB or DE."
        )
        self.fields["city"] = forms.CharField(max_length=80, required=False, help_text="For the map and the cards.")
        self.fields["country"] = country
        if choices:  # the region says it
            self._special |= {"city", "country"}
        self.fields["jurisdiction"] = forms.CharField(max_length=20, required=False, help_text="For example UK or EU.")
        self.fields["latitude"] = forms.FloatField(required=False, min_value=-90, max_value=90)
        self.fields["longitude"] = forms.FloatField(required=False, min_value=-180, max_value=180)
        if self.kind.store_class().wire is not None:
            self.fields["private_address_allowed"] = forms.BooleanField(
                required=False,
                label="Its address is inside our own network",
                help_text="Otherwise private addresses are refused.",
            )

    def plain_fields(self) -> list[forms.BoundField]:
        """What everybody has to think about."""
        return [field for field in self if field.name not in self._special]

    def special_fields(self) -> list[forms.BoundField]:
        """What has a good default and is changed for a special provider only."""
        return [field for field in self if field.name in self._special]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if Location.objects.filter(name=name).exists():
            raise forms.ValidationError("There is a location of this name already; choose another name.")
        return name

    def clean(self) -> dict[str, Any]:
        answers = super().clean() or {}
        if answers.get("region") == OTHER and not answers.get("other_region"):
            self.add_error("other_region", "Enter the provider's name of the region, or choose one from the list.")
        if not self.errors:
            try:
                address_check(
                    self.kind.name, self.options(), private_allowed=bool(answers.get("private_address_allowed"))
                )
            except InvalidOptions as refused:
                self.add_error(None, f"{refused}.")
        return answers

    def options(self) -> dict[str, Any]:
        """Return the answers that are options of the store, plain enough for JSON."""
        names = {item.name for item in self._described}
        found = {name: value for name, value in self.cleaned_data.items() if name in names and value not in (None, "")}
        if "region" in names and self._region():
            found["region"] = self._region()
        return found

    def where(self) -> dict[str, Any]:
        """Return the fields of `providers.services.locations.Place`; what the region says is filled in."""
        answers = self.cleaned_data
        region = region_named(self._provider, self._region())
        where: dict[str, Any] = {"account": answers.get("account", ""), "region": self._region()}
        for name in ("city", "country", "jurisdiction", "latitude", "longitude"):
            given = answers.get(name)
            where[name] = given if given not in (None, "") else getattr(region, name, None)
        return {name: value for name, value in where.items() if value not in (None, "")}

    def _region(self) -> str:
        chosen = self.cleaned_data.get("region", "")
        return str(self.cleaned_data.get("other_region", "") if chosen == OTHER else chosen)


class CredentialForm(forms.Form):
    """The options that make up a credential: secrets, and the key ids that change with them. Nothing is shown again."""

    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.described = [item for item in option_fields(kind) if item.metadata.get("credential")]
        for item in self.described:
            self.fields[item.name] = option_field(kind, item)

    def split(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the answers as (options, secrets)."""
        secret = {item.name for item in self.described if item.metadata.get("secret")}
        given = {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}
        options = {name: value for name, value in given.items() if name not in secret}
        return options, {name: str(value) for name, value in given.items() if name in secret}


def option_fields(kind: str) -> list[dataclasses.Field[Any]]:
    """Return the options of `kind` that a person enters, those about the line to the provider last."""
    fields = [item for item in dataclasses.fields(registry.options_class(kind)) if item.name not in _BY_PROGRAM]
    return sorted(fields, key=lambda item: item.name in _LINE)


def option_field(kind: str, item: dataclasses.Field[Any]) -> forms.Field:
    """Return the form field of one described option of `kind`."""
    hint = typing.get_type_hints(registry.options_class(kind))[item.name]
    required = is_required(item)
    common: dict[str, Any] = {
        "label": item.metadata.get("label", item.name),
        "help_text": item.metadata.get("text", ""),
        "initial": None if required else item.default,
    }
    if hint is bool:
        return forms.BooleanField(required=False, **common)
    if hint is int:
        return forms.IntegerField(required=required, **common)
    if hint is float:
        return forms.FloatField(required=required, **common)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        choices = [(member.value, str(member.value).replace("_", " ")) for member in hint]
        common["initial"] = getattr(common["initial"], "value", None)
        return forms.ChoiceField(choices=choices, required=required, **common)
    if item.metadata.get("secret"):
        common["initial"] = None
        widget = forms.PasswordInput(attrs={"autocomplete": "off"})
        return forms.CharField(required=required, widget=widget, max_length=20_000, **common)
    return forms.CharField(required=required, max_length=1000, **common)
