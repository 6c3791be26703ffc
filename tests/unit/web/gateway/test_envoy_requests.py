"""The requests of Envoy's ``ext_authz`` filter with an HTTP service, replayed.

No Envoy runs here; this is its documented form: the original method; ``path_prefix`` before
the original path and query; Host, Method, Path, Content-Length (0: no body is sent) and
Authorization always, other headers where ``allowed_headers`` names them. Only 200 allows.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import jwt
import pytest
from flask import Flask
from werkzeug.test import run_wsgi_app

from embedjwt.web.asgi import make_environ
from tests_support import FakeClock

MakeApp = Callable[..., Flask]
Bearer = Callable[..., dict[str, str]]
Headers = dict[str, str]

ENVOY = "127.0.0.1"
HOST = "grafana.example.com"
APP = "https://app.example.com"
PANEL = "/d-solo/abc/a-panel?orgId=1&panelId=3"
SCRIPT = {
    "accept": "application/json",
    "origin": f"https://{HOST}",
    "sec-fetch-site": "same-origin",
    "sec-fetch-mode": "cors",
}
FRAME = {
    "accept": "text/html,*/*;q=0.8",
    "sec-fetch-site": "same-site",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "iframe",
}


class Envoy:
    """Asks embedjwt as the filter does, through the same step from ASGI as in production."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.cookie = ""

    def authorize(
        self, method: str, target: str, headers: Headers, *, host: str = HOST, peer: str = ENVOY
    ) -> tuple[int, Headers, bytes]:
        sent = {"host": host, "content-length": "0", **headers}
        if self.cookie:
            sent["cookie"] = self.cookie
        return self.request(method, f"/gateway/auth{target}", sent, peer=peer)

    def open(self, bearer: Headers) -> None:
        """``/gateway/session`` is routed to embedjwt, past the filter."""
        sent = {"host": HOST, "origin": APP, "content-type": "application/json"}
        sent |= {"x-forwarded-host": HOST, "x-forwarded-proto": "https", "content-length": "2"}
        sent |= {name.lower(): value for name, value in bearer.items()}
        status, headers, body = self.request("POST", "/gateway/session", sent, body=b"{}")
        assert status == 200, body
        self.cookie = headers["set-cookie"].partition(";")[0]

    def request(
        self, method: str, target: str, headers: Headers, *, peer: str = ENVOY, body: bytes = b""
    ) -> tuple[int, Headers, bytes]:
        path, _, query = target.partition("?")
        scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "server": ("127.0.0.1", 8080),
            "client": (peer, 4711),
            "headers": [(n.encode(), v.encode("latin-1")) for n, v in headers.items()],
        }
        environ = make_environ(scope)
        environ["wsgi.input"] = io.BytesIO(body)
        chunks, status, answered = run_wsgi_app(self.app.wsgi_app, environ, buffered=True)
        return int(status[:3]), {n.lower(): v for n, v in answered}, b"".join(chunks)


@pytest.fixture
def envoy(make_app: MakeApp, bearer: Bearer) -> Envoy:
    """Behind which somebody has opened a session."""
    app = make_app(
        gateway={"proxy": "envoy"},
        grafana=[{"url": f"https://{HOST}", "mode": "gateway"}],
        web={"allowed_origins": [APP], "trusted_proxies": [ENVOY]},
    )
    envoy = Envoy(app)
    envoy.open(bearer())
    return envoy


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", PANEL),
        ("HEAD", PANEL),
        ("POST", "/api/ds/query"),
        ("GET", "/api/dashboards/uid/abc"),
        ("GET", "/d-solo/abc/%C3%BCber-uns"),
    ],
)
def test_allowed_is_200_with_the_header_and_nothing_else(
    envoy: Envoy, clock: FakeClock, method: str, target: str
) -> None:
    status, headers, body = envoy.authorize(method, target, SCRIPT)
    assert (status, body) == (200, b"")
    claims = jwt.decode(headers["x-jwt-assertion"], options={"verify_signature": False})
    assert claims["login"] == "jane@example.com"
    assert claims["exp"] > clock.now
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/api/admin/settings", 403, "path_not_allowed"),
        ("DELETE", "/api/dashboards/uid/abc", 403, "path_not_allowed"),
        ("GET", "/", 403, "path_not_allowed"),
        ("GET", "", 400, "forwarded_invalid"),
        ("GET", "/d-solo/..%2f..%2fadmin", 400, "path_not_normal"),
        ("GET", "/public/%2e%2e/api/admin/settings", 400, "path_not_normal"),
        ("GET", "/public/%252e%252e/api/admin/settings", 400, "path_not_normal"),
        ("GET", "//api/ds/query", 400, "path_not_normal"),
        ("GET", f"{PANEL}&auth_token=x", 403, "token_in_url"),
    ],
)
def test_refused_with_a_problem(
    envoy: Envoy, method: str, target: str, status: int, code: str
) -> None:
    answered, headers, body = envoy.authorize(method, target, SCRIPT)
    assert (answered, headers["content-type"]) == (status, "application/problem+json")
    assert f'"{code}"'.encode() in body
    assert "x-jwt-assertion" not in headers


class TestTheRequestItselfIsWhatIsJudged:
    """Envoy sends no forwarded headers of its own making, so none is believed."""

    LIES = (
        ("x-forwarded-uri", PANEL),
        ("x-original-uri", PANEL),
        ("x-original-url", PANEL),
        ("x-forwarded-method", "GET"),
        ("x-original-method", "GET"),
        ("x-envoy-original-path", PANEL),
    )

    @pytest.mark.parametrize(("name", "value"), LIES)
    def test_headers_open_nothing(self, envoy: Envoy, name: str, value: str) -> None:
        for method, target in (("GET", "/admin"), ("DELETE", "/api/dashboards/uid/abc")):
            assert envoy.authorize(method, target, {**SCRIPT, name: value})[0] == 403

    def test_host_is_the_requests_own(self, envoy: Envoy) -> None:
        lie = {**SCRIPT, "x-forwarded-host": HOST}
        status, headers, _ = envoy.authorize("GET", PANEL, lie, host="other.example.com")
        assert status in (400, 403, 404)
        assert "x-jwt-assertion" not in headers

    def test_only_from_envoy(self, envoy: Envoy) -> None:
        status, headers, _ = envoy.authorize("GET", PANEL, SCRIPT, peer="192.0.2.7")
        assert status in (401, 403)
        assert "x-jwt-assertion" not in headers


@pytest.mark.parametrize(
    ("headers", "media_type"),
    [(SCRIPT, "application/problem+json"), (FRAME, "text/html")],
    ids=["script", "frame"],
)
def test_without_a_session(envoy: Envoy, headers: Headers, media_type: str) -> None:
    envoy.cookie = ""
    status, answered, body = envoy.authorize("GET", PANEL, headers)
    assert (status, answered["content-type"].partition(";")[0]) == (401, media_type)
    assert b"login_required" in body


def test_a_token_in_the_address_of_a_frame_is_taken_out(envoy: Envoy) -> None:
    status, headers, _ = envoy.authorize("GET", f"{PANEL}&auth_token=x", FRAME)
    assert (status, headers["location"]) == (302, f"https://{HOST}{PANEL}")


def test_foreign_pages_cannot_write(envoy: Envoy) -> None:
    evil = {**SCRIPT, "origin": "https://evil.example"}
    status, _, body = envoy.authorize("POST", "/api/ds/query", evil)
    assert (status, b"origin_not_allowed" in body) == (403, True)
