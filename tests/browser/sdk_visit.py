"""A fresh browser profile with one page of panels, what it takes notes of, and what befalls it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Page, Request, Route
from sdk_site import EMBED_TOKEN, Site

RENEWED_AFTER = (35, 50)
"""Seconds: of a life of 60 s, 12 to 18 s are left when the next token is asked for, and some real
seconds pass as well."""

UNLUCKY = "Math.random = () => 0.99"
"""Each back-off is as long as it may be."""

LUCKY = "Math.random = () => 0"
"""Each back-off is as short as it may be."""

_PATIENCE = 15.0  # seconds that a test waits; less than the SDK, whose own must not be what helped

_STATES = """[...document.querySelectorAll("grafana-panel")]
  .map((panel) => panel.getAttribute("state"))"""

_SEEN = """() => [...document.querySelectorAll("grafana-panel")].flatMap(({ shadowRoot }) =>
  [...shadowRoot?.querySelectorAll("iframe") ?? []].filter((frame) => frame.style.opacity === "1")
    .slice(-1).map((frame) => frame.src))"""


@dataclass
class Visit:
    """A fresh browser profile with one page: what it asked the service for, and what went wrong."""

    site: Site
    context: BrowserContext
    page: Page
    asked: list[Request] = field(default_factory=list)
    """Requests for tokens."""
    frames: list[str] = field(default_factory=list)
    """The addresses that frames were sent to."""
    errors: list[str] = field(default_factory=list)
    """Uncaught errors, unhandled rejections, and what scripts wrote as an error."""
    _busy: set[Request] = field(default_factory=set)

    @classmethod
    def begin(cls, site: Site, context: BrowserContext) -> Visit:
        visit = cls(site, context, context.new_page())
        visit.page.on("request", visit._note_request)
        visit.page.on("requestfinished", visit._note_end)
        visit.page.on("requestfailed", visit._note_end)
        visit.page.on("pageerror", visit._note_error)
        visit.page.on("console", visit._note_message)
        return visit

    def _note_request(self, request: Request) -> None:
        self._busy.add(request)
        if request.url == self.site.service + EMBED_TOKEN and request.method == "POST":
            self.asked.append(request)
        if request.url.startswith(f"{self.site.grafana}/d"):
            self.frames.append(request.url)

    def _note_end(self, request: Request) -> None:
        self._busy.discard(request)

    def _note_error(self, error: Error) -> None:
        self.errors.append(f"uncaught: {error}")

    def _note_message(self, message: ConsoleMessage) -> None:
        """The browser itself writes of every request that fails."""
        ours = "Failed to load resource" not in message.text and "CORS policy" not in message.text
        if message.type == "error" and ours:
            self.errors.append(message.text)

    def sign_in(self, person: str = "vera") -> None:
        assert self.context.request.post(f"{self.site.host}/sign-in/{person}").ok

    def sign_out(self) -> None:
        self.context.clear_cookies()

    def fake_clock(self, *, ahead: float = 0) -> None:
        """Before :meth:`open`: the page's time is ours to step. ``ahead`` in seconds."""
        self.page.clock.install(time=datetime.fromtimestamp(self.site.clock() + ahead, UTC))

    def open(
        self, options: str = "{}", *, panels: int = 1, host: str = "", **attributes: Any
    ) -> None:
        """The page with so many panels; ``options`` of createEmbed are JavaScript."""
        self.page.goto(host or self.site.host)
        self.page.evaluate(f"start({options})")
        self.add(panels, **attributes)

    def add(self, panels: int, **attributes: Any) -> None:
        named = {name.replace("_", "-"): value for name, value in attributes.items()}
        self.page.evaluate("([count, own]) => add(count, own)", [panels, named])

    def pass_time(
        self, seconds: float, *, step: float = 5, each: Callable[[], Any] | None = None
    ) -> None:
        """Time passes for everybody, in steps after each of which all requests are answered."""
        left = seconds
        while left > 0:
            now = min(step, left)
            left -= now
            self.site.clock.step(now)
            self.page.clock.run_for(int(now * 1000))
            self.until(lambda: not self._busy)
            if each:
                each()

    def sleep(self, seconds: float) -> None:
        """The laptop sleeps: wall clocks go on, timers and the page's steady clock stand still."""
        self.site.clock.step(seconds)
        now: float = self.page.evaluate("Date.now() / 1000")
        self.page.clock.set_system_time(datetime.fromtimestamp(now + seconds, UTC))

    def until(self, condition: Callable[[], Any]) -> None:
        """Waits in real time; a page's fake clock goes on meanwhile."""
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            assert time.monotonic() < deadline, (self.states(), self.heard()[-12:], self.errors)
            self.page.wait_for_timeout(10)

    def until_state(self, *states: str) -> None:
        """All panels are in one of these states."""
        self.until(lambda: self.states() and set(self.states()) <= set(states))

    def until_heard(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The latest event of a type with these fields, once there is one."""
        self.until(lambda: self.heard(kind, **fields))
        return self.heard(kind, **fields)[-1]

    def states(self) -> list[str]:
        states: list[str] = self.page.evaluate(_STATES)
        return states

    def heard(self, kind: str = "", **fields: Any) -> list[dict[str, Any]]:
        """What onEvent was told."""
        heard: list[dict[str, Any]] = json.loads(
            self.page.evaluate("JSON.stringify(window.heard ?? [])")
        )
        return [e for e in heard if kind in ("", e["type"]) and fields.items() <= e.items()]

    def failures(self) -> list[dict[str, Any]]:
        """The errors that concern all panels: requests for tokens that did not succeed."""
        return [error for error in self.heard("error") if "panel" not in error]

    def seen(self) -> list[str]:
        """The addresses of the frames that people see, panel by panel."""
        seen: list[str] = self.page.evaluate(_SEEN)
        return seen

    def fire(self, *types: str) -> None:
        """Events of the window, one right after the other."""
        self.page.evaluate("(all) => all.forEach((one) => dispatchEvent(new Event(one)))", types)

    def card(self, panel: int = 0) -> str:
        """All that a panel says instead of, or below, its frame."""
        return self.page.locator("grafana-panel").nth(panel).locator("[part=card]").inner_text()

    def says(self, text: str) -> bool:
        """Whether all panels say this one of the SDK's texts."""
        wanted: str = self.page.evaluate("(text) => sdk.texts[text]", text)
        messages = self.page.locator("grafana-panel [part=message]").all_inner_texts()
        return messages == [wanted] * len(self.states())

    def hold(self, url: str) -> list[Route]:
        """Requests to this URL or pattern from now on; they wait until a test lets them go."""
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        self.page.route(url, hold)
        return held

    def answer_for(self, origin: str) -> dict[str, Any]:
        """What the service tells the host application, for pages of ``origin`` to read."""
        told = self.context.request.post(
            self.site.service + EMBED_TOKEN, data={}, headers={"Origin": self.site.host}
        )
        return {
            "status": told.status,
            "content_type": "application/json",
            "headers": {"Access-Control-Allow-Origin": origin},
            "body": told.text(),
        }

    def answer(self, *answers: dict[str, Any] | None) -> None:
        """These answers to the next requests for tokens instead of the service's, which gives those
        after them; ``None`` lets one through as well."""
        left = list(answers)
        cors = {
            "Access-Control-Allow-Origin": self.site.host,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Allow-Headers": "content-type",
            "Access-Control-Expose-Headers": "Retry-After",
        }

        def instead(route: Route) -> None:
            fault = left.pop(0) if left and route.request.method == "POST" else None
            if fault is None:
                route.fallback()
            else:
                route.fulfill(**fault | {"headers": cors | fault.get("headers", {})})

        self.page.route(self.site.service + EMBED_TOKEN, instead)


def problem(status: int, code: str, detail: str = "for a test") -> dict[str, Any]:
    """A refusal as embedjwt words it."""
    body = json.dumps({"status": status, "code": code, "detail": detail, "trace_id": "t1"})
    return {"status": status, "content_type": "application/problem+json", "body": body}
