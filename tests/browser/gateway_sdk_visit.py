"""Visits to host pages with the SDK, behind the gateway, and time that passes for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from gateway_sdk import SdkPage
from gateway_site import CROSS_SITE, GRAFANA, SAME_SITE, SERVICE, TTL, Site
from gateway_visit import Visit
from playwright.sync_api import BrowserContext, Request

HOSTS = pytest.mark.parametrize(
    "host", [pytest.param(SAME_SITE, id="same-site"), pytest.param(CROSS_SITE, id="cross-site")]
)

SESSION = f"{SERVICE}/gateway/session"

QUERY = f"{GRAFANA}/api/ds/query"

STEPS = 3
"""So many times ``TTL`` after a renewal the next one is due, and the session lives still."""

ASK = """() => fetch("/api/ds/query", {
  method: "POST", headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ panelId: 1, from: Date.now() - 60000, to: Date.now() }),
}).then((answer) => answer.status)"""


def visited(site: Site, context: BrowserContext) -> Visit:
    visit = Visit(site, context)
    context.on("request", visit.note_request)
    context.on("response", visit.note_answer)
    context.clock.install()
    return visit


def opened(visit: Visit, host: str = SAME_SITE, **options: str) -> SdkPage:
    """A host page with an embed."""
    sdk = SdkPage(visit.page(host, "/sdk"))
    sdk.begin(**options)
    return sdk


def with_panel(visit: Visit, host: str = SAME_SITE, **options: str) -> SdkPage:
    """A host page that shows a panel."""
    sdk = opened(visit, host, **options)
    sdk.show()
    sdk.is_ready()
    return sdk


def pass_time(visit: Visit, seconds: float) -> None:
    """For everybody at once."""
    visit.site.service.clock.step(seconds)
    visit.context.clock.fast_forward(int(seconds * 1000))


def until_renewed(visit: Visit, *pages: SdkPage) -> None:
    """Lets ``STEPS`` tokens end, and all pages have their next grant."""
    before = [len(sdk.events("grant")) for sdk in pages]
    for _ in range(STEPS):
        pass_time(visit, TTL)
    for sdk, count in zip(pages, before, strict=True):
        sdk.wait_for_grants(count + 1)


def posts(visit: Visit, url: str) -> list[Request]:
    return [asked for asked in visit.requests if (asked.method, asked.url) == ("POST", url)]


def wait_for(sdk: SdkPage, truth: Callable[[], object]) -> None:
    deadline = time.monotonic() + 15
    while not truth():
        assert time.monotonic() < deadline
        sdk.page.wait_for_timeout(20)
