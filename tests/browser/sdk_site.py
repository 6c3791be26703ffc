"""A host application that shows panels by the SDK, with embedjwt and a stand-in Grafana behind it.

They live on ``localhost`` under ports of their own. Time alone is stepped: for embedjwt and Grafana
by the site's clock, in pages by Playwright's; ``sdk_visit.Visit.pass_time`` steps both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from flask import Flask, Response, session

from embedjwt import create_app
from embedjwt.demo.judge import Judge
from embedjwt.demo.panels import DASHBOARD
from embedjwt.demo.people import COOKIE_NAME, PEOPLE, TOKEN_TTL, demo_settings
from embedjwt.demo.servers import listener, serving, url_of
from embedjwt.demo.standin import create_standin
from embedjwt.grafana.settings import grafana_config
from embedjwt.grafana.verifier import LATEST
from embedjwt.keys.build import key_store, operator
from gateway_service import SteppedClock

LIFE = TOKEN_TTL  # seconds
EMBED_TOKEN = "/v1/embed-token"
_SECRET = "the host application's own secret key"

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
        judge = NotingJudge.under(printed, now=clock)
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
