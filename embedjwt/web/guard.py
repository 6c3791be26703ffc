"""Which pages may call us: exact origins, no forged requests, and safe answers."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Request, Response, request

from embedjwt.config import Settings
from embedjwt.errors import RequestRefused
from embedjwt.identity import UpstreamSession

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
}


class OriginRefused(RequestRefused):
    """A page that is not on the list asked, or a request that may be forged."""

    code = "origin_not_allowed"
    status = 403


class OriginGuard:
    """Cross-origin rules: which pages may ask, and which may read the answer."""

    def __init__(self, settings: Settings) -> None:
        issuer = urlsplit(settings.issuer)
        own = f"{issuer.scheme}://{issuer.netloc}"
        self._allowed = frozenset({*settings.web.allowed_origins, own})

    def check(self, request: Request) -> None:
        """Refuses a request from a page that is not on the list. Raises :class:`OriginRefused`."""
        origin = request.headers.get("Origin")
        if origin is not None and origin not in self._allowed:
            raise OriginRefused(
                "pages of this origin may not ask for tokens",
                hint="add the page's exact origin to [web] allowed_origins",
            )

    def check_forgery(self, request: Request, session: UpstreamSession) -> None:
        """A session that the browser attaches by itself must come from a page on the list.

        Both must hold: an ``Origin`` (which browsers always send with POST), and a JSON content
        type (which a page elsewhere cannot send without asking first).
        Raises :class:`OriginRefused` or :class:`RequestRefused`.
        """
        if not session.ambient:
            return
        if not request.headers.get("Origin"):
            raise OriginRefused(
                "a cookie-borne session needs an Origin header",
                hint=f"source {session.source!r} rides on a cookie; call from a page on the list, "
                "or from a backend with a bearer token",
            )
        if request.mimetype != "application/json":
            raise RequestRefused(
                "send Content-Type: application/json", code="content_type_unsupported"
            )

    def allow(self, answer: Response) -> Response:
        """Lets a page on the list read the answer, refusals too (Fetch standard, CORS protocol)."""
        answer.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin in self._allowed:
            answer.headers["Access-Control-Allow-Origin"] = origin
            answer.headers["Access-Control-Allow-Credentials"] = "true"
            if request.method == "OPTIONS":
                answer.headers["Access-Control-Allow-Methods"] = "POST"
                answer.headers["Access-Control-Allow-Headers"] = "authorization, content-type"
                answer.headers["Access-Control-Max-Age"] = "600"
        return answer


def install(app: Flask, guard: OriginGuard, *, shared_paths: frozenset[str]) -> None:
    """Security headers on every answer; on ``shared_paths`` pages on the list may read it."""

    @app.after_request
    def secure(answer: Response) -> Response:
        headers = answer.headers
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        if request.path in shared_paths:
            guard.allow(answer)
        if request.endpoint == "static" and answer.status_code < 400:
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # host pages load the SDK
            headers["Access-Control-Allow-Origin"] = "*"
        else:
            headers.setdefault("Cache-Control", "no-store")
        return answer
