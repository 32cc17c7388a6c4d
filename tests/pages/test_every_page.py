"""What holds for every page: a title and a headline that answer, nothing inline, one address for both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from tests.pages.addresses import all_addresses
from tests.pages.conftest import House
from tests.pages.test_who_sees_what import POST_ONLY

NO_PAGE = {"healthz", "alert-count", "upload-pieces", "upload-kept", "snapshot-file", "job-zip", "sign-out"}
INLINE = re.compile(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|javascript:", re.I)


def pages(client: Client, house: House) -> Iterator[tuple[str, str]]:
    for address in all_addresses():
        if address.name not in NO_PAGE | POST_ONLY:
            path = address.filled(house.ids())
            answer = client.get(path, follow=True)
            assert answer.status_code == 200, address
            yield path, answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_every_page_has_a_title_and_one_headline_in_words(house: House, alice: Client) -> None:
    for path, text in pages(alice, house):
        title = re.search(r"<title>\s*(.+?) · wedbackup</title>", text)
        assert title and len(title[1]) > 3, path
        headlines = re.findall(r"<h1>(.+?)</h1>", text, re.S)
        assert len(headlines) == 1 and len(headlines[0].strip()) > 5, path


@pytest.mark.django_db(transaction=True)
def test_no_page_holds_inline_script_or_style(house: House, alice: Client, vera: Client) -> None:
    for path, text in pages(alice, house):
        assert not INLINE.search(text), (path, INLINE.search(text))
    overview = vera.get("/")
    assert not INLINE.search(overview.content.decode())
    assert "script-src 'self'; style-src 'self';" in overview["Content-Security-Policy"]
    assert "unsafe" not in overview["Content-Security-Policy"]


@pytest.mark.django_db(transaction=True)
def test_every_form_field_has_a_label(house: House, alice: Client) -> None:
    for path, text in pages(alice, house):
        for tag in re.findall(r"<(?:input|select|textarea)\b[^>]*>", text):
            if 'type="hidden"' in tag or "<label" in tag:
                continue
            identity = re.search(r'\bid="([^"]+)"', tag)
            assert identity and f'for="{identity[1]}"' in text, (path, tag)


def test_templates_hold_nothing_from_elsewhere() -> None:
    for template in Path(settings.BASE_DIR / "templates").rglob("*.html"):
        text = template.read_text()
        assert not re.search(r"(?:src|href)=[\"']https?://", text), template
        assert not INLINE.search(text), template


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/weddings/", "/jobs/", "/alerts/", "/locations/"])
def test_one_address_gives_htmx_the_part_and_a_browser_the_page(house: House, alice: Client, path: str) -> None:
    page = alice.get(path)
    part = alice.get(path, headers={"HX-Request": "true"})
    boosted = alice.get(path, headers={"HX-Request": "true", "HX-Boosted": "true"})
    restored = alice.get(path, headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert b"<html" in page.content and b"<html" in boosted.content and b"<html" in restored.content
    assert b"<html" not in part.content
    part_id = re.search(rb'id="([\w-]+)"', part.content)
    assert part_id and part_id[0] in page.content
    assert {"HX-Request", "HX-Boosted"} <= {name.strip() for name in page["Vary"].split(",")}


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "status", "words"), [("/nowhere/", 404, "There is nothing here")])
def test_errors_are_pages_for_people(alice: Client, path: str, status: int, words: str) -> None:
    answer = alice.get(path)
    assert answer.status_code == status
    assert words in answer.content.decode() and "To the overview" in answer.content.decode()


@pytest.mark.django_db
def test_a_refusal_says_whom_to_ask(vera: Client) -> None:
    answer = vera.get("/locations/")
    assert answer.status_code == 403
    assert "Ask an admin" in answer.content.decode()


@pytest.mark.django_db
def test_a_fault_of_ours_is_a_page_too(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("monitoring.views.overview.overview_verdict", broken)
    alice.raise_request_exception = False
    answer = alice.get("/")
    assert answer.status_code == 500
    assert "Something broke on our side" in answer.content.decode()
    assert "secret detail" not in answer.content.decode()


@pytest.mark.django_db
def test_the_health_address_needs_no_sign_in_and_notices_a_silent_scheduler(db: None, clock, client: Client) -> None:
    from wedbackup.core.models import Heartbeat

    assert client.get("/healthz").json()["ok"] is True
    Heartbeat.objects.create(name="scheduler", at=clock.utcnow())
    assert client.get("/healthz").status_code == 200
    clock.advance(120)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {
        "ok": False, "database": True, "scheduler": False, "scheduler_seen_seconds_ago": 120.0, "stuck": []
    }  # fmt: skip
