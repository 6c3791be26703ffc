"""The demo's host application: a customer portal with somebody signed in.

It knows nothing of embedjwt but two things: its page asks for tokens, and its session cookie is
Flask's own, which embedjwt can read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urljoin

from flask import Flask, Response, redirect, render_template, request, session
from werkzeug.wrappers import Response as AnyResponse

from embedjwt.assets import static_dir
from embedjwt.demo.panels import DASHBOARD, PANELS, SLUG, dashboard_json
from embedjwt.demo.people import COOKIE_NAME, PEOPLE, TOKEN_TTL, Person

Explain = Callable[[dict[str, Any]], dict[str, Any]]
"""From somebody's claims to what ``embedjwt explain --json`` says of them."""

_SETTLE_MS = {True: 500, False: 2500}
"""How long a fresh panel may draw before it takes the old one's place: a stand-in, a real one."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where everything is: base URLs without a trailing slash.

    ``standin`` judges tokens even where ``grafana`` is a real one; ``grafana_ini`` is what Grafana
    was told.
    """

    host: str
    service: str
    grafana: str
    standin: str
    grafana_ini: str

    @property
    def is_standin(self) -> bool:
        """Whether the frames show the stand-in."""
        return self.grafana == self.standin


def create_host(where: Surroundings, *, secret_key: str, explain: Explain) -> Flask:
    """The portal; ``secret_key`` signs its session cookie."""
    app = Flask(
        "acme",
        template_folder=str(static_dir() / "demo"),
        static_folder=str(static_dir() / "demo"),
        static_url_path="/assets",
    )
    app.config.update(
        SECRET_KEY=secret_key,
        SESSION_COOKIE_NAME=COOKIE_NAME,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
    )
    own = where.host.partition("://")[2]

    @app.before_request
    def one_name_only() -> AnyResponse | None:
        """``127.0.0.1`` is another site than ``localhost``: cookies would not be shared."""
        return None if request.host == own else redirect(where.host)

    @app.get("/")
    def page() -> str:
        person = PEOPLE.get(session.get("person", ""), PEOPLE["vera"])
        _sign_in(person)
        return render_template(
            "host.html",
            person=person,
            people=PEOPLE.values(),
            panels=PANELS.values(),
            where=where,
            token_ttl=TOKEN_TTL,
            config=_page_config(where, person),
        )

    @app.post("/person")
    def switch_person() -> AnyResponse | tuple[str, int]:
        person = PEOPLE.get(request.form.get("person", ""))
        if person is None or request.headers.get("Origin", where.host) != where.host:
            return "nobody of that name works here", 400
        _sign_in(person)
        return redirect("/", 303)

    @app.get("/explain")
    def explanation() -> dict[str, Any]:
        return explain(session.get("user", {}))

    @app.get("/dashboard.json")
    def dashboard() -> dict[str, Any]:
        return dashboard_json()

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = "; ".join(
            (
                "default-src 'none'",
                f"script-src 'self' {where.service}",
                "style-src 'self'",
                "img-src 'self'",
                f"connect-src 'self' {where.service} {where.standin}",
                f"frame-src {urljoin(where.grafana, '/')}",
                "form-action 'self'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            )
        )
        response.headers["Referrer-Policy"] = "same-origin"  # no-referrer: Origin: null
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    return app


def _sign_in(person: Person) -> None:
    session["person"] = person.key
    session["user"] = person.claims


def _page_config(where: Surroundings, person: Person) -> dict[str, Any]:
    return {
        **{key: value for key, value in asdict(where).items() if key != "grafana_ini"},
        "settle_ms": _SETTLE_MS[where.is_standin],
        "dashboard": DASHBOARD,
        "slug": SLUG,
        "claims": person.claims,
    }
