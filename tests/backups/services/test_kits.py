"""What the recovery kit tells stock restic about each kind of location."""

from __future__ import annotations

import pytest

from backups.models import Copy, Vault
from backups.services.kits import Kit, _commands, _place
from backups.states import CopyState
from providers.models import Location


@pytest.mark.parametrize(
    ("kind", "options", "repository"),
    [
        ("s3", {"region": "eu-west-1", "prefix": "2026"}, "s3:https://s3.eu-west-1.amazonaws.com/weddings/2026/6f1c"),
        ("s3", {"endpoint_url": "https://ceph.example:7480"}, "s3:https://ceph.example:7480/weddings/6f1c"),
        (
            "r2",
            {"account_id": "ab12", "jurisdiction": "eu"},
            "s3:https://ab12.eu.r2.cloudflarestorage.com/weddings/6f1c",
        ),
        ("b2", {"region": "eu-central-003"}, "s3:https://s3.eu-central-003.backblazeb2.com/weddings/6f1c"),
        ("wasabi", {"region": "eu-central-2"}, "s3:https://s3.eu-central-2.wasabisys.com/weddings/6f1c"),
        ("gcs", {"prefix": "2026"}, "gs:weddings:/2026/6f1c"),
        ("azure", {"account": "studio", "container": "copies"}, "azure:copies:/6f1c"),
        ("supabase", {"url": "https://abc.supabase.co"}, ""),
    ],
)
def test_the_kit_names_the_address_that_stock_restic_takes(
    kind: str, options: dict[str, str], repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Vault, "prefix", "6f1c/")
    copy = Copy(location=Location(name="Far away", kind=kind, options={"bucket": "weddings", **options}))
    assert _place(Vault(), copy).repository == repository


def test_the_kits_commands_trust_the_certificate_that_the_location_trusts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it stock restic hung in its retries at a server with its own authority."""
    monkeypatch.setattr(Vault, "prefix", "6f1c/")
    options = {"bucket": "weddings", "endpoint_url": "https://ceph.example:7480", "ca_file": "/etc/ceph.pem"}
    place = _place(Vault(), Copy(location=Location(name="Ceph", kind="s3", options=options)))
    kit = Kit("Ada & Grace", "6f1c", "secret", (place,), "none yet")  # type: ignore[arg-type]
    assert "/etc/ceph.pem" in place.needs
    assert all("--cacert ca.pem" in command for command in _commands(kit, place) if command.startswith("  restic"))


def test_the_kit_tells_of_tokens_and_other_clouds_of_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Vault, "prefix", "6f1c/")
    options = {"account": "studio", "container": "c", "endpoint_url": "https://studio.blob.core.chinacloudapi.cn"}
    needs = _place(Vault(), Copy(location=Location(name="Beijing", kind="azure", options=options))).needs
    assert "AZURE_ACCOUNT_SAS" in needs and "AZURE_ENDPOINT_SUFFIX to core.chinacloudapi.cn" in needs


def test_the_kit_warns_of_places_that_lack_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kit said of a damaged copy, and of one where nothing lay yet, that it "holds everything"."""
    monkeypatch.setattr(Vault, "prefix", "6f1c/")
    location = Location(name="Shelf", kind="local", options={"root": "/mnt/shelf"})
    needs = {state: _place(Vault(), Copy(location=location, state=state)).needs for state in CopyState.values}
    warned = {state for state, text in needs.items() if "take another place first" in text}
    assert warned == set(CopyState.values) - {CopyState.CURRENT}
