"""Codes and refresh tokens against tokens, and every way in which that fails."""

from __future__ import annotations

import base64
import time
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import quote_plus

import oidc_kit as kit
import pytest

from embedjwt.errors import SessionRefused, UpstreamUnavailable
from embedjwt.oidc.token_endpoint import GrantRefused, redeem_code, refresh

TOKENS = {
    "token_type": "Bearer",
    "access_token": "ACCESS",
    "id_token": "ID",
    "refresh_token": "REFRESH",
    "expires_in": 3600,
}


@pytest.fixture
def endpoint(server):
    server.answers_json("/token", TOKENS)
    return server


def posted(server) -> list[Any]:
    return [asked for asked in server.asked if asked.method == "POST"]


def style(asked) -> str:
    given = ["InHeader"] if "authorization" in asked.headers else []
    return "+".join(given + (["InParams"] if "client_secret" in asked.form else []))


def test_a_code_is_redeemed(provider, endpoint):
    attempt = kit.attempt()
    tokens = redeem_code(provider, "c0de", attempt)
    assert (tokens.id_token, tokens.access_token, tokens.refresh_token) == (
        "ID",
        "ACCESS",
        "REFRESH",
    )
    assert tokens.expires_in == 3600
    (asked,) = posted(endpoint)
    assert asked.form == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": kit.CALLBACK,
        "code_verifier": attempt.code_verifier,
    }
    credentials = f"{kit.CLIENT}:{quote_plus(kit.SECRET)}"
    expected = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    assert asked.headers["authorization"] == expected
    assert not {"ID", "ACCESS", "REFRESH"} & set(repr(tokens).replace("'", " ").split())


def test_a_session_is_refreshed(provider, endpoint):
    endpoint.answers_json("/token", {"access_token": "NEW", "token_type": "bearer"})
    tokens = refresh(provider, "REFRESH")
    assert (tokens.access_token, tokens.id_token, tokens.refresh_token) == ("NEW", None, None)
    assert tokens.expires_in is None
    (asked,) = posted(endpoint)
    assert asked.form == {"grant_type": "refresh_token", "refresh_token": "REFRESH"}


def test_without_pkce_no_verifier_is_sent(endpoint):
    redeem_code(kit.provider_of(endpoint.url, use_pkce=False), "c0de", kit.attempt())
    assert "code_verifier" not in posted(endpoint)[0].form


def test_a_public_client_names_itself(endpoint):
    redeem_code(kit.provider_of(endpoint.url, client_secret=None), "c0de", kit.attempt())
    (asked,) = posted(endpoint)
    assert asked.form["client_id"] == kit.CLIENT
    assert style(asked) == ""


@pytest.mark.parametrize("auth_style", ["InParams", "InHeader"])
def test_a_fixed_auth_style_is_the_only_one(endpoint, auth_style):
    endpoint.answers_json("/token", {"error": "invalid_client"}, 401)
    provider = kit.provider_of(endpoint.url, auth_style=auth_style)
    with pytest.raises(UpstreamUnavailable) as refused:
        refresh(provider, "REFRESH")
    assert "client_id and client_secret" in refused.value.hint
    assert [style(asked) for asked in posted(endpoint)] == [auth_style]
    if auth_style == "InParams":
        assert posted(endpoint)[0].form["client_secret"] == kit.SECRET


