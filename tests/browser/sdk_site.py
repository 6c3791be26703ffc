"""A host application that shows panels by the SDK, with embedjwt and a stand-in Grafana behind it.

They live on ``localhost`` under ports of their own. Time alone is stepped: for embedjwt and Grafana
by the site's clock, in pages by Playwright's; :meth:`Visit.pass_time` steps both.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from flask import Flask, Response, session
from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Page, Request, Route

from embedjwt import create_app
from embedjwt.demo.judge import Judge, JwksCache
from embedjwt.demo.panels import DASHBOARD
from embedjwt.demo.people import COOKIE_NAME, PEOPLE, TOKEN_TTL, demo_settings
from embedjwt.demo.servers import listener, serving, url_of
from embedjwt.demo.standin import create_standin
from embedjwt.grafana.settings import grafana_config
from embedjwt.grafana.verifier import LATEST, read_ini
from embedjwt.keys.build import key_store, operator
from gateway_service import SteppedClock

LIFE = TOKEN_TTL  # seconds
EMBED_TOKEN = "/v1/embed-token"
_SECRET = "the host application's own secret key"
_PATIENCE = 15.0  # seconds that a test waits; less than the SDK, whose own must not be what helped

_HEAD = """<!doctype html>
<html lang="en"><title>The host application</title><link rel="icon" href="data:,">
<script type="importmap">{"imports": {"embedjwt": "SERVICE/static/embedjwt.js"}}</script>
<style>
  main { display: flex; flex-wrap: wrap }
  .column { flex-direction: column; gap: 600px }
  grafana-panel { width: 300px; height: 200px }
</style>
"""

_SCRIPTED = """<script type="module" src="/host.js"></script>
<body data-service="SERVICE" data-dashboard="DASHBOARD">
<a id="before" href="#">Before</a> <main></main> <a id="after" href="#">After</a>"""

_PLAIN = """<script type="module" src="SERVICE/static/embedjwt.js"></script>
<main class="column">PANELS</main>"""

_PANEL = """<grafana-panel service="SERVICE" dashboard="DASHBOARD" panel="1" frame-title="CPU">
</grafana-panel>"""

_SCRIPT = """
import * as sdk from "embedjwt";
const { service, dashboard } = document.body.dataset;
const heard = [];
let embed;

function onEvent({ panel, error, ...event }) {
  const about = error && { ...error, message: error.message };
  heard.push({ ...event, ...about, panel: panel?.element.id, at: performance.now() });
}

/** One embed for the panels to come. */
function start(options) {
  embed = sdk.createEmbed({ service, settle: 200, onEvent, ...options });
}

/** As many panels more: p0, p1, … */
function add(count, attributes) {
  for (let n = 0; n < count; n += 1) {
    const panel = document.createElement("grafana-panel");
    panel.id = `p${document.querySelectorAll("grafana-panel").length}`;
    const all = { service, dashboard, panel: 1, "frame-title": panel.id, ...attributes };
    for (const [name, value] of Object.entries(all)) panel.setAttribute(name, value);
    document.querySelector("main").append(panel);
  }
}

/** What an application may ask the service for itself. */
function ask(signal) {
  const headers = { "Content-Type": "application/json" };
  const request = { method: "POST", credentials: "include", headers, body: "{}", signal };
  return fetch(`${service}/v1/embed-token`, request);
}

Object.assign(window, { sdk, heard, start, add, ask, embedded: () => embed });
"""

_STATES = """[...document.querySelectorAll("grafana-panel")]
  .map((panel) => panel.getAttribute("state"))"""

_SEEN = """() => [...document.querySelectorAll("grafana-panel")].flatMap(({ shadowRoot }) =>
  [...shadowRoot?.querySelectorAll("iframe") ?? []].filter((frame) => frame.style.opacity === "1")
    .slice(-1).map((frame) => frame.src))"""


class NotingJudge(Judge):
    """Judges as the stand-in Grafana, and keeps which tokens were not accepted, and why."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.refused: list[str] = []

    def verdict(self, token: str) -> Any:
        made = super().verdict(token)
        if not made.accepted:
            self.refused.append(f"{made.reason}: {made.detail}")
        return made


@dataclass
class Site:
    """Base URLs of everything that runs. ``stranger`` is a host application that is on no list."""

    host: str
    stranger: str
    service: str
    grafana: str
    clock: SteppedClock
    judge: NotingJudge


@contextmanager
def running_site(directory: Path) -> Iterator[Site]:
    directory.chmod(0o700)
    clock = SteppedClock(directory / "clock")
    with ExitStack() as stack:
        sockets = [stack.enter_context(listener(0)) for _ in range(4)]
        host, stranger, service, grafana = map(url_of, sockets)
        settings = demo_settings(
            host=host,
            service=service,
            grafana=grafana,
            secret_key=_SECRET,
            keys=directory / "jwks",
        )
        operator(settings, key_store(settings), "test", clock).init()
        app = create_app(settings, clock=clock)
        stack.callback(app.extensions["embedjwt.keeper"].stop)
        printed = grafana_config(settings, settings.grafana[0], version=LATEST).text
        auth = read_ini(f"app_mode = development\n{printed}", version=LATEST)
        jwks = JwksCache(auth.jwk_set_url, cache_ttl=auth.cache_ttl, now=clock)
        judge = NotingJudge(auth, jwks, now=clock)
        standin = create_standin(judge, host_origin=f"{host} {stranger}", now=clock)
        pages = host_application(service)
        for served, listening in zip((pages, pages, app, standin), sockets, strict=True):
            stack.enter_context(serving(served, listening))
        yield Site(host, stranger, service, grafana, clock, judge)


def host_application(service: str) -> Flask:
    """``/`` leaves everything to the test, ``/plain`` has twelve tags and no script of its own."""
    app = Flask("host")
    app.config.update(SECRET_KEY=_SECRET, SESSION_COOKIE_NAME=COOKIE_NAME)

    def named(text: str) -> str:
        return text.replace("SERVICE", service).replace("DASHBOARD", DASHBOARD)

    @app.get("/")
    def scripted() -> str:
        return named(_HEAD + _SCRIPTED)

    @app.get("/plain")
    def plain() -> str:
        return named(_HEAD + _PLAIN.replace("PANELS", 12 * _PANEL))

    @app.get("/host.js")
    def script() -> Response:
        return Response(_SCRIPT, mimetype="text/javascript")

    @app.post("/sign-in/<person>")
    def sign_in(person: str) -> str:
        session["user"] = PEOPLE[person].claims
        return person

    return app


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


def query_of(url: str) -> dict[str, list[str]]:
    """The parameters of a frame's address, without its token."""
    query = parse_qs(urlsplit(url).query, keep_blank_values=True)
    query.pop("auth_token", None)
    return query


def ends_at(url: str) -> float:
    """When the token in a frame's address ends, Unix time."""
    (token,) = parse_qs(urlsplit(url).query)["auth_token"]
    ends: float = jwt.decode(token, options={"verify_signature": False})["exp"]
    return ends
