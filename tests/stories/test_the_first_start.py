"""`bin/run` on a fresh machine, and the day after: one command, one process, a clean end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.servers.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS, STOP_SECONDS = 400, 5.0


class Started:
    """A running `bin/run`; `printed` is what it has said when it is asked."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: int) -> None:
        self.process, self.log, self.port = process, log, port

    @property
    def printed(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while text not in self.printed:
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.05)

    def end(self, number: int) -> float:
        """Send a signal and return how long the end took [s]."""
        began = time.monotonic()
        self.process.send_signal(number)
        assert self.process.wait(timeout=30) == 0, self.printed
        return time.monotonic() - began


@contextmanager
def bin_run(home: Path, *arguments: str) -> Iterator[Started]:
    port = free_port()
    log = home.parent / f"log {port}"
    environment = {**os.environ, "WEDBACKUP_HOME": str(home), "COLUMNS": "200"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(ROOT / "bin" / "run"), "--port", str(port), *arguments], stdout=out, stderr=out, env=environment
        )
    try:
        yield Started(process, log, port)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_an_empty_start_gives_a_site_and_an_admin_and_the_second_start_repeats_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with bin_run(home, "--empty") as started:
        started.wait_for("wedbackup is running at")
        assert "Sign in as admin with the password" in started.printed
        with urllib.request.urlopen(f"http://127.0.0.1:{started.port}/sign-in/", timeout=30) as page:
            assert page.status == 200
        assert started.end(signal.SIGTERM) < STOP_SECONDS
    keys = (home / "keys" / "wrapping-keys.json").read_bytes()

    with bin_run(home, "--empty") as started:
        started.wait_for("wedbackup is running at")
        assert "made" not in started.printed
        assert "password" not in started.printed
        assert started.end(signal.SIGINT) < STOP_SECONDS
    assert (home / "keys" / "wrapping-keys.json").read_bytes() == keys


@pytest.mark.timeout(600)
def test_the_first_start_backs_a_wedding_up_prints_log_ins_and_staff_get_all_of_it_back(tmp_path: Path) -> None:
    with bin_run(tmp_path / "home") as started:
        started.wait_for("The log-ins:")
        printed = started.printed
        assert re.search(r"Photos and video: done. 298 files, \d+ MB: stored in 3 places, all confirmed.", printed)
        for role in ("admin", "staff", "vendor"):
            assert re.search(rf"^{role} +[a-z2-9-]{{19}}$", printed, re.MULTILINE)
        logins = re.search(r"^staff +([a-z2-9-]{19})$", printed, re.MULTILINE)
        assert logins
        recover_on_a_phone(started.port, logins[1])
        assert started.end(signal.SIGTERM) < STOP_SECONDS


def recover_on_a_phone(port: int, password: str) -> None:
    """Let staff bring the demo wedding back: its three copies are on one disk, and there was no Start button."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
        page.set_default_timeout(60_000)
        page.goto(f"http://127.0.0.1:{port}/sign-in/?next=/recovery/")
        page.get_by_label("User name").fill("staff")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="Emergency recovery of").first.click()
        expect(page.get_by_text("It is in 3 places on one disk.").first).to_be_visible()
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#job")).to_have_attribute("data-state", "completed", timeout=200_000)
        expect(page.locator("#job")).to_contain_text("318 of 318 files equal")
        expect(page.locator("#job")).to_contain_text("All documents are back")
        browser.close()


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--port"], "--port needs a value."), (["--colour"], "bin/run [--empty]")]
)
def test_a_wrong_option_is_explained(arguments: list[str], said: str) -> None:
    done = subprocess.run([str(ROOT / "bin" / "run"), *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert said in done.stderr
