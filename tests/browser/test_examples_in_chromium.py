"""The examples as a newcomer meets them: one command each, real Chromium, Ctrl-C at the end."""

from __future__ import annotations

import gzip
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from embedjwt.grafana.settings import grafana_config
from embedjwt.grafana.versions import LATEST
from examples.run import set_up, where
from running_service import clean_environment
from tests_support import ROOT, need

EXAMPLES = ROOT / "examples"
NAMES = ("html", "flask", "node", "react")
NPM_CI = "npm ci --prefix examples/react"

COUNT_MOUNTS = """
  const { observe } = IntersectionObserver.prototype;
  globalThis.mounts = 0;
  IntersectionObserver.prototype.observe = function (element) {
    globalThis.mounts += 1;
    return observe.call(this, element);
  };
"""
"""Every panel that is mounted begins to watch whether it is seen."""


@dataclass(frozen=True)
class Running:
    """What an example said on the terminal, and where it is."""

    said: str
    page: str
    service: str
    grafana: str


@contextmanager
def example(name: str, **environment: str) -> Iterator[Running]:
    """Runs until the block ends, with Ctrl-C; then nothing of it may be left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.run", name],
        cwd=ROOT,
        env=clean_environment() | {"PORT": "0"} | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        page, service, grafana = re.findall(r"http://localhost:\d+", said[said.index("open ") :])
        yield Running(said, page, service, grafana)
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        process.stdout.close()
        assert process.wait(timeout=30) == 0, rest
    assert not [url for url in (page, service, grafana) if listens(url)]


def listens(url: str) -> bool:
    try:
        socket.create_connection(("localhost", urlsplit(url).port or 80), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in which a script that fails fails the test."""
    context = browser.new_context()
    page = context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    yield page
    context.close()
    assert failures == []


def sees_panel(page: Page, selector: str, role: str) -> None:
    """A panel that is ready, fills its place, and is Grafana's for a person of this role."""
    place = page.locator(selector)
    expect(place).to_have_attribute("state", "ready")
    frame = page.locator(f"{selector} iframe")
    expect(frame).to_have_count(1)
    box = frame.bounding_box()
    assert box == place.bounding_box()
    assert box is not None
    assert box["height"] > 100
    expect(frame.content_frame.locator("svg").first).to_be_visible()
    expect(frame.content_frame.locator("body")).to_contain_text(role)


def test_html_shows_panels_that_follow_the_time_range(page: Page) -> None:
    with example("html") as running:
        page.goto(running.page)
        for panel in ("1", "2"):
            sees_panel(page, f"grafana-panel[panel='{panel}']", "Viewer")
        page.locator("grafana-time-range select").select_option("now-5m")
        followed = page.locator("grafana-panel iframe[src*='from=now-5m']")
        expect(followed).to_have_count(2)
        expect(page.locator("grafana-panel[state=ready]")).to_have_count(2)
        expect(page.locator("grafana-panel iframe")).to_have_count(2)


@pytest.mark.parametrize("name", ["flask", "node"])
def test_a_backend_asks_for_whoever_is_signed_in(name: str, page: Page) -> None:
    if name == "node":
        need("node", shutil.which("node") is not None, "apt install nodejs")
    with example(name) as running:
        page.goto(running.page)
        page.get_by_role("button", name="Ed Okafor").click()
        sees_panel(page, "#cpu", "Editor")

        own = page.request
        asked = f"{running.page}/grafana-token"
        answer = own.post(asked, headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.json()["token_type"] == "JWT"
        assert answer.headers["cache-control"] == "no-store"
        for site in ("cross-site", "same-site"):
            assert own.post(asked, headers={"Sec-Fetch-Site": site}).status == 403

        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("button", name="Ed Okafor")).to_be_visible()
        assert own.post(asked, headers={"Sec-Fetch-Site": "same-origin"}).status == 401


@pytest.fixture
def vite() -> None:
    there = (EXAMPLES / "react" / "node_modules" / "vite").is_dir()
    need("node with vite", there and shutil.which("node") is not None, NPM_CI)


@pytest.mark.usefixtures("vite")
def test_react_shows_a_panel_and_takes_it_away(page: Page) -> None:
    with example("react") as running:
        page.goto(running.page)
        page.get_by_role("button", name="Ed Okafor").click()
        sees_panel(page, ".panel", "Editor")
        expect(page.get_by_text("ready", exact=True)).to_be_visible()
        page.get_by_label("Show the panel").uncheck()
        expect(page.locator(".panel")).to_have_count(0)
        assert len(page.frames) == 1


@pytest.mark.usefixtures("vite")
def test_react_in_strict_mode_mounts_twice_and_shows_one_panel(page: Page) -> None:
    """Only React's development build does."""
    page.add_init_script(COUNT_MOUNTS)
    with example("react", NODE_ENV="development") as running:
        page.goto(running.page)
        page.get_by_role("button", name="Ed Okafor").click()
        sees_panel(page, ".panel", "Editor")
        address = page.locator(".panel iframe").get_attribute("src") or ""
        assert "var-machine=mill-01&var-machine=mill-02" in address
        assert "from=now-15m" in address

        page.get_by_label("Since").select_option("now-1h")
        expect(page.locator(".panel iframe[src*='from=now-1h']")).to_have_count(1)
        sees_panel(page, ".panel", "Editor")
        assert page.evaluate("mounts") == 2
        page.get_by_label("Show the panel").uncheck()
        expect(page.locator(".panel")).to_have_count(0)
        assert len(page.frames) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_grafana_of_ones_own_is_told_what_to_do(name: str, tmp_path: Path) -> None:
    page, service, grafana = (
        "http://localhost:1",
        "http://localhost:2",
        "https://grafana.example.com",
    )
    settings = set_up(tmp_path, name, page=page, service=service, grafana=grafana)
    printed = grafana_config(settings, settings.grafana[0], version=LATEST).text
    said = where(name, page, service, grafana, printed)
    assert f"jwk_set_url = {service}/.well-known/jwks.json" in said
    assert f'"aud": "{grafana}"' in said


@pytest.mark.parametrize("name", NAMES)
def test_each_has_one_command(name: str, tmp_path: Path) -> None:
    command = f"make -C examples {name}"
    assert f"\n{command}\n" in (EXAMPLES / name / "README.md").read_text()
    need("make", shutil.which("make") is not None, "apt install make")
    planned = subprocess.run(
        [*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert f"-m examples.run {name}\n" in planned.stdout


def test_the_react_wrapper_is_thin() -> None:
    source = EXAMPLES / "react" / "src" / "GrafanaPanel.jsx"
    assert len(gzip.compress(source.read_bytes())) <= 1024
