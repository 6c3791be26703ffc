"""The way to the provider, and what is believed of the browser that comes back."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import oidc_kit as kit
import pytest
from werkzeug.datastructures import MultiDict

from embedjwt.errors import EmbedJWTError
from embedjwt.oidc.authorization import (
    LIFE,
    AuthorizationDenied,
    authorization_code,
    authorization_url,
)
from embedjwt.oidc.provider import Metadata

ISSUER = "https://idp.example.com"
METADATA = Metadata(ISSUER, f"{ISSUER}/authorize", f"{ISSUER}/token")
ANNOUNCING = Metadata(
    ISSUER, f"{ISSUER}/authorize", f"{ISSUER}/token", iss_parameter_supported=True
)
PLAIN = Metadata("", f"{ISSUER}/authorize", f"{ISSUER}/token")


def asked(url: str) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_what_is_asked_for():
    attempt = kit.attempt()
    url = authorization_url(kit.provider_of(ISSUER), METADATA, attempt)
    assert url.startswith(f"{ISSUER}/authorize?")
    digest = hashlib.sha256(attempt.code_verifier.encode()).digest()
    assert asked(url) == {
        "response_type": "code",
        "client_id": kit.CLIENT,
        "redirect_uri": kit.CALLBACK,
        "scope": "openid email",
        "state": attempt.state,
        "nonce": attempt.nonce,
        "prompt": "none",
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize(
    ("changes", "prompt", "missing"),
    [
        ({"scopes": ()}, "none", {"scope", "nonce"}),
        ({"scopes": ("user:email",)}, "none", {"nonce"}),
        ({"issuer": None}, "none", {"nonce"}),
        ({"use_pkce": False}, "none", {"code_challenge", "code_challenge_method"}),
        ({}, "", {"prompt"}),
    ],
)
def test_what_is_left_out(changes, prompt, missing):
    attempt = kit.attempt(prompt=prompt)
    everything = asked(authorization_url(kit.provider_of(ISSUER), METADATA, kit.attempt()))
    provider = kit.provider_of(**{"issuer": ISSUER, **changes})
    assert set(everything) - set(asked(authorization_url(provider, METADATA, attempt))) == missing


def test_the_endpoints_own_query_stays_and_never_doubles_ours():
    metadata = Metadata(
        ISSUER, f"{ISSUER}/authorize?audience=a%20b&state=theirs&hd=&prompt#top", f"{ISSUER}/token"
    )
    attempt = kit.attempt()
    url = authorization_url(kit.provider_of(ISSUER), metadata, attempt)
    parameters = asked(url)
    assert (parameters["audience"], parameters["hd"]) == ("a b", "")
    assert parameters["state"] == attempt.state
    assert parameters["prompt"] == "none"
    assert "#" not in url


def test_nobody_can_guess_an_attempt():
    attempts = [kit.attempt() for _ in range(20)]
    for secret in ("state", "nonce", "code_verifier"):
        values = {getattr(attempt, secret) for attempt in attempts}
        assert len(values) == 20
        assert all(re.fullmatch(r"[A-Za-z0-9._~-]{43,}", value) for value in values)
        assert not any(getattr(attempt, secret) in repr(attempt) for attempt in attempts)
    assert {len(attempt.code_verifier) for attempt in attempts} == {128}
    assert {attempt.expires_at for attempt in attempts} == {kit.NOW + LIFE}


ATTEMPT = kit.attempt()
STATE = [ATTEMPT.state]


@pytest.mark.parametrize(
    ("metadata", "params"),
    [
        (METADATA, {"state": STATE, "code": ["c0de"]}),
        (METADATA, {"state": STATE, "code": ["c0de"], "iss": [ISSUER]}),
        (METADATA, {"state": STATE, "code": ["c0de"], "iss": [""], "error": [""]}),
        (METADATA, {"state": STATE, "code": ["c0de"], "session_state": ["x"]}),
        (ANNOUNCING, {"state": STATE, "code": ["c0de"], "iss": [ISSUER]}),
        (PLAIN, {"state": STATE, "code": ["c0de"], "iss": ["https://github.com"]}),
        (METADATA, MultiDict([("state", ATTEMPT.state), ("code", "c0de")])),
    ],
)
def test_the_code_of_an_answer(metadata, params):
    assert authorization_code(ATTEMPT, metadata, params) == "c0de"


HOSTILE: dict[str, tuple[Metadata, dict[str, list[str]], str]] = {
    "nothing": (METADATA, {}, "state_mismatch"),
    "no-state": (METADATA, {"code": ["c"]}, "state_mismatch"),
    "empty-state": (METADATA, {"code": ["c"], "state": [""]}, "state_mismatch"),
    "wrong-state": (METADATA, {"code": ["c"], "state": ["other"]}, "state_mismatch"),
    "longer-state": (METADATA, {"code": ["c"], "state": [ATTEMPT.state + "x"]}, "state_mismatch"),
    "state-not-ascii": (METADATA, {"code": ["c"], "state": ["é"]}, "state_mismatch"),
    "state-twice": (METADATA, {"code": ["c"], "state": STATE * 2}, "state_mismatch"),
    "state-twice-differing": (METADATA, {"code": ["c"], "state": [*STATE, "x"]}, "state_mismatch"),
    "error-without-state": (METADATA, {"error": ["login_required"]}, "state_mismatch"),
    "error-with-wrong-state": (
        METADATA,
        {"error": ["access_denied"], "state": ["other"]},
        "state_mismatch",
    ),
    "code-twice": (
        METADATA,
        {"code": ["a", "b"], "state": STATE},
        "authorization_response_invalid",
    ),
    "iss-twice": (
        METADATA,
        {"code": ["c"], "state": STATE, "iss": [ISSUER, ISSUER]},
        "authorization_response_invalid",
    ),
    "error-twice": (
        METADATA,
        {"error": ["a", "b"], "state": STATE},
        "authorization_response_invalid",
    ),
    "neither-code-nor-error": (METADATA, {"state": STATE}, "authorization_response_invalid"),
    "empty-code": (METADATA, {"state": STATE, "code": [""]}, "authorization_response_invalid"),
    "another-issuer": (
        METADATA,
        {"code": ["c"], "state": STATE, "iss": ["https://evil.example.com"]},
        "issuer_mismatch",
    ),
    "issuer-with-slash": (
        METADATA,
        {"code": ["c"], "state": STATE, "iss": [ISSUER + "/"]},
        "issuer_mismatch",
    ),
    "announced-issuer-missing": (
        ANNOUNCING,
        {"code": ["c"], "state": STATE},
        "issuer_mismatch",
    ),
    "announced-issuer-empty": (
        ANNOUNCING,
        {"code": ["c"], "state": STATE, "iss": [""]},
        "issuer_mismatch",
    ),
    "error-of-another-issuer": (
        METADATA,
        {"error": ["login_required"], "state": STATE, "iss": ["https://evil.example.com"]},
        "issuer_mismatch",
    ),
}


@pytest.mark.parametrize(("metadata", "params", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_answers_that_are_not_believed(metadata, params, code):
    with pytest.raises(EmbedJWTError) as refused:
        authorization_code(ATTEMPT, metadata, params)
    assert (refused.value.code, refused.value.status) == (code, 400)
    assert not isinstance(refused.value, AuthorizationDenied)
    assert ATTEMPT.state not in refused.value.diagnostics()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("login_required", "login_required"),
        ("interaction_required", "login_required"),
        ("consent_required", "login_required"),
        ("account_selection_required", "login_required"),
        ("access_denied", "access_denied"),
        ("server_error", "authorization_failed"),
        ("invalid_scope", "authorization_failed"),
    ],
)
def test_what_a_provider_says_instead_of_a_code(error, code):
    params: dict[str, Any] = {"state": STATE, "error": [error], "code": ["ignored"]}
    with pytest.raises(AuthorizationDenied) as denied:
        authorization_code(ATTEMPT, METADATA, params)
    assert (denied.value.code, denied.value.error, denied.value.status) == (code, error, 401)
    assert error in denied.value.hint


def test_an_error_may_come_without_the_announced_issuer():
    """canaille sends it so; a code beside it is worth nothing."""
    params = {"state": STATE, "error": ["login_required"], "code": ["c0de"]}
    with pytest.raises(AuthorizationDenied):
        authorization_code(ATTEMPT, ANNOUNCING, params)


def test_an_error_in_any_form_is_harmless():
    params = {
        "state": STATE,
        "error": ["<script>\r\nSet-Cookie: x"],
        "error_description": ["AADSTS50105:\r\n\x1b[2J" + "x" * 1000],
    }
    with pytest.raises(AuthorizationDenied) as denied:
        authorization_code(ATTEMPT, METADATA, params)
    assert denied.value.error == "unknown"
    assert denied.value.hint.startswith("the provider answered unknown: AADSTS50105:")
    assert denied.value.hint.isprintable()
    assert len(denied.value.hint) < 300
    assert "AADSTS" not in denied.value.detail
