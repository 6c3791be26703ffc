"""``/gateway/auth``: who passes, with what, and who does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jwt
import pytest
from flask import Flask
from structlog.testing import capture_logs

from gateway_visitor import AS_SCRIPT, BEHIND_GATEWAY, COOKIE, GRAFANA, PANEL, Visitor
from tests_support import MINIMAL, FakeClock

MakeApp = Callable[..., Flask]
Bearer = Callable[..., dict[str, str]]


def claims_of(answer: Any) -> dict[str, Any]:
    return jwt.decode(answer.headers["X-JWT-Assertion"], options={"verify_signature": False})


@pytest.fixture
def visitor(make_app: MakeApp) -> Visitor:
    return Visitor(make_app(**BEHIND_GATEWAY))


@pytest.fixture
def signed_in(visitor: Visitor, bearer: Bearer) -> Visitor:
    assert visitor.open(bearer()).status_code == 200
    return visitor


def test_with_the_cookie_it_passes_with_a_token(signed_in: Visitor) -> None:
    for _ in range(2):  # found out, and remembered
        answer = signed_in.ask()
        assert (answer.status_code, answer.data) == (200, b"")
        assert answer.headers["Cache-Control"] == "no-store"
        assert claims_of(answer)["email"] == "jane@example.com"
        assert claims_of(answer)["aud"] == GRAFANA


def test_without_a_session_it_does_not(visitor: Visitor) -> None:
    answer = visitor.ask(**AS_SCRIPT)
    assert (answer.status_code, answer.json["code"]) == (401, "login_required")
    assert "X-JWT-Assertion" not in answer.headers


def test_a_source_answers_here_as_everywhere(visitor: Visitor, bearer: Bearer) -> None:
    answer = visitor.ask(**bearer(email="bob@example.com"))
    assert claims_of(answer)["email"] == "bob@example.com"


def test_who_is_signed_in_by_now_comes_before_the_cookie(
    signed_in: Visitor, bearer: Bearer
) -> None:
    signed_in.ask()
    assert claims_of(signed_in.ask(**bearer(email="bob@example.com")))["email"] == "bob@example.com"
    assert claims_of(signed_in.ask())["email"] == "jane@example.com"


def test_a_source_that_refuses_is_not_passed_over_for_the_cookie(signed_in: Visitor) -> None:
    signed_in.ask()
    assert signed_in.ask(Authorization="Bearer a.b.c").json["code"] == "token_malformed"


def test_one_token_for_as_long_as_it_is_fresh(signed_in: Visitor, clock: FakeClock) -> None:
    first = signed_in.ask().headers["X-JWT-Assertion"]
    clock.now += 149
    assert signed_in.ask().headers["X-JWT-Assertion"] == first
    clock.now += 2
    second = signed_in.ask()
    assert second.headers["X-JWT-Assertion"] != first
    assert claims_of(second)["iat"] == int(clock())
    clock.now -= 100  # the clock steps back: verifiers would refuse what is of the future
    assert claims_of(signed_in.ask())["iat"] == int(clock())


def test_it_ends_with_the_upstream_session(visitor: Visitor, bearer: Bearer, clock: FakeClock):
    visitor.open(bearer(exp=int(clock()) + 600))
    visitor.ask()
    clock.now += 500
    assert claims_of(visitor.ask())["exp"] == int(clock()) + 100
    clock.now += 99
    assert visitor.ask().json["code"] in ("session_expired", "login_required")
    clock.now += 2
    assert visitor.ask().json["code"] == "login_required"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"X_Forwarded_Host": "elsewhere.example.com"}, 403, "grafana_unknown"),
        ({"X_Forwarded_Host": "grafana.example.com.evil.test"}, 403, "grafana_unknown"),
        ({"X_Forwarded_Host": "grafana.example.com:8443"}, 403, "grafana_unknown"),
        ({"X_Forwarded_Host": ""}, 400, "forwarded_invalid"),
        ({"X_Original_Method": ""}, 400, "forwarded_invalid"),
        ({"X_Original_URI": ""}, 400, "forwarded_invalid"),
        ({"X_Original_URI": "d-solo/cpu/_"}, 403, "grafana_unknown"),
        ({"X_Original_URI": "https://grafana.example.com/d-solo/cpu/_"}, 403, "grafana_unknown"),
        ({"X_Original_URI": "/d-solo/../admin"}, 400, "path_not_normal"),
        ({"X_Original_URI": "/d-solo/%252e%252e/admin"}, 400, "path_not_normal"),
        ({"X_Original_URI": "/d-solo//cpu"}, 400, "path_not_normal"),
        ({"X_Original_URI": "/admin"}, 403, "path_not_allowed"),
        ({"X_Original_URI": "/api/admin/settings"}, 403, "path_not_allowed"),
        ({"X_Original_URI": "/d/cpu/_"}, 403, "path_not_allowed"),
        ({"X_Original_Method": "DELETE", "Origin": GRAFANA}, 403, "path_not_allowed"),
        ({"X_Original_Method": "get", "Origin": GRAFANA}, 403, "path_not_allowed"),
        ({"X_Original_URI": f"{PANEL}&auth_token=x"}, 403, "token_in_url"),
        ({"X_Original_URI": f"{PANEL}&auth%5Ftoken=x"}, 403, "token_in_url"),
        ({"X_Original_URI": "/login"}, 403, "grafana_login"),
        # the names of other proxies are nothing
        ({"X_Forwarded_Uri": "/admin"}, 200, None),
        ({"X_Forwarded_Method": "DELETE"}, 200, None),
        ({"X_JWT_Assertion": "eyJ"}, 200, None),
        ({"X_Forwarded_Host": "GRAFANA.example.com:443"}, 200, None),
    ],
)
def test_what_the_proxy_says_of_it(
    signed_in: Visitor, headers: dict[str, str], status: int, code: str | None
) -> None:
    for _ in range(2):  # before anything is remembered, and with a remembered decision
        answer = signed_in.ask(**AS_SCRIPT, **headers)
        assert answer.status_code == status
        assert (answer.json["code"] if code else None) == code
        assert ("X-JWT-Assertion" in answer.headers) is (code is None)
        signed_in.ask()


@pytest.mark.parametrize(
    ("uri", "method", "headers", "passes"),
    [
        ("/api/ds/query", "POST", {"Origin": GRAFANA}, True),
        ("/api/ds/query", "POST", {}, False),
        ("/api/ds/query", "POST", {"Origin": "null"}, False),
        ("/api/ds/query", "POST", {"Origin": "https://app.example.com"}, False),
        ("/api/ds/query", "POST", {"Origin": "https://evil.example"}, False),
        ("/api/ds/query", "POST", {"Origin": f"{GRAFANA}.evil.example"}, False),
        ("/api/live/ws", "GET", {"Origin": GRAFANA}, True),
        ("/api/live/ws", "GET", {"Origin": "https://evil.example"}, False),
        ("/api/live/ws", "GET", {}, False),
        (PANEL, "GET", {"Origin": "https://evil.example"}, True),
        (PANEL, "GET", {"Origin": "https://evil.example", "Upgrade": "websocket"}, False),
        (PANEL, "HEAD", {}, True),
    ],
)
def test_other_sites_pages_cannot_act_for_a_person(
    signed_in: Visitor, uri: str, method: str, headers: dict[str, str], passes: bool
) -> None:
    for _ in range(2):
        answer = signed_in.ask(uri, method, **AS_SCRIPT, **headers)
        assert answer.status_code == (200 if passes else 403)
        assert passes or answer.json["code"] == "origin_not_allowed"
        signed_in.ask()


def test_a_bearer_needs_no_origin_but_no_other_either(visitor: Visitor, bearer: Bearer) -> None:
    assert visitor.ask("/api/ds/query", "POST", **bearer()).status_code == 200
    answer = visitor.ask("/api/ds/query", "POST", **bearer(), Origin="https://evil.example")
    assert answer.json["code"] == "origin_not_allowed"


def test_only_the_proxy_may_ask(make_app: MakeApp, bearer: Bearer) -> None:
    web = {**BEHIND_GATEWAY["web"], "trusted_proxies": ["192.0.2.7"]}
    visitor = Visitor(make_app(**{**BEHIND_GATEWAY, "web": web}))
    answer = visitor.ask(**AS_SCRIPT, **bearer())
    assert (answer.status_code, answer.json["code"]) == (403, "peer_not_trusted")


@pytest.mark.parametrize("trusted", [False, True])
def test_identity_headers_come_from_the_browser_here(make_app: MakeApp, trusted: bool) -> None:
    """The proxy in front of Grafana is a trusted peer, and passes on whatever a browser sends."""
    source = {"type": "proxy", "preset": "oauth2-proxy"}
    gateway = {"proxy": "nginx", "trust_identity_headers": trusted}
    tables = {"source": [*MINIMAL["source"], source], "gateway": gateway}
    visitor = Visitor(make_app(**{**BEHIND_GATEWAY, **tables}))
    forged = {"X-Auth-Request-User": "u9", "X-Auth-Request-Email": "admin@example.com"}
    assert visitor.ask(**AS_SCRIPT, **forged).status_code == (200 if trusted else 401)
    assert visitor.open(forged).status_code == (200 if trusted else 401)


def test_changed_cookies_are_refused(signed_in: Visitor) -> None:
    signed_in.ask()
    kept = signed_in.cookie
    for cookie in (
        f"{kept}x",
        f"{COOKIE}=",
        kept.replace(".", "", 1),
        f"{kept}; {COOKIE}=other.x.y",
    ):
        signed_in.cookie = cookie
        assert signed_in.ask(**AS_SCRIPT).status_code == 401
    signed_in.cookie = f"theme=dark; {kept}; grafana_session=stale"
    assert signed_in.ask().status_code == 200


def test_one_session_has_one_cookie(signed_in: Visitor) -> None:
    """base64 passes over other characters, and over bits that are to spare at its end."""
    kept = signed_in.cookie
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = kept[:-1] + last[last.index(kept[-1]) + 1]
    for cookie in (spare, f"{kept}=", f"{kept}!", f"{kept[:-5]}~{kept[-5:]}", f"{kept}\xa0"):
        signed_in.cookie = cookie
        assert signed_in.ask(**AS_SCRIPT).status_code == 401
    signed_in.cookie = f"{kept}; {kept}"
    assert signed_in.ask().status_code == 200


def test_the_cookie_of_a_login_is_not_the_gateways(signed_in: Visitor) -> None:
    signed_in.cookie = signed_in.cookie.replace("embedjwt_gateway", "embedjwt_session")
    assert signed_in.ask(**AS_SCRIPT).status_code == 401


def test_each_grafana_has_its_own_session_and_token(make_app: MakeApp, bearer: Bearer) -> None:
    grafana = [
        {"url": GRAFANA, "mode": "gateway"},
        {"name": "two", "url": "https://two.example.com/grafana", "mode": "gateway"},
        {"name": "three", "url": "https://three.example.com"},
    ]
    app = make_app(**{**BEHIND_GATEWAY, "grafana": grafana})
    one, two = Visitor(app), Visitor(app, "two.example.com")
    one.open(bearer())
    two.cookie = one.cookie
    assert two.ask("/grafana/d-solo/cpu/_", **AS_SCRIPT).status_code == 401
    two.open(bearer())
    answer = two.ask("/grafana/d-solo/cpu/_")
    assert claims_of(answer)["aud"] == "https://two.example.com/grafana"
    for uri in ("/d-solo/cpu/_", "/grafana2/d-solo/cpu/_", "/gra%66ana/d-solo/cpu/_"):
        assert two.ask(uri, **AS_SCRIPT).json["code"] == "grafana_unknown"
    three = Visitor(app, "three.example.com")
    assert three.ask(**AS_SCRIPT, **bearer()).json["code"] == "grafana_unknown"


def test_roles_decide_what_is_open(make_app: MakeApp, bearer: Bearer) -> None:
    visitor = Visitor(make_app(**BEHIND_GATEWAY, mapping={"role_attribute_path": "role"}))
    for role, status in (("Viewer", 403), ("None", 403), ("Editor", 200), ("Admin", 200)):
        assert visitor.ask("/dashboards", **AS_SCRIPT, **bearer(role=role)).status_code == status


def test_rules_by_host_app_hold_for_who_came_from_there(make_app: MakeApp, bearer: Bearer) -> None:
    rules = [{"origins": ["https://app.example.com"], "allow": ["GET /d-solo/**"]}]
    tables = {**BEHIND_GATEWAY, "gateway": {"proxy": "nginx", "rule": rules}}
    visitor = Visitor(make_app(**tables))
    assert visitor.ask(**AS_SCRIPT, **bearer()).status_code == 403
    visitor.open(bearer())
    assert visitor.ask().status_code == 200


def test_a_dry_run_says_what_it_would_refuse(make_app: MakeApp, bearer: Bearer) -> None:
    tables = {**BEHIND_GATEWAY, "gateway": {"proxy": "nginx", "rule_mode": "log"}}
    visitor = Visitor(make_app(**tables))
    visitor.open(bearer())
    with capture_logs() as logs:
        assert visitor.ask("/admin/users?q=secret").status_code == 200
        assert visitor.ask("/d-solo/../admin", **AS_SCRIPT).status_code == 400
    (told,) = [line for line in logs if line["event"] == "path_rule_would_refuse"]
    assert (told["method"], told["path"], told["grafana"]) == ("GET", "/admin/users", "default")


def test_without_reuse_every_request_gets_its_own_token(make_app: MakeApp, bearer: Bearer) -> None:
    visitor = Visitor(make_app(**BEHIND_GATEWAY, token={"reuse": False}))
    visitor.open(bearer())
    tokens = {visitor.ask().headers["X-JWT-Assertion"] for _ in range(3)}
    assert len(tokens) == 3


@pytest.mark.parametrize(
    "tables", [{"gateway": {}}, {"grafana": [{"url": GRAFANA}]}], ids=["no proxy", "no target"]
)
def test_off_unless_it_is_configured(make_app: MakeApp, tables: dict[str, Any]) -> None:
    client = make_app(**{**BEHIND_GATEWAY, **tables}).test_client()
    for path in ("/gateway/auth", "/gateway/denied", "/gateway/session", "/gateway/enter"):
        assert client.get(path).status_code == 404
