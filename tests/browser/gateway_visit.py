"""A fresh browser profile that visits host pages, and takes notes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway_site import GRAFANA, Site
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response


@dataclass
class Visit:
    """A fresh browser profile: what it asked for, what it got, what a page's policy kept it from,
    and the tickets its host pages were given."""

    site: Site
    context: BrowserContext
    requests: list[Request] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    failures: list[Request] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    tickets: list[str] = field(default_factory=list)

    def note_request(self, request: Request) -> None:
        self.requests.append(request)

    def note_answer(self, answer: Response) -> None:
        self.answers.append(answer)

    def note_failure(self, request: Request) -> None:
        self.failures.append(request)

    def note_message(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.violations.append(message.text)

    def page(self, host: str, path: str = "/") -> Page:
        """A new tab at a host application; contexts of their own block third-party cookies as
        private windows do, and this says so whatever the browser's default is."""
        page = self.context.new_page()
        controls = {
            "enableThirdPartyCookieRestriction": True,
            "disableThirdPartyCookieMetadata": True,
            "disableThirdPartyCookieHeuristics": True,
        }
        cdp = self.context.new_cdp_session(page)
        cdp.send("Network.enable")
        cdp.send("Network.setCookieControls", controls)
        page.goto(host + path)
        return page

    def session(self, page: Page, base: str = GRAFANA, **asked: Any) -> dict[str, Any]:
        """What the host page's script gets from ``POST /gateway/session`` there."""
        answer = page.evaluate("([base, asked]) => session(base, asked)", [base, asked])
        assert answer["status"] == 200, answer
        body: dict[str, Any] = answer["body"]
        if "ticket" in body:
            self.tickets.append(body["ticket"])
        return body

    def sign_out(self, page: Page) -> None:
        asked = {"method": "DELETE", "person": ""}
        answer = page.evaluate("([base, asked]) => session(base, asked)", [GRAFANA, asked])
        assert answer["status"] == 204, answer

    def statuses(self, url: str) -> set[int]:
        return {answer.status for answer in self.answers if answer.url.startswith(url)}
