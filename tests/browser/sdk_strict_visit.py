"""A fresh browser profile that visits pages with panels, and what may happen on its way."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Locator, Page, Route, expect
from sdk_strict_site import Site

TOKENS = "**/v1/embed-token"
FRAMES = "**/d-solo/**"
RENEWED_AFTER = 48_000  # milliseconds, of the 60 s that a token lives


@dataclass(frozen=True)
class Visit:
    """A page in a fresh browser profile, and everything its console said."""

    site: Site
    page: Page
    console: list[str] = field(default_factory=list)

    def go(self, path: str = "/") -> None:
        self.page.goto(self.site.host + path)
        self.page.locator("body[data-ready]").wait_for()

    def show(self, **attributes: str) -> Locator:
        """One more ``<grafana-panel>``; ``frame_title`` for ``frame-title``."""
        named = {name.replace("_", "-"): value for name, value in attributes.items()}
        number: int = self.page.evaluate("(named) => show(named)", named)
        return self.page.locator("#panels > *").nth(number)

    def expect(self, panel: Locator, state: str) -> None:
        expect(panel).to_have_attribute("state", state)

    def until(self, condition: str) -> None:
        """``wait_for_function`` would need the policy's leave."""
        deadline = time.monotonic() + 15
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, condition
            self.page.wait_for_timeout(20)

    def swap(self, change: str = "", *, skip: int = 0) -> None:
        """Does it in the page, and waits until every panel has gone over to what comes of it;
        ``skip``: so many milliseconds pass at once, where the page's clock is installed."""
        panels = self.page.locator("#panels > *").all()
        swaps = "events.filter(({ state }) => state === 'refreshing').length"
        before = self.page.evaluate(swaps)
        self.page.evaluate(f"() => {{ {change} }}")
        if skip:
            self.page.clock.fast_forward(skip)
        self.until(f"{swaps} >= {before + len(panels)}")
        for panel in panels:
            self.expect(panel, "ready")
            expect(panel.locator("iframe")).to_have_count(1)

    def sign_in(self, person: str) -> None:
        """As one of the demo's people; the page learns of it by the next token."""
        self.page.request.get(f"{self.site.host}/elsewhere?person={person}")

    def swap_for_tokens(self) -> None:
        """As :meth:`swap`, once the next token is due."""
        self.sign_in("ed")  # the service gives the same token again while it is fresh
        self.swap(skip=RENEWED_AFTER)

    def violations(self) -> list[str]:
        """What policies forbade, as the page and the console tell."""
        told: list[str] = self.page.evaluate("violations")
        return told + [text for text in self.console if "Policy" in text or "Trusted" in text]


class Gate:
    """Requests wait here until it opens."""

    def __init__(self, visit: Visit, pattern: str) -> None:
        self._waiting: list[Route] = []
        self._visit, self._pattern = visit, pattern
        visit.page.route(pattern, self._hold)

    def _hold(self, route: Route) -> None:
        self._waiting.append(route)

    def open(self) -> None:
        for route in self._waiting:
            route.continue_()
        self._visit.page.unroute(self._pattern, self._hold)

    def hand_over(self) -> None:
        """What waits goes to the routes set before this one."""
        for route in self._waiting:
            route.fallback()
        self._visit.page.unroute(self._pattern, self._hold)


def living(seconds: float) -> Any:
    """The service's answer, but that the token lives no longer, as a route's handler."""

    def shorten(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"expires_in": seconds})

    return shorten


def refusing(status: int, code: str) -> Any:
    """What a service that refuses says, as a route's handler."""

    def refuse(route: Route) -> None:
        origin = route.request.headers["origin"]
        route.fulfill(
            status=status,
            headers={
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Credentials": "true",
            },
            content_type="application/problem+json",
            body=json.dumps({"code": code, "detail": f"{code}, it says", "trace_id": "0af7"}),
        )

    return refuse


@contextmanager
def visiting(browser: Browser, site: Site, **options: Any) -> Iterator[Visit]:
    """``options`` are those of the browser context."""
    context = browser.new_context(viewport={"width": 800, "height": 900}, **options)
    visit = Visit(site, context.new_page())
    site.asked.clear()
    context.on("console", lambda message: visit.console.append(message.text))
    yield visit
    context.close()
