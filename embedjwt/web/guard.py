"""Which pages may call us: exact origins, no forged requests, and safe answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request

from embedjwt.config import JwtSource, Settings
from embedjwt.errors import RequestRefused
from embedjwt.identity import UpstreamSession

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Headers = list[tuple[str, str]]

_SAFE: Headers = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
]
_NOT_STORED = ("Cache-Control", "no-store")
_STATIC: Headers = [  # host pages of any origin load the SDK
    ("Cross-Origin-Resource-Policy", "cross-origin"),
    ("Access-Control-Allow-Origin", "*"),
]


class OriginRefused(RequestRefused):
    """A page that is not on the list asked, or a request that may be forged."""

    code = "origin_not_allowed"
    status = 403


class ContentTypeRefused(RequestRefused):
    """The body is not announced as JSON."""

    code = "content_type_unsupported"
    status = 415


class OriginGuard:
    """Cross-origin rules: which pages may ask, and which may read the answer."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = frozenset(settings.web.allowed_origins)
        named = {s.header.lower() for s in settings.source if isinstance(s, JwtSource) and s.header}
        self._request_headers = ", ".join(sorted({"authorization", "content-type"} | named))

    def check(self, request: Request) -> None:
        """Refuses a request from a page that is not on the list. Raises :class:`OriginRefused`."""
        origin = request.environ.get("HTTP_ORIGIN")
        if origin is not None and origin not in self._allowed:
            raise OriginRefused(
                "pages of this origin may not ask for tokens",
                hint="add the page's exact origin to [web] allowed_origins",
            )

    def check_forgery(self, request: Request, session: UpstreamSession) -> None:
        """A session that the browser brings by itself must come from a page on the list.

        Both must hold: an ``Origin`` (which browsers always send with POST), and a JSON content
        type (which a page elsewhere cannot send without asking first).
        Raises :class:`OriginRefused` or :class:`ContentTypeRefused`.
        """
        if not session.ambient:
            return
        if not request.headers.get("Origin"):
            raise OriginRefused(
                "a session that the browser brings by itself needs an Origin header",
                hint=f"source {session.source!r} rides on a cookie or a front door's header; call "
                "from a page on the list, or from a backend with a bearer token",
            )
        require_json(request)

    def headers(self, environ: WSGIEnvironment) -> Headers:
        """Lets a page on the list read the answer, refusals too (Fetch standard, CORS protocol)."""
        origin = environ.get("HTTP_ORIGIN")
        if origin not in self._allowed:
            return [("Vary", "Origin")]
        allowed = [
            ("Vary", "Origin"),
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Expose-Headers", "Retry-After"),
        ]
        if environ["REQUEST_METHOD"] == "OPTIONS":
            allowed += [
                ("Access-Control-Allow-Methods", _methods(environ.get("PATH_INFO", ""))),
                ("Access-Control-Allow-Headers", self._request_headers),
                ("Access-Control-Max-Age", "600"),
            ]
        return allowed


def _methods(path: str) -> str:
    if path.startswith("/session/"):
        return "GET, POST"
    return "POST, DELETE" if path.startswith("/gateway/") else "POST"


def require_json(request: Request) -> None:
    """Raises :class:`ContentTypeRefused` for a body that is not announced as JSON."""
    announced: str = request.environ.get("CONTENT_TYPE", "")
    if announced.partition(";")[0].strip().lower() != "application/json":
        raise ContentTypeRefused("send Content-Type: application/json")


class SafeAnswers:
    """Adds the headers that make every answer safe; on ``shared_paths`` those for other origins.

    A WSGI layer, because it is a tenth of the price of Flask's ``after_request`` and misses none.
    """

    def __init__(
        self, app: WSGIApplication, guard: OriginGuard, *, shared_paths: frozenset[str]
    ) -> None:
        self._app = app
        self._guard = guard
        self._shared_paths = shared_paths

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def safely(status: str, headers: Headers, exc_info: Any = None) -> Callable[..., Any]:
            path = environ.get("PATH_INFO", "")
            named = {name for name, _ in headers}
            extra = [header for header in _SAFE if header[0] not in named]
            if path in self._shared_paths:
                extra += self._guard.headers(environ)
            static = path.startswith("/static/")
            if static:
                extra += _STATIC  # or a page would be told of CORS, not of what is missing
            may_be_stored = static and status[:3] in ("200", "206", "304")
            if not may_be_stored and "Cache-Control" not in named:
                extra.append(_NOT_STORED)
            return start_response(status, headers + extra, exc_info)

        return self._app(environ, safely)
