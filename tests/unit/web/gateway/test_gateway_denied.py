"""What a refused request gets: a problem, a page that tells its parent, or a way on."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from structlog.testing import capture_logs

from gateway_visitor import (
    APP,
    AS_FRAME,
    AS_SCRIPT,
    AS_TAB,
    BEHIND_GATEWAY,
    GRAFANA,
    PANEL,
    Visitor,
)

MakeApp = Callable[..., Flask]
Bearer = Callable[..., dict[str, str]]
OLD_BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def behind(proxy: str) -> dict[str, Any]:
    return {**BEHIND_GATEWAY, "gateway": {"proxy": proxy}}


class Caddy(Visitor):
    """The same behind a proxy that hands answers on, under the names it has for things."""

    def ask(self, uri: str = PANEL, method: str = "GET", **headers: str) -> Any:
        told = {"X_Forwarded_Method": method, "X_Forwarded_Uri": uri}
        return super().ask(uri, method, **{**told, **headers})


@pytest.fixture
def nginx(make_app: MakeApp) -> Visitor:
    return Visitor(make_app(**behind("nginx")))


@pytest.fixture
def caddy(make_app: MakeApp) -> Caddy:
    return Caddy(make_app(**behind("caddy")))


@pytest.fixture(params=["nginx", "caddy"])
def told(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """What the browser is told, by a proxy that asks for it and by one that hands it on."""
    visitor: Visitor = request.getfixturevalue(request.param)
    return visitor.denied if request.param == "nginx" else visitor.ask


@pytest.mark.parametrize("headers", [AS_FRAME, AS_TAB, OLD_BROWSER])
def test_people_see_a_page(told: Callable[..., Any], headers: dict[str, str]) -> None:
    answer = told(**headers)
    assert answer.status_code == 401
    assert answer.mimetype == "text/html"
    assert 'data-code="login_required"' in answer.text
    assert f'data-origins="{APP}"' in answer.text
    assert f"frame-ancestors {APP}" in answer.headers["Content-Security-Policy"]
    assert "X-JWT-Assertion" not in answer.headers


@pytest.mark.parametrize(
    "headers", [AS_SCRIPT, {"Accept": "*/*"}, {**OLD_BROWSER, "Upgrade": "websocket"}, {}]
)
def test_scripts_get_a_problem(told: Callable[..., Any], headers: dict[str, str]) -> None:
    answer = told(**headers)
    assert answer.status_code == 401
    assert answer.mimetype == "application/problem+json"
    assert answer.json["code"] == "login_required"


def test_the_pages_script_and_style_are_the_ones_its_policy_names(nginx: Visitor) -> None:
    answer = nginx.denied(**AS_FRAME)
    policy = answer.headers["Content-Security-Policy"]
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_nginx_is_told_no_more_than_it_can_hand_on(nginx: Visitor) -> None:
    """It makes a 500 of anything but 2xx, 401 and 403."""
    answer = nginx.ask(**AS_FRAME)
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    answer = nginx.ask(f"{PANEL}&auth_token=x", **AS_TAB)
    assert answer.status_code == 403


def test_what_is_open_by_now_is_never_answered_with_a_token(nginx, bearer: Bearer) -> None:
    nginx.open(bearer())
    moved = nginx.denied(**AS_FRAME)
    assert (moved.status_code, moved.headers["Location"]) == (302, f"{GRAFANA}{PANEL}")
    again = nginx.denied("/api/annotations", **AS_SCRIPT)
    assert (again.status_code, again.json["code"]) == (503, "try_again")
    assert again.headers["Retry-After"] == "1"
    posted = nginx.denied("/api/ds/query", "POST", **AS_TAB, Origin=GRAFANA)
    assert posted.status_code == 503  # a redirect would make a GET of it
    for answer in (moved, again, posted):
        assert "X-JWT-Assertion" not in answer.headers


def test_a_proxy_of_another_kind_is_told_what_is_wrong(caddy: Caddy) -> None:
    """nginx asks, and [gateway] proxy says Caddy."""
    with capture_logs() as logs:
        answer = caddy.denied(**AS_SCRIPT)
    assert (answer.status_code, answer.json["code"]) == (400, "forwarded_invalid")
    assert "proxy = 'caddy' wants X-Forwarded-Method" in logs[0]["hint"]
    assert "there are the headers of nginx" in logs[0]["hint"]


def test_a_token_in_an_address_is_taken_out(told: Callable[..., Any]) -> None:
    answer = told("/d-solo/cpu/_?auth%5Ftoken=eyJ&panelId=3&x=%7C&auth_token=b", **AS_TAB)
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"{GRAFANA}/d-solo/cpu/_?panelId=3&x=%7C"
    assert told(f"{PANEL}&auth_token=x", **AS_SCRIPT).json["code"] == "token_in_url"


def test_grafanas_own_login_page_never_shows(nginx: Visitor, bearer: Bearer) -> None:
    nginx.open(bearer())
    answer = nginx.denied("/login", **AS_FRAME)
    assert answer.status_code == 403
    assert 'data-code="grafana_login"' in answer.text


def test_what_a_client_sends_is_not_markup(nginx: Visitor) -> None:
    hostile = "/d-solo/<script>alert(1)</script>"
    answer = nginx.denied(hostile, X_Forwarded_Host="<b>evil</b>", **AS_FRAME)
    assert "<b>evil" not in answer.text
    assert answer.text.count("<script>") == 1
