"""Each kind of location has a guide that can be read on the site and linked from an error."""

from __future__ import annotations

import pytest
from django.test import Client

from providers import registry
from providers.views import guides
from tests.cast import Cast


@pytest.mark.django_db
@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_kind_has_a_guide_with_its_errors(cast: Cast, client: Client, kind: str) -> None:
    client.force_login(cast.alice)
    page = client.get(f"/locations/guides/{kind}/").content.decode()
    for heading in ("What-it-is-good-for", "Set-it-up", "Least-rights", "Troubleshooting", "LocationMissing"):
        assert f'id="{heading}"' in page
    assert "<table>" in page


@pytest.mark.django_db
def test_a_guide_that_is_not_there_is_not_found(cast: Cast, client: Client) -> None:
    client.force_login(cast.alice)
    assert client.get("/locations/guides/floppy/").status_code == 404


@pytest.mark.django_db
def test_guides_are_for_the_people_who_run_the_platform(cast: Cast, client: Client) -> None:
    client.force_login(cast.vera)
    assert client.get("/locations/guides/local/").status_code == 403


def test_html_in_a_guide_stays_text(tmp_path, monkeypatch) -> None:
    (tmp_path / "local.md").write_text("# Title\n\n<script>alert(1)</script>\n", encoding="utf-8")
    monkeypatch.setattr(guides, "FOLDER", tmp_path)
    guides._rendered.cache_clear()
    try:
        assert "<script>" not in guides._rendered("local")
    finally:
        guides._rendered.cache_clear()
