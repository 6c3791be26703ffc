"""Logout tokens: OpenID Connect Back-Channel Logout 1.0 section 2.6."""

from __future__ import annotations

from typing import Any

import oidc_kit as kit
import pytest

from embedjwt.errors import SessionRefused, UpstreamUnavailable
from embedjwt.oidc.logout_token import EVENT, MAX_AGE, LogoutToken, verify_logout_token


@pytest.fixture
def claims(server):
    """The claims of a good logout token, with changes; ``None`` takes one away."""

    def make(**changes: Any) -> dict[str, Any]:
        base = {
            "iss": server.url,
            "aud": kit.CLIENT,
            "sub": "42",
            "sid": "s1",
            "jti": "j1",
            "iat": kit.NOW - 5,
            "exp": kit.NOW + 120,
            "events": {EVENT: {}},
        }
        return kit.without_none({**base, **changes})

    return make


@pytest.mark.parametrize("header", [{}, {"typ": "logout+jwt"}, {"typ": "JWT"}], ids=str)
def test_a_good_logout_token(provider, claims, header):
    token = verify_logout_token(provider, kit.sign(claims(), **header), kit.NOW)
    assert token == LogoutToken(sub="42", sid="s1", jti="j1", expires_at=kit.NOW + 120 + 60)


@pytest.mark.parametrize(("missing", "sub", "sid"), [("sid", "42", None), ("sub", None, "s1")])
def test_a_person_or_a_session(provider, claims, missing, sub, sid):
    token = verify_logout_token(provider, kit.sign(claims(**{missing: None})), kit.NOW)
    assert (token.sub, token.sid) == (sub, sid)


def test_it_is_remembered_no_longer_than_it_could_be_replayed(provider, claims):
    content = claims(exp=kit.NOW + 86400, iat=kit.NOW)
    token = verify_logout_token(provider, kit.sign(content), kit.NOW)
    assert token.expires_at == kit.NOW + MAX_AGE + 60
    assert verify_logout_token(provider, kit.sign(content), token.expires_at - 1) == token
    with pytest.raises(SessionRefused):
        verify_logout_token(provider, kit.sign(content), token.expires_at)


HOSTILE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "id-token": ({"events": None, "nonce": "n"}, {}, "claim_missing"),
    "nonce": ({"nonce": "n"}, {}, "token_type_not_accepted"),
    "nonce-empty": ({"nonce": ""}, {}, "token_type_not_accepted"),
    "no-events": ({"events": None}, {}, "claim_missing"),
    "events-list": ({"events": [EVENT]}, {}, "token_type_not_accepted"),
    "other-event": ({"events": {"urn:x": {}}}, {}, "token_type_not_accepted"),
    "event-no-object": ({"events": {EVENT: True}}, {}, "token_type_not_accepted"),
    "no-sub-no-sid": ({"sub": None, "sid": None}, {}, "claim_missing"),
    "sub-number": ({"sub": 42}, {}, "claim_invalid"),
    "sid-empty": ({"sid": ""}, {}, "claim_invalid"),
    "sid-list": ({"sid": ["s1"]}, {}, "claim_invalid"),
    "no-jti": ({"jti": None}, {}, "claim_missing"),
    "jti-empty": ({"jti": ""}, {}, "claim_invalid"),
    "no-iat": ({"iat": None}, {}, "claim_missing"),
    "iat-old": ({"iat": kit.NOW - MAX_AGE - 60}, {}, "token_expired"),
    "iat-ahead": ({"iat": kit.NOW + 61}, {}, "token_not_yet_valid"),
    "no-exp": ({"exp": None}, {}, "claim_missing"),
    "expired": ({"exp": kit.NOW - 60}, {}, "token_expired"),
    "another-issuer": ({"iss": "https://evil.example.com"}, {}, "issuer_unknown"),
    "another-client": ({"aud": "other"}, {}, "audience_mismatch"),
    "no-audience": ({"aud": None}, {}, "audience_mismatch"),
    "access-token-type": ({}, {"typ": "at+jwt"}, "token_type_not_accepted"),
    "other-type": ({}, {"typ": "secevent+jwt"}, "token_type_not_accepted"),
    "type-list": ({}, {"typ": ["logout+jwt"]}, "token_type_not_accepted"),
    "crit": ({}, {"typ": "logout+jwt", "crit": ["exp"]}, "critical_header_unknown"),
    "other-key": ({}, {"key": kit.NEW_EC_KEY}, "signature_invalid"),
    "other-key-typed": ({}, {"key": kit.NEW_EC_KEY, "typ": "logout+jwt"}, "signature_invalid"),
    "unknown-kid": ({}, {"kid": "other"}, "key_unknown"),
}


@pytest.mark.parametrize(("changes", "header", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_logout_tokens_that_are_refused(provider, claims, changes, header, code):
    with pytest.raises(SessionRefused) as refused:
        verify_logout_token(provider, kit.sign(claims(**changes), **header), kit.NOW)
    assert refused.value.code == code


@pytest.mark.parametrize("alg", ["none", "HS256"])
def test_an_algorithm_that_needs_no_key(provider, claims, alg):
    _, body, signature = kit.sign(claims()).split(".")
    head = kit.b64(b'{"alg": "%s", "typ": "logout+jwt"}' % alg.encode())
    with pytest.raises(SessionRefused) as refused:
        verify_logout_token(provider, f"{head}.{body}.{signature}", kit.NOW)
    assert refused.value.code == "algorithm_not_allowed"


@pytest.mark.parametrize("text", ["", "x", ".", "..", "a.b.c", "é.a.b", "e30.e30.e30"])
def test_what_is_no_token(provider, text):
    with pytest.raises(SessionRefused) as refused:
        verify_logout_token(provider, text, kit.NOW)
    assert refused.value.code == "token_malformed"


def test_a_rotated_key_is_found(provider, server, claims):
    assert verify_logout_token(provider, kit.sign(claims()), kit.NOW)
    kit.publish(server, keys=[kit.jwk(kit.NEW_EC_KEY, "ec-2")])
    text = kit.sign(claims(), key=kit.NEW_EC_KEY, kid="ec-2", typ="logout+jwt")
    assert verify_logout_token(provider, text, kit.NOW)


def test_without_an_issuer_nobody_can_end_sessions(claims):
    urls = {"auth_url": "https://idp.example.com/a", "token_url": "https://idp.example.com/t"}
    with pytest.raises(SessionRefused) as refused:
        verify_logout_token(kit.provider_of(None, **urls), kit.sign(claims()), kit.NOW)
    assert refused.value.code == "issuer_unknown"


def test_without_keys_nothing_ends(provider, server, claims):
    server.answers_json("/jwks", {}, 503)
    with pytest.raises(UpstreamUnavailable):
        verify_logout_token(provider, kit.sign(claims()), kit.NOW)


def test_what_is_logged_of_it_names_nobody(provider, claims):
    token = verify_logout_token(provider, kit.sign(claims(sub="jane@example.com")), kit.NOW)
    assert "jane" not in repr(token)
