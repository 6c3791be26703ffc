"""What browser tests share: one Chromium a module, and the sites that several modules visit."""

from __future__ import annotations

from collections.abc import Iterator

import gateway_site
import pytest
import sdk_site
import sdk_strict_site
import sdk_strict_visit
import sdk_visit
from gateway_sdk_visit import visited
from gateway_visit import Visit as GatewayVisit
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from gateway_proxies import need_proxy

PATIENCE = 20_000  # milliseconds, for a slow and busy machine
TALL = {"width": 1280, "height": 1000}
"""All of twelve panels are in view."""


@pytest.fixture(scope="module")
def switches() -> list[str]:
    """Chromium's command line; a module whose site has names of its own adds where they are."""
    return ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def playwright(chromium: str, switches: list[str]) -> Iterator[Playwright]:
    """While it runs, no other event loop can: ``switches`` wait for sites that need one."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright, chromium: str, switches: list[str]) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=chromium, args=switches)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sdk_site.Site]:
    """For the SDK's panels in URL mode; modules about other things have their own."""
    with sdk_site.running_site(tmp_path_factory.mktemp("sdk")) as site:
        yield site


@pytest.fixture
def visit(browser: Browser, site: sdk_site.Site) -> Iterator[sdk_visit.Visit]:
    """Somebody who is signed in at the host application. Nothing may go wrong unnoticed."""
    context = browser.new_context(viewport=TALL)
    visit = sdk_visit.Visit.begin(site, context)
    visit.sign_in()
    yield visit
    errors = visit.errors
    context.close()
    assert errors == []


@pytest.fixture(scope="module")
def strict_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sdk_strict_site.Site]:
    with sdk_strict_site.running_site(tmp_path_factory.mktemp("strict")) as site:
        yield site


@pytest.fixture
def strict_visit(
    browser: Browser, strict_site: sdk_strict_site.Site
) -> Iterator[sdk_strict_visit.Visit]:
    with sdk_strict_visit.visiting(browser, strict_site) as visit:
        yield visit


@pytest.fixture(scope="module")
def gateway(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[gateway_site.Site]:
    """Behind nginx, and beside it a service without a gateway."""
    need_proxy("nginx")
    with (
        gateway_site.running_site("nginx", tmp_path_factory.mktemp("nginx")) as site,
        gateway_site.plain_service(site, tmp_path_factory.mktemp("plain")),
    ):
        yield site


@pytest.fixture
def gateway_visit(browser: Browser, gateway: gateway_site.Site) -> Iterator[GatewayVisit]:
    """For modules whose ``switches`` tell where the names of this site are."""
    context = browser.new_context(ignore_https_errors=True)  # the authority is a test's own
    yield visited(gateway, context)
    context.close()