@pytest.mark.parametrize(
    ("methods", "accepted", "tried"),
    [
        (None, "InHeader", ["InHeader", "InHeader"]),
        (None, "InParams", ["InHeader", "InParams", "InParams"]),
        (["client_secret_post"], "InParams", ["InParams", "InParams"]),
        (["client_secret_post"], "InHeader", ["InParams", "InHeader", "InHeader"]),
        (["client_secret_post", "client_secret_basic"], "InHeader", ["InHeader", "InHeader"]),
        (["private_key_jwt"], "InHeader", ["InHeader", "InHeader"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("status", [400, 401])
def test_the_auth_style_is_found_and_remembered(endpoint, methods, accepted, tried, status):
    kit.publish(endpoint, token_endpoint_auth_methods_supported=methods)
    good = endpoint.answers["/token"]
    endpoint.answers_json("/bad", {"error": "invalid_client"}, status)
    bad = endpoint.answers["/bad"]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        (good if style(endpoint.asked[-1]) == accepted else bad)(handler)

    endpoint.answers["/token"] = answer
    provider = kit.provider_of(endpoint.url)
    for _ in range(2):
        assert refresh(provider, "REFRESH").access_token == "ACCESS"
    assert [style(asked) for asked in posted(endpoint)] == tried


def test_an_outage_is_no_answer_about_the_auth_style(endpoint, provider):
    good = endpoint.answers["/token"]
    endpoint.answers_json("/token", {}, 502)
    with pytest.raises(UpstreamUnavailable):
        refresh(provider, "REFRESH")
    endpoint.answers_json("/bad", {"error": "invalid_client"}, 401)
    bad = endpoint.answers["/bad"]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        (good if style(endpoint.asked[-1]) == "InParams" else bad)(handler)

    endpoint.answers["/token"] = answer
    assert refresh(provider, "REFRESH").access_token == "ACCESS"


def test_an_id_token_under_another_name(endpoint):
    endpoint.answers_json("/token", {"access_token": "A", "id_token": "NOT", "identity": "ID"})
    provider = kit.provider_of(endpoint.url, id_token_attribute_name="identity")
    assert redeem_code(provider, "c0de", kit.attempt()).id_token == "ID"


@pytest.mark.parametrize("missing", [{}, {"id_token": None}, {"id_token": ""}], ids=str)
def test_a_login_without_an_id_token_is_refused(provider, endpoint, missing):
    endpoint.answers_json("/token", {"access_token": "A", **missing})
    with pytest.raises(SessionRefused) as refused:
        redeem_code(provider, "c0de", kit.attempt())
    assert refused.value.code == "id_token_missing"


@pytest.mark.parametrize("changes", [{"issuer": None}, {"scopes": ("email",)}], ids=str)
def test_an_id_token_that_cannot_be_believed_is_ignored(endpoint, changes):
    urls = {"auth_url": f"{endpoint.url}/authorize", "token_url": f"{endpoint.url}/token"}
    provider = kit.provider_of(**{"issuer": endpoint.url, **urls, **changes})
    tokens = redeem_code(provider, "c0de", kit.attempt())
    assert (tokens.id_token, tokens.access_token) == (None, "ACCESS")


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (60, 60),
        ("60", 60),
        (59.9, 59),
        (0, 0),
        (-5, 0),
        ("soon", None),
        (True, None),
        (1e300, None),
    ],
)
def test_how_long_an_access_token_lives(provider, endpoint, given, seconds):
    endpoint.answers_json("/token", {**TOKENS, "expires_in": given})
    assert refresh(provider, "REFRESH").expires_in == seconds


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, "invalid_grant"), (403, "invalid_grant"), (200, "bad_verification_code")],
)
def test_a_grant_that_is_refused(provider, endpoint, status, error):
    endpoint.answers_json("/token", {"error": error, "error_description": "SECRET"}, status)
    for ask in (
        lambda: redeem_code(provider, "c0de", kit.attempt()),
        lambda: refresh(provider, "R"),
    ):
        with pytest.raises(GrantRefused) as refused:
            ask()
        assert (refused.value.code, refused.value.status) == ("grant_refused", 401)
        assert "SECRET" not in refused.value.diagnostics()


def slow(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(5)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(50):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def document(document: Any, status: int = 200) -> Any:
    return lambda server: server.answers_json("/token", document, status)


def body(content: bytes, status: int = 200, **headers: str) -> Any:
    return lambda server: server.answers_bytes("/token", content, status, **headers)


def behaviour(answer: Any) -> Any:
    return lambda server: server.answers.update({"/token": answer})


UNUSABLE = {
    "500": document(TOKENS, 500),
    "503-html": body(b"<html>", 503),
    "html": body(b"<html>"),
    "form": body(b"access_token=A&token_type=bearer"),
    "empty": body(b""),
    "list": document([TOKENS]),
    "huge": body(b" " * 2 * 1024 * 1024),
    "duplicate-names": body(b'{"access_token": "A", "access_token": "B"}'),
    "redirect": body(b"", 302, Location="/elsewhere"),
    "redirect-with-tokens": body(b'{"access_token": "A"}', 307, Location="/elsewhere"),
    "201": document(TOKENS, 201),
    "slow": behaviour(slow),
    "dripping": behaviour(dripping),
    "invalid-client": document({"error": "invalid_client"}, 401),
    "401-html": body(b"<html>", 401),
    "unauthorized-client": document({"error": "unauthorized_client"}, 400),
    "error-with-200": document({**TOKENS, "error": "incorrect_client_credentials"}),
    "error-of-another-kind": document({**TOKENS, "error": {"code": 5}}),
    "no-access-token": document({"id_token": "ID"}),
    "access-token-number": document({**TOKENS, "access_token": 5}),
    "access-token-newline": document({**TOKENS, "access_token": "a\r\nX: y"}),
    "id-token-object": document({**TOKENS, "id_token": {}}),
    "refresh-token-list": document({**TOKENS, "refresh_token": ["R"]}),
}


@pytest.mark.parametrize("arrange", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_unusable_answers_are_503(provider, endpoint, arrange):
    arrange(endpoint)
    begun = time.monotonic()
    with pytest.raises(UpstreamUnavailable) as refused:
        redeem_code(provider, "c0de", kit.attempt())
    assert time.monotonic() - begun < 4
    assert f"{endpoint.url}/token: " in refused.value.hint
    for secret in ("c0de", "ACCESS", kit.SECRET):
        assert secret not in refused.value.diagnostics()
    assert "/elsewhere" not in endpoint.paths()
