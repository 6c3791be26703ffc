"""A host application with the strictest of policies, embedjwt and a stand-in Grafana, on loopback.

Pages show panels by the browser SDK alone. Every server notes what it was asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask, Response, request, session

from embedjwt import create_app
from embedjwt.config import Settings
from embedjwt.demo.judge import Judge
from embedjwt.demo.people import COOKIE_NAME, PEOPLE, demo_settings
from embedjwt.demo.servers import listener, serving, url_of
from embedjwt.demo.standin import create_standin
from embedjwt.grafana.settings import grafana_config
from embedjwt.grafana.versions import LATEST
from embedjwt.keys.build import key_store, operator

SECRET_KEY = "what the host application signs its sessions with"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Line 3</title>
<script src="/watch.js"></script>
<script type="module" src="{service}/static/embedjwt.js"></script>
<script type="module" src="/host.js"></script></head>
<body><main><h1>Line 3</h1><div id="panels"></div></main></body></html>"""

WATCH = """
window.violations = [];
window.events = [];
addEventListener("securitypolicyviolation", (event) =>
  violations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""

SCRIPT = """
import * as sdk from "{service}/static/embedjwt.js";

const panels = document.getElementById("panels");
const service = "{service}";
Object.assign(window, {{ sdk, panels, service }});
window.embed = (options) => sdk.createEmbed({{
  service, settle: 600, onEvent: (event) => events.push(event), ...options,
}});

/** A <grafana-panel> with these attributes; its number. */
window.show = (attributes) => {{
  const panel = document.createElement("grafana-panel");
  const usual = {{ dashboard: "acme-line-3", panel: "1", "frame-title": "Controller CPU" }};
  const wanted = {{ service, ...usual, ...attributes }};
  for (const [name, value] of Object.entries(wanted)) panel.setAttribute(name, value);
  size(panel);
  panels.append(panel);
  return panels.children.length - 1;
}};

/** A place for embed.mount(). */
window.place = () => panels.appendChild(size(document.createElement("div")));

const size = (element) => {{
  Object.assign(element.style, {{ display: "block", width: "600px", height: "300px" }});
  return element;
}};

document.body.dataset.ready = "";
"""


@dataclass(frozen=True)
class Asked:
    """A request as its server saw it."""

    url: str
    referer: str


@dataclass(frozen=True)
class Site:
    """Base URLs, and what the servers behind them were asked."""

    host: str
    service: str
    grafana: str
    asked: list[Asked] = field(default_factory=list)

    def frames(self) -> list[Asked]:
        """What was asked for the documents of panels."""
        return [asked for asked in self.asked if asked.url.startswith(f"{self.grafana}/d")]


@contextmanager
def running_site(directory: Path) -> Iterator[Site]:
    """All on ``localhost`` under ports of their own: one site, but different origins."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(listener(0)) for _ in range(3)]
        site = Site(*map(url_of, sockets))
        settings = demo_settings(
            host=site.host,
            service=site.service,
            grafana=site.grafana,
            secret_key=SECRET_KEY,
            keys=directory / "jwks",
        )
        operator(settings, key_store(settings), "test").init()
        apps = (
            host_application(site),
            create_app(settings),
            create_standin(judge(settings), host_origin=site.host),
        )
        for app, listening in zip(apps, sockets, strict=True):
            whole = app.wsgi_app
            app.wsgi_app = noting(whole, url_of(listening), site.asked)
            stack.enter_context(serving(app, listening))
        yield site


def host_application(site: Site) -> Flask:
    """``/`` is strict, ``/unframed`` lets in no frame, ``/plain`` has no policy at all."""
    app = Flask("host")
    app.config.update(SECRET_KEY=SECRET_KEY, SESSION_COOKIE_NAME=COOKIE_NAME)
    strict = (
        "default-src 'none'",
        f"script-src {site.service} 'self'",
        f"connect-src {site.service}",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    )
    policies = {
        "/": "; ".join((*strict, f"frame-src {site.grafana}")),
        "/unframed": "; ".join(strict),
        "/plain": "",
    }

    def page() -> Response:
        sign_in("vera")
        return Response(PAGE.format(service=site.service))

    for path, policy in policies.items():
        app.add_url_rule(path, path, with_policy(page, policy))

    @app.get("/elsewhere")
    def elsewhere() -> str:
        sign_in(request.args.get("person", "vera"))
        return "<!doctype html><title>Elsewhere</title>"

    @app.get("/watch.js")
    def watch() -> Response:
        return Response(WATCH, mimetype="text/javascript")

    @app.get("/host.js")
    def script() -> Response:
        return Response(SCRIPT.format(service=site.service), mimetype="text/javascript")

    return app


def sign_in(person: str) -> None:
    session["user"] = PEOPLE[person].claims


def with_policy(page: Callable[[], Response], policy: str) -> Callable[[], Response]:
    def answer() -> Response:
        response = page()
        if policy:
            response.headers["Content-Security-Policy"] = policy
        return response

    return answer


def judge(settings: Settings) -> Judge:
    printed = grafana_config(settings, settings.grafana[0], version=LATEST).text
    return Judge.under(printed, now=time.time)


def noting(app: Any, base: str, asked: list[Asked]) -> Any:
    """The WSGI application, with a note of each request."""

    def noted(environ: dict[str, Any], start_response: Any) -> Any:
        path, query = environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
        asked.append(Asked(f"{base}{path}?{query}", environ.get("HTTP_REFERER", "")))
        return app(environ, start_response)

    return noted
