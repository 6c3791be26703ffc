"""What a refused request gets: a problem for scripts, a page for people, or the way to a login."""

from __future__ import annotations

import base64
import hashlib
import json
from http import HTTPStatus
from importlib import resources
from urllib.parse import urlencode

import jinja2
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from embedjwt.config import Settings
from embedjwt.errors import EmbedJWTError, NoSession, SessionRefused
from embedjwt.gateway.forwarded import Forwarded, GatewayRefused
from embedjwt.gateway.gateway import TOKEN_PARAMETER, Gateway
from embedjwt.web.gateway_paths import ENTER
from embedjwt.web.problems import answer_error, problem
from embedjwt.web.session.asked import in_frame, wants_page

_LONGEST = 1500
"""Characters of an address to come back to; longer ones lose their query."""


class Denials:
    """``login``: the path of embedjwt's own login, ``None`` where there is none. ``page`` is what
    people see."""

    def __init__(self, settings: Settings, gateway: Gateway, login: str | None) -> None:
        self._settings = settings
        self._gateway = gateway
        self._login = login
        self.page = StatusPage(settings.web.allowed_origins)

    def answer(self, error: Exception, request: Request, *, by_proxy: bool) -> Response:
        """The answer; ``by_proxy``: to the proxy, which may be unable to hand it on."""
        asked = self._asked(request)
        told = answer_error(error, request, **({} if asked is None else _about(asked)))
        hands_on = self._gateway.hands_on or not by_proxy
        is_read = asked is None or asked.method == "GET"
        if not hands_on or not is_read or not navigates(request):
            return told
        url = None if asked is None else self._way_on(error, request, asked)
        return self.page.of(told) if url is None else found(url)

    def _way_on(self, error: Exception, request: Request, asked: Forwarded) -> str | None:
        if isinstance(error, GatewayRefused) and error.code == "token_in_url":
            return asked.without(TOKEN_PARAMETER)
        signed_out = isinstance(error, NoSession | SessionRefused)
        if signed_out and self._login is not None and not in_frame(request):
            return self._login_url(self._login, asked)
        return None

    def once_more(self, request: Request) -> Response:
        """For a request that was refused and would pass by now."""
        asked = self._asked(request)
        if asked is not None and asked.method == "GET" and navigates(request):
            return found(asked.url)
        answer = problem(
            request,
            HTTPStatus.SERVICE_UNAVAILABLE,
            "try_again",
            "the request was refused a moment ago, and would pass now; send it again",
        )
        answer.headers["Retry-After"] = "1"
        return answer

    def _asked(self, request: Request) -> Forwarded | None:
        try:
            return self._gateway.read(request.environ)
        except EmbedJWTError:
            return None

    def _login_url(self, login: str, asked: Forwarded) -> str:
        issuer = self._settings.issuer
        back = asked.url if len(asked.url) <= _LONGEST else asked.target.url + asked.path
        to = back if len(back) <= _LONGEST else asked.target.url
        enter = f"{issuer}{ENTER}?{urlencode({'to': to})}"
        return f"{issuer}{login}?{urlencode({'next': enter})}"


def _about(asked: Forwarded) -> dict[str, str]:
    """For the log: without the query, which may hold anything."""
    return {"grafana": asked.target.name, "method": asked.method, "asked_path": asked.path[:500]}


class StatusPage:
    """The small page in a panel's place; it tells the host page what has happened.

    All in one document, for on Grafana's host there is no path of ours to load anything from.
    """

    def __init__(self, allowed_origins: tuple[str, ...]) -> None:
        self._origins = allowed_origins
        self._template = _template()
        self._policy = "; ".join(
            (
                "default-src 'none'",
                f"script-src {_hash(_part('status.js'))}",
                f"style-src {_hash(_part('status.css'))}",
                "base-uri 'none'",
                "form-action 'none'",
                f"frame-ancestors {' '.join(allowed_origins) or chr(39) + 'none' + chr(39)}",
            )
        )

    def of(self, told: Response) -> Response:
        """The page for a problem's answer, with its status."""
        problem = json.loads(told.get_data())
        page = self._template.render(
            problem=problem,
            origins=" ".join(self._origins),
            style=_part("status.css"),
            script=_part("status.js"),
        )
        answer = Response(page, status=told.status_code, mimetype="text/html")
        answer.headers["Content-Security-Policy"] = self._policy
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer


def found(url: str) -> Response:
    """A redirect that says nothing about where it came from."""
    response: Response = redirect(url, code=HTTPStatus.FOUND, Response=Response)
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def navigates(request: Request) -> bool:
    """Whether a browser loads a document, and not a script something (Fetch Metadata)."""
    if request.headers.get("Upgrade"):
        return False
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode is not None:
        return mode == "navigate"
    return wants_page(request)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_part("status.html"))


def _part(name: str) -> str:
    return resources.files("embedjwt.web.gateway").joinpath("page", name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
