"""The three uses of the product, in a real browser against a real installation."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.cast import PASSWORD
from tests.pages.site import serving, set_up

pytestmark = pytest.mark.services
CHROMIUM = "/usr/bin/chromium"
PHOTOS = 100
PHONE = {"width": 390, "height": 844}
PATIENCE = 60_000  # [ms] two cores may be shared with other tests


@dataclass(frozen=True)
class Site:
    address: str
    folder: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An installation with 250 MB of photos and a few documents to back up."""
    folder = tmp_path_factory.mktemp("studio")
    for kind, count, size_bytes in (("photos", PHOTOS, 2_500_000), ("documents", 4, 30_000)):
        (folder / kind).mkdir()
        for number in range(count):
            (folder / kind / f"file-{number:03}.bin").write_bytes(os.urandom(size_bytes))
    (folder / "places").mkdir()
    home = folder / "home"
    set_up(home, folder)
    with serving(home) as address:
        yield Site(address, folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def troubles() -> list[str]:
    """What browsers complained about: broken scripts, refused by the policy, failed loads."""
    return []


def sign_in(browser: Browser, site: Site, name: str, troubles: list[str], **context: Any) -> Page:
    page = browser.new_context(**context).new_page()
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.goto(f"{site.address}/sign-in/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    return page


def back_up(page: Page, site: Site) -> None:
    """Start a backup of the whole wedding and wait until both vaults are done."""
    page.goto(f"{site.address}/weddings/")
    page.get_by_role("link", name="Okafor & Lindqvist").click()
    page.get_by_role("button", name="Back up now").click()
    expect(page.locator("#wedding [data-job]")).to_have_count(0, timeout=PATIENCE)


def test_a_backup_is_watched_live_and_survives_a_reload(browser: Browser, site: Site, troubles: list[str]) -> None:
    page = sign_in(browser, site, "alice", troubles)
    page.goto(f"{site.address}/weddings/")
    page.get_by_role("link", name="Okafor & Lindqvist").click()
    page.get_by_role("button", name="Back up now").click()
    photos = page.locator("#wedding [data-job]", has_text="photos and video").get_by_role("link")
    address = photos.get_attribute("href")
    told: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: told.append(str(frame))))
    page.goto(site.address + (address or ""))
    bytes_shown = page.locator("[data-live=bytes]")
    expect(bytes_shown).to_have_text(re.compile("^[1-9]"), timeout=PATIENCE)
    expect(bytes_shown).not_to_have_text(bytes_shown.inner_text(), timeout=PATIENCE)
    page.reload()
    expect(bytes_shown).to_have_text(re.compile("^[1-9]"))
    expect(page.locator("#job")).to_have_attribute("data-state", "completed", timeout=PATIENCE)
    expect(page.get_by_role("heading", level=1)).to_contain_text("completed")
    expect(page.locator("[data-live=files]")).to_have_text(str(PHOTOS))
    pictures = [json.loads(frame)["picture"] for frame in told if '"picture"' in frame]
    running = [picture["texts"]["bytes"] for picture in pictures if picture["state"] == "running"]
    assert len(set(running)) >= 3, f"no progress was told: {running}"
    assert troubles == []


def test_an_alert_acknowledged_in_one_browser_shows_in_the_other(
    browser: Browser, site: Site, troubles: list[str]
) -> None:
    alice = sign_in(browser, site, "alice", troubles)
    sam = sign_in(browser, site, "sam", troubles, viewport=PHONE)
    title = "Trouble number 1"
    expect(sam.locator("#alerts-panel")).to_contain_text(title)
    expect(sam.locator("#alerts-panel").get_by_role("button")).to_have_count(0)
    loaded = sam.evaluate("performance.timeOrigin")
    alice.get_by_role("button", name=f"Acknowledge: {title}").click()
    expect(alice.locator("#alerts-panel")).to_contain_text("acknowledged by Alice")
    expect(sam.locator("#alerts-panel")).to_contain_text("acknowledged by Alice", timeout=5000)
    assert sam.evaluate("performance.timeOrigin") == loaded, "the other page was loaded again, not told"
    assert troubles == []


