"""The admin site in a real browser: its own scripts and styles work under the content policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.cast import PASSWORD
from tests.pages.site import serving, set_up

pytestmark = pytest.mark.services
CHROMIUM = "/usr/bin/chromium"
PATIENCE = 60_000  # [ms] two cores may be shared with other tests
PAGES = (
    *("", "backups/wedding/", "backups/wedding/add/", "backups/vault/", "backups/job/", "backups/policy/add/"),
    *("backups/organisation/add/", "core/user/", "core/auditentry/", "core/event/", "monitoring/alert/"),
)


def test_an_admin_looks_around_and_probes_a_location_without_the_browser_complaining(tmp_path: Path) -> None:
    folder = tmp_path / "studio"
    for name in ("photos", "documents", "places"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_text(name)
    set_up(folder / "home", folder)
    troubles: list[str] = []
    with serving(folder / "home") as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("response", lambda answer: troubles.append(answer.url) if answer.status >= 400 else None)
        page.goto(f"{address}/admin/")
        page.get_by_label("User name").fill("alice")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Administration")).to_be_visible()
        for path in PAGES:
            page.goto(f"{address}/admin/{path}")
            expect(page.locator("#site-name")).to_have_text("wedbackup")
        page.goto(f"{address}/admin/providers/location/")
        page.locator("#action-toggle").check()
        expect(page.locator("tr.selected").first).to_be_visible()  # done by a script of the admin's
        page.get_by_label("Action:").select_option("probe")
        page.get_by_role("button", name="Go").click()
        expect(page.locator(".messagelist")).to_contain_text("answered in")
        page.locator("#result_list tbody tr a").first.click()
        expect(page.get_by_role("heading", name="Change location")).to_be_visible()
        browser.close()
    assert troubles == []
