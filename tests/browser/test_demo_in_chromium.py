"""The demo as a visitor sees it: real Chromium, real HTTP, three servers in one command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from running_service import clean_environment


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, Any]]:
    demo = subprocess.Popen(
        [sys.executable, "-m", "embedjwt", "demo", "--port", "0", "--json"],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert demo.stdout is not None
        text = ""
        for line in demo.stdout:
            text += line
            if line.startswith("}"):
                break
        yield json.loads(text)
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.wait(timeout=20)
        demo.stdout.close()


@pytest.fixture
def page(browser: Browser, urls: dict[str, Any]) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(urls["host"])
    yield page
    context.close()


def test_a_viewer_sees_two_live_panels_and_what_grafana_made_of_it(page: Page) -> None:
    for number in range(2):
        frame = page.frame_locator("grafana-panel iframe").nth(number)
        expect(frame.locator("svg").first).to_be_visible(timeout=10_000)
        expect(frame.get_by_text("stand-in", exact=False).first).to_be_visible()
    expect(page.locator("body")).to_contain_text("Viewer")
    expect(page.locator("body")).to_contain_text("vera@")


def test_no_console_error_and_no_token_in_the_pages_own_address(page: Page) -> None:
    problems: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.reload()
    expect(page.frame_locator("grafana-panel iframe").first.locator("svg").first).to_be_visible()
    assert problems == []
    assert "auth_token" not in page.url
    assert page.evaluate("history.length") <= 2


def test_someone_not_admitted_sees_why_and_no_panel(page: Page) -> None:
    page.get_by_role("button", name="Nora").click()
    expect(page.locator("body")).to_contain_text("domain_not_allowed", timeout=10_000)
    assert page.locator("grafana-panel iframe").count() == 0


def test_an_editor_is_an_editor(page: Page) -> None:
    page.get_by_role("button", name="Ed").first.click()
    expect(page.frame_locator("grafana-panel iframe").first.locator("svg").first).to_be_visible(
        timeout=10_000
    )
    expect(page.frame_locator("grafana-panel iframe").first.locator("body")).to_contain_text(
        "Editor"
    )
