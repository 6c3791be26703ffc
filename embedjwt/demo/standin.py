"""The stand-in Grafana: verifies tokens as Grafana does, and draws one dashboard.

It says on every page that it is a stand-in. Paths and behaviour are Grafana's where embedding
touches them: ``/d-solo``, ``?auth_token=``, the header on every query, 302 to ``/login``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from embedjwt.assets import static_dir
from embedjwt.demo.judge import Judge
from embedjwt.demo.panels import DASHBOARD, find_panel, frame
from embedjwt.grafana.verifier import Verdict

LONGEST_RANGE_MS = 24 * 3600 * 1000
_LATEST_MS = 8_640_000_000_000_000  # the end of ECMAScript's time, in which panels are drawn
_EDITING_ROLES = ("Editor", "Admin")


def create_standin(
    judge: Judge, *, host_origin: str, now: Callable[[], float] = time.time
) -> Flask:
    """The stand-in; pages of ``host_origin`` may frame it."""
    demo = static_dir() / "demo"
    app = Flask(
        "standin", template_folder=str(demo), static_folder=str(demo), static_url_path="/public"
    )

    @app.get("/d-solo/<uid>/<slug>")
    @app.get("/d-solo/<uid>")
    def panel(uid: str, slug: str = "") -> AnyResponse | str:
        verdict = judge.verdict(_token(judge))
        if not verdict.accepted:
            return redirect(_login_url(verdict), 302)
        found = find_panel(request.args.get("panelId", "")) if uid == DASHBOARD else None
        return render_template(
            "standin-panel.html",
            panel=found,
            title=found.title if found else f"Panel not found in {slug or uid}",
            theme=_theme(),
            verdict=verdict,
            may_edit=verdict.role in _EDITING_ROLES,
            header_name=judge.settings.header_name,
        )

    @app.get("/login")
    def login() -> str:
        shown = {name: request.args.get(name, "")[:300] for name in ("reason", "detail")}
        return render_template("standin-login.html", theme=_theme(), **shown)

    @app.get("/")
    def home() -> AnyResponse:
        return redirect("/login", 302)

    @app.post("/api/ds/query")
    def query() -> AnyResponse | tuple[AnyResponse, int]:
        verdict = judge.verdict(_token(judge))
        if not verdict.accepted:
            return _unauthorized(verdict), 401
        body = request.get_json()
        asked = body if isinstance(body, dict) else {}
        found = find_panel(str(asked.get("panelId", "")))
        start, end = asked.get("from"), asked.get("to")
        if found is None or not isinstance(start, int) or not isinstance(end, int):
            return jsonify(message="bad request data"), 400
        if not (0 <= start < end <= _LATEST_MS):
            return jsonify(message="bad request data"), 400
        if end - start > LONGEST_RANGE_MS:
            return jsonify(message="the stand-in draws at most 24 hours"), 400
        return jsonify(results={"A": {"status": 200, "frames": [frame(found, start, end)]}})

    @app.get("/api/health")
    def health() -> dict[str, Any]:
        return {"database": "ok", "version": "stand-in", "now": int(now())}

    @app.post("/standin/verdict")
    def verdict() -> dict[str, Any]:
        """Not Grafana's: tells the host page what became of a token, step by step."""
        made = judge.verdict(_token(judge))
        jwks = {"url": judge.jwks.url, "fetches": judge.jwks.fetches}
        return {"verdict": made.as_json(), "jwks": jwks, "now": int(now())}

    @app.after_request
    def secure(response: Response) -> Response:
        headers = response.headers
        headers["Content-Security-Policy"] = "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "connect-src 'self'",
                "img-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                f"frame-ancestors {host_origin}",
            )
        )
        headers["Referrer-Policy"] = "no-referrer"
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Cache-Control"] = "no-store"
        if request.path == "/standin/verdict":
            headers["Access-Control-Allow-Origin"] = host_origin
            headers["Access-Control-Allow-Headers"] = judge.settings.header_name
            headers["Vary"] = "Origin"
        return response

    return app


def _token(judge: Judge) -> str:
    """The header first, the URL only if that is empty (``pkg/services/authn/clients/jwt.go``)."""
    header = request.headers.get(judge.settings.header_name, "")
    if header or not judge.settings.url_login:
        return header
    return request.args.get("auth_token", "")


def _theme() -> str:
    return "light" if request.args.get("theme") == "light" else "dark"


def _login_url(verdict: Verdict) -> str:
    why = {"reason": verdict.reason, "detail": verdict.detail, "theme": _theme()}
    return f"/login?{urlencode(why)}"


def _unauthorized(verdict: Verdict) -> AnyResponse:
    return jsonify(message="Unauthorized", login=_login_url(verdict))