def test_news_that_comes_while_a_panel_is_being_filled_is_not_lost(
    browser: Browser, site: Site, troubles: list[str]
) -> None:
    alice = sign_in(browser, site, "alice", troubles)
    sam = sign_in(browser, site, "sam", troubles)
    title = "Trouble number 2"
    panel = sam.locator("#alerts-panel")
    expect(panel).to_contain_text(title)
    sam.wait_for_load_state("networkidle")
    held: list[tuple[Any, Any]] = []

    def hold(route: Any) -> None:
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))  # the answer of this moment, kept back until the news has come

    sam.route("**/alerts/", hold)
    sam.evaluate("document.body.dispatchEvent(new CustomEvent('live:alert', {detail: {}}))")
    while not held:
        sam.wait_for_timeout(50)
    alice.get_by_role("button", name=f"Acknowledge: {title}").click()
    expect(alice.locator("#alerts-panel li", has_text=title)).to_contain_text("acknowledged by Alice")
    sam.wait_for_timeout(1000)
    route, old_answer = held[0]
    route.fulfill(response=old_answer)
    expect(panel.locator("li", has_text=title)).to_contain_text("acknowledged by Alice", timeout=PATIENCE)


def test_staff_recover_on_a_phone_in_three_taps_and_get_the_proof(
    browser: Browser, site: Site, troubles: list[str], tmp_path: Path
) -> None:
    back_up(sign_in(browser, site, "alice", troubles), site)
    sam = sign_in(browser, site, "sam", troubles, viewport=PHONE, accept_downloads=True)
    sam.goto(f"{site.address}/weddings/")
    sam.get_by_role("link", name="Okafor & Lindqvist").click()
    sam.get_by_role("link", name="Emergency recovery").click()
    sam.get_by_label("As a zip to download").check()
    sam.get_by_role("button", name="Start").click()
    expect(sam.locator("#job")).to_have_attribute("data-state", "completed", timeout=PATIENCE)
    expect(sam.locator("#job")).to_contain_text("104 of 104 files equal")
    sam.evaluate("window.showSaveFilePicker = undefined")  # a picker needs a person; phones have none
    with sam.expect_download() as download:
        sam.get_by_role("button", name="Download the zip").click()
    content = Path(download.value.path()).read_bytes()
    hashes = {hashlib.sha256((each).read_bytes()).hexdigest() for each in site.folder.glob("*/file-*.bin")}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        found = {hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    assert len(hashes) == PHOTOS + 4
    assert hashes <= found
    assert troubles == []


def test_one_file_of_a_snapshot_is_found_and_downloaded_whole(
    browser: Browser, site: Site, troubles: list[str]
) -> None:
    page = sign_in(browser, site, "alice", troubles, accept_downloads=True)
    back_up(page, site)
    page.get_by_role("region", name="Vault: Photos and video").locator("summary").click()
    page.get_by_role("region", name="Vault: Photos and video").locator("details a").first.click()
    page.evaluate("window.showSaveFilePicker = undefined")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download file-007.bin").click()
    original = (site.folder / "photos" / "file-007.bin").read_bytes()
    assert Path(download.value.path()).read_bytes() == original
    assert troubles == []


def open_uploads(page: Page, site: Site) -> None:
    page.goto(f"{site.address}/weddings/")
    page.get_by_role("link", name="Okafor & Lindqvist").click()
    page.get_by_role("region", name="Vault: Photos and video").get_by_role("link", name="Upload files").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Upload")


def test_an_upload_goes_on_after_a_reload_and_is_backed_up(
    browser: Browser, site: Site, troubles: list[str], tmp_path: Path
) -> None:
    film = tmp_path / "first dance.mp4"
    film.write_bytes(os.urandom(20_000_000))
    vera = sign_in(browser, site, "vera", troubles)
    open_uploads(vera, site)
    offsets: list[str] = []
    sent = re.compile(r"offset=(\d+)")
    cut_after_one = {"pieces": 0}

    def cut(route: Any) -> None:
        cut_after_one["pieces"] += 1
        route.abort() if cut_after_one["pieces"] > 1 else route.continue_()

    vera.route(re.compile("offset="), cut)
    vera.locator("#files").set_input_files(film)
    expect(vera.locator("#uploads")).to_contain_text("The line broke", timeout=PATIENCE)
    assert cut_after_one["pieces"] > 1, "the line was never cut"
    vera.unroute(re.compile("offset="))
    troubles.clear()  # the browser told of the cut line, as it should
    vera.reload()
    vera.on("request", lambda request: offsets.extend(sent.findall(request.url)))
    vera.locator("#files").set_input_files(film)
    expect(vera.locator("#uploads")).to_contain_text("Arrived", timeout=PATIENCE)
    assert offsets == [str(8 * 1024 * 1024), str(16 * 1024 * 1024)], "it did not go on where it stopped"
    back_up(vera, site)
    expect(vera.get_by_role("region", name="Vault: Photos and video")).to_contain_text(str(PHOTOS + 1))
    assert troubles == []


def test_two_cards_with_the_same_names_both_arrive_and_nothing_is_called_safe_too_soon(
    browser: Browser, site: Site, troubles: list[str], tmp_path: Path
) -> None:
    """immich-go #1255: a second camera's picture of the same name and size was taken for the first one's."""
    cards = {}
    for card, letter in (("one", b"A"), ("two", b"B")):
        cards[card] = tmp_path / card / "IMG_0001.NEF"
        cards[card].parent.mkdir()
        cards[card].write_bytes(letter * 9_000_000)
    vera = sign_in(browser, site, "vera", troubles)
    open_uploads(vera, site)
    for card, words in (("one", "Arrived, not"), ("two", "Arrived as IMG_0001 (2).NEF"), ("one", "Already here")):
        vera.reload()
        vera.locator("#files").set_input_files(cards[card])
        expect(vera.locator("#uploads")).to_contain_text(words, timeout=PATIENCE)
    folder = next((site.folder / "home" / "uploads").glob("*/IMG_0001.NEF")).parent
    assert (folder / "IMG_0001.NEF").read_bytes() == cards["one"].read_bytes()
    assert (folder / "IMG_0001 (2).NEF").read_bytes() == cards["two"].read_bytes()
    expect(vera.locator("#uploads-kept")).to_contain_text("wait for the next backup")
    back_up(vera, site)
    open_uploads(vera, site)
    expect(vera.locator("#uploads-kept")).not_to_contain_text("wait for the next backup")
    assert troubles == []


def test_a_dropped_folder_is_walked_to_its_end(
    browser: Browser, site: Site, troubles: list[str], tmp_path: Path
) -> None:
    """A browser lists a hundred entries of a folder at a time; a dropped folder itself is no file."""
    card = tmp_path / "DCIM"
    (card / "100NIKON").mkdir(parents=True)
    for number in range(130):
        (card / "100NIKON" / f"DSC_{number:04}.JPG").write_bytes(b"picture %d" % number)
    (card / ".DS_Store").write_bytes(b"litter")
    vera = sign_in(browser, site, "vera", troubles)
    open_uploads(vera, site)
    zone = vera.locator("#dropzone").bounding_box()
    assert zone is not None
    line = vera.context.new_cdp_session(vera)
    dragged = {"items": [], "files": [str(card)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        line.send("Input.dispatchDragEvent", {"type": kind, "x": zone["x"] + 40, "y": zone["y"] + 20, "data": dragged})
    expect(vera.locator("#upload-total")).to_contain_text("130 of 130 files arrived", timeout=PATIENCE)
    expect(vera.locator("#left-out")).to_contain_text("1 file of the operating system left out")
    home = site.folder / "home" / "uploads"
    assert len([*home.glob("*/DCIM/100NIKON/*.JPG")]) == 130
    assert troubles == []


def test_a_paused_upload_goes_on_when_told(browser: Browser, site: Site, troubles: list[str], tmp_path: Path) -> None:
    film = tmp_path / "paused.mp4"
    film.write_bytes(os.urandom(20_000_000))
    vera = sign_in(browser, site, "vera", troubles)
    open_uploads(vera, site)
    held: list[Any] = []
    vera.route(re.compile("offset="), lambda route: held.append(route))
    vera.locator("#files").set_input_files(film)
    expect(vera.locator("#uploads")).to_contain_text("0.0 MB of 20.0 MB", timeout=PATIENCE)
    vera.get_by_role("button", name="Pause").click()
    expect(vera.locator("#upload-total")).to_contain_text("Paused")
    vera.unroute(re.compile("offset="))
    vera.get_by_role("button", name="Go on").click()
    expect(vera.locator("#uploads")).to_contain_text("Arrived", timeout=PATIENCE)
    assert held, "nothing was under way when it was paused"


def test_where_the_browser_hashes_nothing_its_digests_are_worked_out_the_same(
    browser: Browser, site: Site, troubles: list[str]
) -> None:
    """crypto.subtle exists on secure pages only; a studio's own network is often plain http."""
    vera = sign_in(browser, site, "vera", troubles)
    open_uploads(vera, site)
    worked = "numbers => uploadDigest.worked(Uint8Array.from(numbers).buffer)"
    for length in (0, 1, 55, 56, 63, 64, 65, 119, 120, 300_000):
        content = os.urandom(length)
        assert vera.evaluate(worked, list(content)) == hashlib.sha256(content).hexdigest()
    assert troubles == []


def test_what_is_unfolded_stays_open_when_its_part_of_the_page_comes_anew(
    browser: Browser, site: Site, troubles: list[str]
) -> None:
    page = sign_in(browser, site, "alice", troubles)
    back_up(page, site)
    vaults = page.locator("#wedding details")
    expect(vaults).to_have_count(2)
    vaults.first.locator("summary").click()
    page.evaluate("document.querySelector('#wedding').dataset.old = 'yes'")
    page.evaluate("document.body.dispatchEvent(new CustomEvent('live:job'))")
    expect(page.locator("#wedding[data-old]")).to_have_count(0)
    expect(vaults.first).to_have_attribute("open", "")
    expect(vaults.last).not_to_have_attribute("open", "")
    assert troubles == []


def test_the_page_says_when_its_news_is_stale(browser: Browser, site: Site) -> None:
    page = sign_in(browser, site, "sam", [])
    page.context.set_offline(True)
    page.evaluate("Date.now = (real => () => real() + 20000)(Date.now)")  # 20 s without news, without waiting them
    expect(page.locator("#stale")).to_be_visible()
    expect(page.locator("#stale")).to_contain_text("Last news 2")


def test_an_ended_session_shows_the_sign_in_page_and_not_a_panel_with_it(browser: Browser, site: Site) -> None:
    page = sign_in(browser, site, "sam", [])
    page.context.clear_cookies(name="sessionid")
    page.evaluate("document.body.dispatchEvent(new CustomEvent('live:alert'))")
    expect(page).to_have_url(re.compile("/sign-in/"))
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("viewport", [{"width": 1440, "height": 900}, PHONE], ids=["desktop", "phone"])
def test_the_keyboard_reaches_the_content_and_nothing_is_wider_than_the_screen(
    browser: Browser, site: Site, viewport: dict[str, int]
) -> None:
    page = sign_in(browser, site, "alice", [], viewport=viewport)
    for path in ("/", "/weddings/", "/jobs/", "/locations/", "/alerts/", "/recovery/"):
        page.goto(site.address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], path
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content", path
