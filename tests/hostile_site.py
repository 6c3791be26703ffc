"""embedjwt in this process, at a stand-in of a provider, and somebody's browser before it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
from flask import Flask
from flask.testing import FlaskClient
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from embedjwt.config import Settings
from embedjwt.keys.build import key_store, operator
from embedjwt.service import build_service
from embedjwt.sources import build_sources
from embedjwt.web import build_app
from hostile_provider import CLIENT, SECRET, StandIn
from loopback_server import running_server
from tests_support import FakeClock

ISSUER = "https://embed.example.com"
HOST = "https://app.example.com"
"""The host application's origin, as in ``tests_support.MINIMAL``."""

DASHBOARD = f"{HOST}/dashboard"
SESSION = "__Host-embedjwt_session"
ATTEMPT = "__Host-embedjwt_login_"


def source(name: str, issuer: str, **keys: Any) -> dict[str, Any]:
    """A ``[[source]]`` that waits for longer than a busy machine ever needs."""
    named = {"name": name, "issuer": issuer, "client_id": CLIENT, "client_secret": SECRET}
    return {"type": "oidc", "timeout": "10s", **named, **keys}


@dataclass
class Site:
    """The service, its provider, and everything that was said and logged meanwhile."""

    app: Flask
    clock: FakeClock
    monotonic: FakeClock
    provider: StandIn
    log: list[Any]

    def browser(self) -> Browser:
        return Browser(self.app)

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.monotonic.now += seconds

    def paths(self) -> list[str]:
        """What the provider was asked so far."""
        return self.provider.server.paths()

    def assert_nothing_gained(self, browser: Browser, answer: TestResponse) -> None:
        """Neither a session, nor a token, nor a secret, of whoever is before that browser."""
        assert not new_cookies(answer, SESSION)
        refusal = browser.token()
        assert refusal.status_code in (401, 403)
        self.assert_nothing_told(answer, refusal)

    def assert_nothing_told(self, *answers: TestResponse) -> None:
        said = everything_said(answers, self.log)
        told = [secret for secret in self.provider.secrets if secret in said]
        assert not told, said


@contextmanager
def hostile_site(
    make_settings: Callable[..., Settings], clock: FakeClock, *sources: Any, **tables: Any
) -> Iterator[Site]:
    """``sources`` are more tables than the stand-in's own, ``tables`` replace others."""
    monotonic = FakeClock(1000.0)
    with running_server() as server, capture_logs() as log:
        provider = StandIn(server, clock)
        more = tables.pop("own", {})
        settings = make_settings(source=[source("idp", server.url, **more), *sources], **tables)
        settings.directory.chmod(0o700)
        operator(settings, key_store(settings), "test", clock).init()
        chain = build_sources(settings, monotonic=monotonic, clock=clock)
        app = build_app(build_service(settings, clock), chain)
        yield Site(app, clock, monotonic, provider, log)


@dataclass
class Browser:
    """One browser, which keeps cookies and sends what it is told to."""

    app: Flask
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.app.test_client()

    def get(self, path: str, query: Any = None, **headers: str) -> TestResponse:
        return self._open("GET", path, headers, query_string=query)

    def get_page(self, path: str, query: Any = None, **headers: str) -> TestResponse:
        """As a navigation, which names HTML."""
        return self.get(path, query, Accept="text/html,*/*;q=0.8", **headers)

    def post(self, path: str, form: Any = None, **headers: str) -> TestResponse:
        return self._open("POST", path, headers, data=form)

    def start(self, **query: str) -> TestResponse:
        """Silently to the provider, and back to a page here, which tells what went wrong."""
        return self.get("/session/login", {"prompt": "none"} | query)

    def callback(self, params: Any, path: str = "/session/callback") -> TestResponse:
        return self.get(path, params)

    def log_in(self, provider: StandIn, sub: str = "jane", **claims: Any) -> TestResponse:
        """All the way; the provider takes the person for ``sub``."""
        location = self.start().headers["Location"]
        return self.callback(provider.authorize(location, sub, **claims))

    def token(self) -> TestResponse:
        """What the host page's script asks for."""
        return self.client.post(
            "/v1/embed-token", json={}, headers={"Origin": HOST}, base_url=ISSUER
        )

    def person(self) -> str | None:
        """Whom the token that this browser gets is for."""
        answer = self.token()
        if answer.status_code != 200:
            return None
        claims = jwt.decode(answer.get_json()["token"], options={"verify_signature": False})
        return str(claims["sub"])

    def cookies(self) -> dict[str, str]:
        return {cookie.key: cookie.value for cookie in self.client._cookies.values()}

    def set_cookie(self, name: str, value: str) -> None:
        self.client.set_cookie(name, value, domain="embed.example.com")

    def attempt(self) -> tuple[str, str]:
        """Name and value of the cookie of the one login on its way."""
        ((name, value),) = [item for item in self.cookies().items() if item[0].startswith(ATTEMPT)]
        return name, value

    def _open(
        self, method: str, path: str, headers: Mapping[str, str], **what: Any
    ) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.open(path, method=method, headers=named, base_url=ISSUER, **what)


def query_of(answer: TestResponse) -> dict[str, str]:
    """The query of the address that an answer leads to."""
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query, keep_blank_values=True))


def is_interactive(answer: TestResponse) -> bool:
    """Whether it leads to a provider's pages, which may ask the person for something."""
    asked = parse_qs(urlsplit(answer.headers.get("Location", "")).query)
    return "code_challenge" in asked and asked.get("prompt") != ["none"]


def new_cookies(answer: TestResponse, prefix: str) -> dict[str, str]:
    """The cookies that an answer gives, and not those that it takes away."""
    given = [line.split(";")[0].split("=", 1) for line in answer.headers.getlist("Set-Cookie")]
    return {name: value for name, value in given if name.startswith(prefix) and value}


def everything_said(answers: Iterable[TestResponse], log: list[Any]) -> str:
    """Answers with their headers, and the log with its tracebacks, as one text."""
    said = [f"{answer.headers} {answer.get_data(as_text=True)}" for answer in answers]
    for event in log:
        error = event.get("exc_info")
        if isinstance(error, BaseException):
            said += traceback.format_exception(error)
    return "\n".join([*said, repr(log)])
