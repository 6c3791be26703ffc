"""``POST /v1/embed-token``, from the side of a page or a backend that calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from werkzeug.test import TestResponse

from tests_support import FakeClock

PATH = "/v1/embed-token"
ORIGIN = "https://app.example.com"

Bearer = Callable[..., dict[str, str]]
MakeApp = Callable[..., Flask]


def decode(app: Flask, token: str, now: float) -> dict[str, Any]:
    keys = jwt.PyJWKSet.from_json(app.test_client().get("/.well-known/jwks.json").text)
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=["ES256"],
        audience="https://grafana.example.com",
        issuer="https://embed.example.com",
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )
    assert claims["nbf"] <= now < claims["exp"]
    return claims


class TestAnswer:
    def test_fields_of_the_contract(
        self, make_app: MakeApp, bearer: Bearer, clock: FakeClock
    ) -> None:
        app = make_app()
        answer = app.test_client().post(PATH, headers=bearer())
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        body = answer.get_json()
        assert body.keys() == {
            "token",
            "token_type",
            "expires_in",
            "expires_at",
            "server_time",
            "refresh_in",
            "grafana",
        }
        assert body["token_type"] == "JWT"
        assert body["server_time"] == clock.now
        assert body["expires_in"] == 300
        assert body["expires_at"] == clock.now + 300
        assert body["refresh_in"] == 240
        assert body["grafana"] == {
            "name": "default",
            "url": "https://grafana.example.com",
            "header_name": "X-JWT-Assertion",
            "mode": "url",
        }
        claims = decode(app, body["token"], clock.now)
        assert claims["sub"] == "u1"
        assert claims["login"] == claims["email"] == "jane@example.com"
        assert claims["role"] == "Viewer"

    def test_never_outlives_the_upstream_session(
        self, make_app: MakeApp, bearer: Bearer, clock: FakeClock
    ) -> None:
        headers = bearer(exp=int(clock.now) + 42)
        assert make_app().test_client().post(PATH, headers=headers).get_json()["expires_in"] == 42

    def test_panel_url_in_url_mode_ends_with_the_token(
        self, make_app: MakeApp, bearer: Bearer
    ) -> None:
        panel = {"dashboard": "abc", "panel": 3, "from": "now-6h", "vars": {"host": ["a", "b&c"]}}
        answer = make_app().test_client().post(PATH, json={"panel": panel}, headers=bearer())
        url = answer.get_json()["embed_url"]
        assert url.startswith("https://grafana.example.com/d-solo/abc/")
        query = parse_qs(urlsplit(url).query)
        assert query["panelId"] == ["3"]
        assert query["var-host"] == ["a", "b&c"]
        assert url.endswith(f"&auth_token={answer.get_json()['token']}")

    def test_panel_url_in_gateway_mode_has_no_token(
        self, make_app: MakeApp, bearer: Bearer
    ) -> None:
        app = make_app(grafana=[{"url": "https://g.example.com", "mode": "gateway"}])
        panel = {"dashboard": "abc", "panel": 3}
        body = app.test_client().post(PATH, json={"panel": panel}, headers=bearer()).get_json()
        assert "auth_token" not in body["embed_url"]
        assert body["token"] not in body["embed_url"]

    def test_the_named_grafana_is_the_audience(self, make_app: MakeApp, bearer: Bearer) -> None:
        app = make_app(
            grafana=[
                {"name": "one", "url": "https://one.example.com"},
                {"name": "two", "url": "https://two.example.com", "audience": "second", "ttl": 60},
            ]
        )
        body = app.test_client().post(PATH, json={"grafana": "two"}, headers=bearer()).get_json()
        claims = jwt.decode(body["token"], options={"verify_signature": False})
        assert claims["aud"] == "second"
        assert body["expires_in"] == 60
        assert body["grafana"]["name"] == "two"

    def test_a_fresh_token_is_handed_out_again_unless_told_not_to(
        self, make_app: MakeApp, bearer: Bearer, clock: FakeClock
    ) -> None:
        client = make_app().test_client()
        headers = bearer()
        first = client.post(PATH, headers=headers).get_json()
        clock.now += 100
        again = client.post(PATH, headers=headers).get_json()
        assert again["token"] == first["token"]
        assert again["expires_in"] == first["expires_in"] - 100
        clock.now += 60
        assert client.post(PATH, headers=headers).get_json()["token"] != first["token"]


BODIES: list[Any] = [
    pytest.param(b"{", "invalid_request", id="not-json"),
    pytest.param(b"[]", "invalid_request", id="not-an-object"),
    pytest.param(b'{"pannel": {}}', "invalid_request", id="unknown-field"),
    pytest.param(b'{"grafana": "default", "grafana": "b"}', "invalid_request", id="twice"),
    pytest.param(b'{"grafana": 5}', "invalid_request", id="grafana-no-string"),
    pytest.param(b'{"grafana": "other"}', "grafana_unknown", id="grafana-unknown"),
    pytest.param(b'{"panel": {"dashboard": "../x"}}', "invalid_request", id="hostile-uid"),
    pytest.param(b'{"panel": 7}', "invalid_request", id="panel-no-object"),
    pytest.param(b"[" * 30_000, "invalid_request", id="depth-bomb"),
    pytest.param(b'{"panel":' * 5000, "invalid_request", id="object-bomb"),
    pytest.param(b"\xff\xfe", "invalid_request", id="not-utf8"),
]


@pytest.mark.parametrize(("data", "code"), BODIES)
def test_bad_bodies(make_app: MakeApp, bearer: Bearer, data: bytes, code: str) -> None:
    headers = {**bearer(), "Content-Type": "application/json"}
    answer = make_app().test_client().post(PATH, data=data, headers=headers)
    assert answer.status_code == 400
    assert answer.get_json()["code"] == code


def test_an_oversized_body_is_not_read(make_app: MakeApp, bearer: Bearer) -> None:
    headers = {**bearer(), "Content-Type": "application/json"}
    answer = make_app().test_client().post(PATH, data=b" " * 70_000, headers=headers)
    assert answer.status_code == 413
    assert answer.get_json()["code"] == "request_entity_too_large"


class TestRefusals:
    @pytest.mark.parametrize(
        ("admission", "mapping", "status", "code"),
        [
            ({}, {"role_attribute_strict": True}, 403, None),
            ({"allowed_domains": ["other.example"]}, {}, 403, "domain_not_allowed"),
            (
                {"allowed_groups": ["staff"]},
                {"groups_attribute_path": "groups"},
                403,
                "group_not_allowed",
            ),
        ],
        ids=["strict-role", "domain", "group"],
    )
    def test_not_admitted(
        self,
        make_app: MakeApp,
        bearer: Bearer,
        admission: dict[str, Any],
        mapping: dict[str, Any],
        status: int,
        code: str | None,
    ) -> None:
        app = make_app(admission=admission, mapping=mapping)
        answer = app.test_client().post(PATH, headers=bearer())
        assert answer.status_code == status
        assert code in (None, answer.get_json()["code"])
        assert "token" not in answer.get_json()
        assert "jane" not in answer.text

    def test_nobody_signed_in(self, make_app: MakeApp) -> None:
        answer = make_app().test_client().post(PATH)
        assert answer.status_code == 401
        assert answer.mimetype == "application/problem+json"
        assert answer.get_json()["code"] == "login_required"
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="embedjwt"'

    def test_problem_details(self, make_app: MakeApp) -> None:
        trace = "0af7651916cd43dd8448eb211c80319c"
        headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        body = make_app().test_client().post(PATH, headers=headers).get_json()
        assert body.keys() == {"type", "title", "status", "code", "detail", "trace_id"}
        assert body["trace_id"] == trace
        assert body["type"] == "urn:embedjwt:problem:login_required"

    @pytest.mark.parametrize("traceparent", ["", "junk", f"00-{'0' * 32}-b7ad6b7169203331-01"])
    def test_a_new_trace_id_where_none_came(self, make_app: MakeApp, traceparent: str) -> None:
        answer = make_app().test_client().post(PATH, headers={"traceparent": traceparent})
        assert len(answer.get_json()["trace_id"]) == 32
        assert set(answer.get_json()["trace_id"]) != {"0"}

    def test_other_methods_and_paths(self, make_app: MakeApp) -> None:
        client = make_app().test_client()
        wrong = client.get(PATH)
        assert wrong.status_code == 405
        assert "POST" in wrong.headers["Allow"]
        assert client.get("/nothing").get_json()["code"] == "not_found"


class TestCrossOrigin:
    def test_a_page_on_the_list_reads_answers_and_refusals(
        self, make_app: MakeApp, bearer: Bearer
    ) -> None:
        client = make_app().test_client()
        for headers in ({"Origin": ORIGIN}, {"Origin": ORIGIN, **bearer()}):
            answer = client.post(PATH, headers=headers)
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
            assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"
            assert "Origin" in answer.headers["Vary"]

    @pytest.mark.parametrize(
        "origin",
        [
            "https://evil.example.com",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.com",
            "https://APP.example.com/",
            "null",
            f"{ORIGIN}, https://evil.example.com",
        ],
    )
    def test_any_other_page_gets_nothing(
        self, make_app: MakeApp, bearer: Bearer, origin: str
    ) -> None:
        answer = make_app().test_client().post(PATH, headers={"Origin": origin, **bearer()})
        assert answer.status_code == 403
        assert answer.get_json()["code"] == "origin_not_allowed"
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]

    def test_preflight_allows_the_headers_that_sources_read(self, make_app: MakeApp) -> None:
        source = {
            "type": "jwt",
            "header": "X-Upstream",
            "issuer": "https://idp.example.com",
            "audience": ["a"],
        }
        answer = make_app(source=[source]).test_client().options(PATH, headers={"Origin": ORIGIN})
        allowed = answer.headers["Access-Control-Allow-Headers"]
        assert allowed == "authorization, content-type, x-upstream"

    def test_preflight(self, make_app: MakeApp) -> None:
        client = make_app().test_client()
        asked = {"Access-Control-Request-Method": "POST"}
        good = client.options(PATH, headers={"Origin": ORIGIN, **asked})
        assert good.status_code == 204
        assert good.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert good.headers["Access-Control-Allow-Methods"] == "POST"
        assert "content-type" in good.headers["Access-Control-Allow-Headers"]
        bad = client.options(PATH, headers={"Origin": "https://evil.example.com", **asked})
        assert not [name for name in bad.headers if name[0].startswith("Access-Control")]


SECRET = "the host application's secret key"


class TestForgery:
    """A cookie travels by itself, so a request that carries one must prove where it comes from."""

    @pytest.fixture
    def app(self, make_app: MakeApp) -> Flask:
        source = {"type": "cookie", "secret_keys": [SECRET], "claims_path": "user"}
        return make_app(source=[source])

    def post(self, app: Flask, clock: FakeClock, **options: Any) -> TestResponse:
        host = Flask("host")
        host.secret_key = SECRET
        serializer = SecureCookieSessionInterface().get_signing_serializer(host)
        assert serializer is not None
        # itsdangerous stamps with the wall clock; the app must see the same time.
        from time import time

        clock.now = time()
        client = app.test_client()
        client.set_cookie(
            "session", str(serializer.dumps({"user": {"sub": "7", "email": "jane@example.com"}}))
        )
        return client.post(PATH, **options)

    def test_from_a_page_on_the_list(self, app: Flask, clock: FakeClock) -> None:
        answer = self.post(app, clock, json={}, headers={"Origin": ORIGIN})
        assert answer.status_code == 200, answer.text

    @pytest.mark.parametrize(
        ("options", "status", "code"),
        [
            ({"json": {}}, 403, "origin_not_allowed"),
            ({"json": {}, "headers": {"Origin": "null"}}, 403, "origin_not_allowed"),
            (
                {"data": "{}", "content_type": "text/plain", "headers": {"Origin": ORIGIN}},
                415,
                "content_type_unsupported",
            ),
            (
                {"data": {"a": "b"}, "headers": {"Origin": ORIGIN}},
                415,
                "content_type_unsupported",
            ),
            ({"headers": {"Origin": ORIGIN}}, 415, "content_type_unsupported"),
        ],
        ids=["no-origin", "sandboxed-frame", "simple-request", "form", "no-content-type"],
    )
    def test_refused(
        self, app: Flask, clock: FakeClock, options: dict[str, Any], status: int, code: str
    ) -> None:
        answer = self.post(app, clock, **options)
        assert (answer.status_code, answer.get_json()["code"]) == (status, code)


def test_security_headers(make_app: MakeApp, bearer: Bearer) -> None:
    client = make_app().test_client()
    for answer in (client.post(PATH, headers=bearer()), client.get("/healthz"), client.get("/x")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_bug_shows_nothing(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()

    @app.get("/bug")
    def bug() -> str:
        raise ValueError("secret inner thing")

    answer = app.test_client().get("/bug")
    assert answer.status_code == 500
    assert answer.get_json()["code"] == "internal_error"
    assert "secret" not in answer.text
    assert json.loads(answer.text)["trace_id"]
