"""A host page with the browser SDK, a backend that asks for its grants, and what tests say to it.

The page notes what the embed tells, how often frames load, and which messages reach its window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from flask import Flask, Response
from playwright.sync_api import Frame, FrameLocator, Locator, Page, expect

from embedjwt.demo.panels import DASHBOARD

PAGE = """<!doctype html>
<html lang="en"><title>A host application with the SDK</title><link rel="icon" href="data:,">
<body><script type="module" src="/sdk.js"></script></body></html>"""

SCRIPT = """
import { createEmbed } from "%(service)s/static/embedjwt.js";

window.events = [];
window.heard = [];
window.loads = 0;
window.person = "ada";
addEventListener("message", ({ origin, data }) => heard.push({ origin, data }));

const headers = async () => person
  ? { Authorization: "Bearer " + await (await fetch(`/upstream/${person}`)).text() }
  : {};

const plain = ({ error, panel, ...event }) => ({
  ...event,
  ...(panel && { panel: panel.element.id }),
  ...(error && { error: { ...error, message: error.message } }),
});

/** The embed for all panels to come; `backend`: this application asks for their grants. */
window.begin = ({ service = "%(service)s", backend, ...options } = {}) => {
  const getToken = backend && (({ signal }) => fetch(
    `/backend/session/${person || "nobody"}`, { method: "POST", signal },
  ));
  const onEvent = (event) => events.push(plain(event));
  window.service = service;
  window.embed = createEmbed({ service, headers, getToken, onEvent, settle: 100, ...options });
};

window.show = (attributes) => {
  const panel = document.createElement("grafana-panel");
  for (const [name, value] of Object.entries({ service, ...attributes })) {
    panel.setAttribute(name, value);
  }
  panel.style.height = "240px";
  document.body.append(panel);
  panel.shadowRoot.addEventListener("load", () => { loads += 1; }, true);
};
"""


UNLOCKED = """async () => {
  const { held } = await navigator.locks.query();
  await Promise.all(held.map(({ name }) => navigator.locks.request(name, () => {})));
}"""


def install(app: Flask, service: str, asked: str, bearer: Callable[[str], str]) -> None:
    """Adds ``/sdk`` to host applications, and a backend that asks embedjwt at the URL ``asked``.

    ``service`` is its public URL; ``bearer`` makes a person's upstream token.
    """

    @app.get("/sdk")
    def sdk_page() -> str:
        return PAGE

    @app.get("/sdk.js")
    def sdk_script() -> Response:
        return Response(SCRIPT % {"service": service}, mimetype="text/javascript")

    @app.post("/backend/session/<person>")
    def backend_session(person: str) -> Response:
        headers = {} if person == "nobody" else {"Authorization": f"Bearer {bearer(person)}"}
        told = requests.post(f"{asked}/gateway/session", json={}, headers=headers, timeout=10)
        return Response(told.content, told.status_code, mimetype=told.headers["Content-Type"])


@dataclass(frozen=True)
class SdkPage:
    """A host page at ``/sdk``."""

    page: Page

    def begin(self, **options: Any) -> None:
        """``createEmbed`` with these options."""
        self.page.wait_for_function("!!window.begin")
        self.page.evaluate("options => begin(options)", options)

    def show(self, panel: str = "1", **attributes: str) -> None:
        """One more ``<grafana-panel>``, with this id; without ``panel`` the whole dashboard."""
        given = {"id": f"panel-{panel}", "dashboard": DASHBOARD, **attributes}
        self.page.evaluate("given => show(given)", given | ({"panel": panel} if panel else {}))

    def panel(self, panel: str = "1") -> Locator:
        return self.page.locator(f"#panel-{panel}")

    def content(self, panel: str = "1") -> FrameLocator:
        """What is in the frame that the panel shows."""
        return self.panel(panel).locator("iframe").last.content_frame

    def frame(self, panel: str = "1") -> Frame:
        handle = self.panel(panel).locator("iframe").last.element_handle()
        frame = handle.content_frame()
        assert frame is not None
        return frame

    def is_ready(self, panel: str = "1", who: str = "ada Viewer") -> None:
        """Waits until the panel shows what Grafana made for this person."""
        expect(self.panel(panel)).to_have_attribute("state", "ready")
        expect(self.panel(panel).locator("iframe")).to_have_count(1)
        expect(self.content(panel).locator(".who")).to_have_text(who)
        expect(self.content(panel).locator("svg").first).to_be_visible()  # its own data

    def has_failed(self, code: str, panel: str = "1") -> dict[str, Any]:
        """Waits for the card of an error and returns what the latest event says of it."""
        latest = "code => events.findLast(({ error }) => error)?.error.code === code"
        self.page.wait_for_function(latest, arg=code)
        error: dict[str, Any] = self.events("error")[-1]["error"]
        expect(self.panel(panel)).to_have_attribute("state", "error")
        expect(self.panel(panel).get_by_role("alert")).to_contain_text(error.get("reason", code))
        expect(self.panel(panel).locator("iframe")).to_have_count(0)
        return error

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What the embed has told of this kind so far."""
        told: list[dict[str, Any]] = self.page.evaluate(
            "kind => events.filter(({ type }) => type === kind)", arg=kind
        )
        return told

    def wait_for_grants(self, count: int) -> None:
        """Until there have been so many in all, and other tabs know of the latest."""
        enough = "count => events.filter(({ type }) => type === 'grant').length >= count"
        self.page.wait_for_function(enough, arg=count)
        self.page.evaluate(UNLOCKED)

    def focus(self) -> None:
        """As when somebody comes back to the page."""
        self.page.evaluate("() => { dispatchEvent(new Event('focus')); }")
