"""Hostile tokens and documents of a provider, through the real endpoints."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from embedjwt.config import Settings
from embedjwt.oidc.logout_token import EVENT
from hostile_provider import (
    CLIENT,
    EC_KEY,
    LIFE,
    RSA_KEY,
    SECRET,
    STRANGE_KEY,
    StandIn,
    encoded,
    jwk,
    signed,
)
from hostile_site import Browser, Site, hostile_site
from tests_support import FakeClock

NOW = 1_800_000_000
OTHER = "https://idp.example.org"


@pytest.fixture
def site(make_settings: Callable[..., Settings], clock: FakeClock) -> Iterator[Site]:
    with hostile_site(make_settings, clock) as site:
        yield site


@pytest.fixture
def browser(site: Site) -> Browser:
    return site.browser()


def hmac_token(key: bytes, **header: Any) -> Callable[[dict[str, Any]], str]:
    """Signed with a secret that anybody may know."""

    def forge(claims: dict[str, Any]) -> str:
        parts = f"{encoded({'alg': 'HS256'} | header)}.{encoded(claims)}"
        return f"{parts}.{encoded(hmac.new(key, parts.encode(), hashlib.sha256).digest())}"

    return forge


def unsigned(alg: str) -> Callable[[dict[str, Any]], str]:
    return lambda claims: f"{encoded({'alg': alg})}.{encoded(claims)}."


def pem(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def raw(change: Callable[[str], str]) -> Callable[[dict[str, Any]], str]:
    """Signed as it should be, over a payload that was written by hand."""
    return lambda claims: signed(change(json.dumps(claims)).encode())


def payload_of_another(claims: dict[str, Any]) -> str:
    head, _, signature = signed(claims).split(".")
    return f"{head}.{encoded(claims | {'sub': 'mallory'})}.{signature}"


def first(**header: Any) -> Callable[[dict[str, Any]], str]:
    """Signed with a stranger's key, which the header offers."""
    return lambda claims: signed(claims, STRANGE_KEY, **header)


TWO_ALGS = b'{"alg": "none", "alg": "ES256", "kid": "ec"}'

FORGED: dict[str, tuple[Any, str]] = {
    "alg none": (unsigned("none"), "token_malformed"),
    "alg NONE, with a signature": (
        lambda c: unsigned("NONE")(c) + "AAAA",
        "algorithm_not_allowed",
    ),
    "HS256 with the public key": (hmac_token(pem(EC_KEY), kid="ec"), "algorithm_not_allowed"),
    "HS256 with the RSA key": (hmac_token(pem(RSA_KEY), kid="rsa"), "algorithm_not_allowed"),
    "HS256 with the JWK": (
        hmac_token(json.dumps(jwk(EC_KEY, "ec")).encode()),
        "algorithm_not_allowed",
    ),
    "HS256 with the client secret": (hmac_token(SECRET.encode()), "algorithm_not_allowed"),
    "HS256 with no key": (hmac_token(b""), "algorithm_not_allowed"),
    "PS256, which is not among ours": (
        lambda c: signed(c, RSA_KEY, "PS256", kid="rsa"),
        "algorithm_not_allowed",
    ),
    "another key's kid": (lambda c: signed(c, RSA_KEY, "RS256", kid="ec"), "key_unknown"),
    "a stranger's key": (first(), "signature_invalid"),
    "a stranger's key and kid": (first(kid="stranger"), "key_unknown"),
    "kid is a path": (first(kid="../../../../dev/null"), "key_unknown"),
    "kid is SQL": (first(kid="' OR 1=1 --"), "key_unknown"),
    "kid without end": (first(kid="k" * 5000), "token_malformed"),
    "the key in the header": (first(jwk=jwk(STRANGE_KEY, "ec")), "signature_invalid"),
    "crit": (first(crit=["exp"], exp=1), "critical_header_unknown"),
    "b64": (
        lambda c: f"{encoded({'alg': 'ES256', 'b64': False})}.{encoded(c)}.AAAA",
        "critical_header_unknown",
    ),
    "typ of a logout token": (lambda c: signed(c, typ="logout+jwt"), "token_type_not_accepted"),
    "typ of an access token": (lambda c: signed(c, typ="at+jwt"), "token_type_not_accepted"),
    "typ is no text": (
        lambda c: f"{encoded({'alg': 'ES256', 'typ': 1})}.{encoded(c)}.AAAA",
        "token_type_not_accepted",
    ),
    "encrypted": (
        lambda c: f"{encoded({'alg': 'dir', 'enc': 'A256GCM'})}..AAAA.{encoded(c)}.AAAA",
        "token_malformed",
    ),
    "payload of another": (payload_of_another, "signature_invalid"),
    "signature cut off": (lambda c: signed(c)[:-10], "signature_invalid"),
    "no signature": (lambda c: signed(c).rpartition(".")[0] + ".", "token_malformed"),
    "padded": (lambda c: signed(c) + "==", "token_malformed"),
    "blank around it": (lambda c: f" {signed(c)} ", "token_malformed"),
    "no JWT": (lambda c: "an-opaque-token", "token_malformed"),
    "too long": (lambda c: signed(c | {"x": "x" * 700_000}), "token_too_large"),
    "claims twice": (
        raw(lambda text: '{"sub": "mallory", ' + text[1:]),
        "token_malformed",
    ),
    "header twice": (
        lambda c: f"{encoded(TWO_ALGS)}.{encoded(c)}.AAAA",
        "token_malformed",
    ),
    "NaN": (raw(lambda text: text[:-1] + ', "x": NaN}'), "token_malformed"),
    "a number without end": (raw(lambda t: t[:-1] + f', "x": 1{"0" * 5000}}}'), "token_malformed"),
    "half a surrogate": (raw(lambda t: t[:-1] + ', "name": "\\ud800"}'), "token_malformed"),
    "deep": (raw(lambda t: t[:-1] + f', "x": {"[" * 3000}{"]" * 3000}}}'), "token_malformed"),
    "a list of claims": (raw(lambda text: f"[{text}]"), "token_malformed"),
    "missing": (lambda c: None, "id_token_missing"),
    "empty": (lambda c: "", "id_token_missing"),
}  # fmt: skip

CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "of another issuer": ({"iss": OTHER}, "issuer_unknown"),
    "no iss": ({"iss": None}, "claim_missing"),
    "iss is a list": ({"iss": [OTHER]}, "issuer_unknown"),
    "for another client": ({"aud": "another-client"}, "audience_mismatch"),
    "for others": ({"aud": ["a", "b"]}, "audience_mismatch"),
    "for us and others": ({"aud": [CLIENT, "another"]}, "audience_mismatch"),
    "for a client that begins so": ({"aud": f"{CLIENT}-2"}, "audience_mismatch"),
    "aud is an object": ({"aud": {CLIENT: True}}, "audience_mismatch"),
    "no aud": ({"aud": None}, "audience_mismatch"),
    "another azp": ({"azp": "another-client"}, "audience_mismatch"),
    "no sub": ({"sub": None}, "claim_missing"),
    "sub empty": ({"sub": ""}, "claim_invalid"),
    "sub is a number": ({"sub": 1}, "claim_invalid"),
    "no nonce": ({"nonce": None}, "nonce_mismatch"),
    "nonce of another": ({"nonce": "another"}, "nonce_mismatch"),
    "nonce is a list": ({"nonce": ["another"]}, "nonce_mismatch"),
    "expired": ({"exp": NOW - 60}, "token_expired"),
    "no exp": ({"exp": None}, "claim_missing"),
    "exp is a text": ({"exp": str(NOW + 60)}, "claim_invalid"),
    "exp is true": ({"exp": True}, "claim_invalid"),
    "exp beyond all time": ({"exp": 10**18}, "claim_invalid"),
    "no iat": ({"iat": None}, "claim_missing"),
    "iat ahead": ({"iat": NOW + 61}, "token_not_yet_valid"),
    "nbf ahead": ({"nbf": NOW + 61}, "token_not_yet_valid"),
    "at_hash of another token": ({"at_hash": encoded(bytes(16))}, "at_hash_mismatch"),
    "at_hash is a number": ({"at_hash": 1}, "at_hash_mismatch"),
    "a logout token": ({"events": {EVENT: {}}, "jti": "1"}, "token_type_not_accepted"),
}  # fmt: skip


class TestIDTokens:
    def assert_refused(self, site: Site, browser: Browser, code: str) -> None:
        answer = browser.log_in(site.provider)
        assert (answer.status_code, answer.get_json()["code"]) == (401, code)
        site.assert_nothing_gained(browser, answer)
        assert site.paths()[-1] != "/userinfo", "the access token goes nowhere"

    @pytest.mark.parametrize(("forge", "code"), FORGED.values(), ids=FORGED)
    def test_forged(self, site: Site, browser: Browser, forge: Any, code: str) -> None:
        site.provider.forge = forge
        self.assert_refused(site, browser, code)

    @pytest.mark.parametrize(("claims", "code"), CLAIMS.values(), ids=CLAIMS)
    def test_with_claims(
        self, site: Site, browser: Browser, claims: dict[str, Any], code: str
    ) -> None:
        site.provider.claims = claims
        self.assert_refused(site, browser, code)

    @pytest.mark.parametrize("name", ["jku", "x5u"])
    def test_no_key_is_fetched_from_where_the_token_says(
        self, site: Site, browser: Browser, name: str
    ) -> None:
        site.provider.server.answers_json("/keys", {"keys": [jwk(STRANGE_KEY, "ec")]})
        site.provider.forge = first(**{name: f"{site.provider.url}/keys"})
        self.assert_refused(site, browser, "signature_invalid")
        assert "/keys" not in site.paths()

    def test_unknown_keys_do_not_make_us_ask_again_and_again(
        self, site: Site, browser: Browser
    ) -> None:
        for number in range(10):
            site.provider.forge = first(kid=f"made-up-{number}")
            self.assert_refused(site, browser, "key_unknown")
        assert site.paths().count("/jwks") == 2

    def test_of_another_login_of_the_same_person(self, site: Site, browser: Browser) -> None:
        """Replayed: signed as it should be, in time, for us, and not the answer to this login."""
        seen: list[str] = []

        def keep(claims: dict[str, Any]) -> str:
            seen.append(signed(claims))
            return seen[-1]

        site.provider.forge = keep
        site.browser().log_in(site.provider)
        site.provider.forge = lambda claims: seen[0]
        self.assert_refused(site, browser, "nonce_mismatch")

    @pytest.mark.parametrize(
        "pattern",
        [
            "group-{:03}",
            "00000000-0000-4000-8000-{:012}",
            "/company/a department/a team of it/{:03}",
        ],
    )
    def test_three_hundred_groups(self, site: Site, browser: Browser, pattern: str) -> None:
        """Short names, Entra ID's, and Keycloak's paths."""
        groups = [pattern.format(number) for number in range(300)]
        answer = browser.log_in(site.provider, groups=groups)
        assert answer.status_code == 200, answer.text
        assert browser.person() == "jane"


RESPONSES: dict[str, tuple[dict[str, Any], int, str]] = {
    "no access token": ({"access_token": None}, 503, "upstream_unavailable"),
    "access token is a number": ({"access_token": 1}, 503, "upstream_unavailable"),
    "access token with a line break": (
        {"access_token": "a\r\nX-Evil: 1"},
        503,
        "upstream_unavailable",
    ),
    "ID token is an object": ({"id_token": {}}, 503, "upstream_unavailable"),
    "refresh token is a list": ({"refresh_token": ["a"]}, 503, "upstream_unavailable"),
    "an error after all": ({"error": "invalid_grant"}, 401, "grant_refused"),
    "an error of another kind": ({"error": {"a": 1}}, 503, "upstream_unavailable"),
}


@pytest.mark.parametrize(("changes", "status", "code"), RESPONSES.values(), ids=RESPONSES)
def test_token_responses(
    site: Site, browser: Browser, changes: dict[str, Any], status: int, code: str
) -> None:
    site.provider.response = changes
    answer = browser.log_in(site.provider)
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    site.assert_nothing_gained(browser, answer)


USERINFO: dict[str, dict[str, Any]] = {
    "of another": {"sub": "mallory"},
    "of nobody": {"sub": None},
    "of several": {"sub": ["jane", "mallory"]},
    "of somebody alike": {"sub": "Jane"},
}


@pytest.mark.parametrize("changes", USERINFO.values(), ids=USERINFO)
def test_userinfo_of_another_person_is_dropped(
    site: Site, browser: Browser, changes: dict[str, Any]
) -> None:
    """OpenID Connect Core 5.3.2: what it says must not be used."""
    site.provider.userinfo = {"email": "mallory@example.com", "groups": ["admins"]} | changes
    answer = browser.log_in(site.provider, email=None)
    assert "/userinfo" in site.paths()
    assert (answer.status_code, answer.get_json()["code"]) == (403, "email_missing")
    assert "mallory" not in answer.text + repr(site.log)
    site.assert_nothing_gained(browser, answer)


def forged_refresh(claims: dict[str, Any]) -> str:
    return signed(claims, STRANGE_KEY)


REFRESHED: dict[str, Callable[[StandIn], None]] = {
    "another person": lambda p: p.claims.update(sub="mallory"),
    "another issuer": lambda p: p.claims.update(iss=OTHER),
    "another client": lambda p: p.claims.update(aud=["another", CLIENT], azp=CLIENT),
    "another nonce": lambda p: p.claims.update(nonce="another"),
    "expired": lambda p: p.claims.update(exp=NOW),
    "a stranger's signature": lambda p: setattr(p, "forge", forged_refresh),
    "no signature": lambda p: setattr(p, "forge", unsigned("none")),
    "a logout token": lambda p: p.claims.update(events={EVENT: {}}),
    "refused": lambda p: p.response.update(error="invalid_grant"),
}


@pytest.mark.parametrize("turn", REFRESHED.values(), ids=REFRESHED)
def test_a_refresh_that_comes_back_wrong_ends_the_session(
    site: Site, browser: Browser, turn: Callable[[StandIn], None]
) -> None:
    browser.log_in(site.provider)
    turn(site.provider)
    site.later(LIFE - 30)
    answer = browser.token()
    assert (answer.status_code, answer.get_json()["code"]) == (401, "login_required")
    assert site.provider.forms()[-1]["grant_type"] == "refresh_token"
    # It is over for good: what the provider says afterwards does not bring it back.
    site.provider.claims, site.provider.response, site.provider.forge = {}, {}, None
    asked = len(site.paths())
    assert browser.person() is None
    assert len(site.paths()) == asked
    site.assert_nothing_told(answer)


def test_a_refresh_whose_userinfo_is_of_another_person(site: Site, browser: Browser) -> None:
    site.provider.userinfo = {"email": "jane@example.com"}
    browser.log_in(site.provider, email=None)
    assert browser.person() == "jane"
    site.provider.response = {"id_token": None}
    site.provider.userinfo = {"sub": "mallory", "email": "mallory@example.com"}
    site.later(LIFE - 30)
    assert browser.token().get_json()["code"] == "email_missing"
    assert "mallory" not in browser.get("/session/me").text


LOGOUT_TOKENS: dict[str, tuple[dict[str, Any], str]] = {
    "for another client": ({"aud": "another-client"}, "audience_mismatch"),
    "of another issuer": ({"iss": OTHER}, "issuer_unknown"),
    "iss is a list": ({"iss": ["a"]}, "issuer_unknown"),
    "no iss": ({"iss": None}, "issuer_unknown"),
    "with a nonce": ({"nonce": "n"}, "token_type_not_accepted"),
    "with a nonce and without typ": ({"header": {}, "nonce": "n"}, "token_type_not_accepted"),
    "of nobody": ({"sub": None}, "claim_missing"),
    "sub empty": ({"sub": ""}, "claim_invalid"),
    "sub is a list": ({"sub": ["jane"]}, "claim_invalid"),
    "sid is a number": ({"sid": 1}, "claim_invalid"),
    "too old": ({"iat": NOW - 361}, "token_expired"),
    "from the future": ({"iat": NOW + 61}, "token_not_yet_valid"),
    "expired": ({"exp": NOW - 60}, "token_expired"),
    "no exp": ({"exp": None}, "claim_missing"),
    "no iat": ({"iat": None}, "claim_missing"),
    "no jti": ({"jti": None}, "claim_missing"),
    "jti empty": ({"jti": ""}, "claim_invalid"),
    "no events: an ID token": ({"events": None}, "claim_missing"),
    "another event": ({"events": {"urn:other": {}}}, "token_type_not_accepted"),
    "event is no object": ({"events": {EVENT: True}}, "token_type_not_accepted"),
    "events is a list": ({"events": [EVENT]}, "token_type_not_accepted"),
    "typ of an access token": ({"header": {"typ": "at+jwt"}}, "token_type_not_accepted"),
    "signed by a stranger": ({"key": STRANGE_KEY}, "signature_invalid"),
    "a stranger's kid": ({"key": STRANGE_KEY, "header": {"kid": "x"}}, "key_unknown"),
    "HS256": ({"key": SECRET, "alg": "HS256"}, "algorithm_not_allowed"),
}  # fmt: skip


class TestBackChannelLogout:
    def assert_refused(self, site: Site, browser: Browser, token: str, code: str) -> None:
        browser.log_in(site.provider)
        answer = site.browser().post("/session/backchannel-logout", {"logout_token": token})
        assert (answer.status_code, answer.get_json()["code"]) == (400, code)
        assert browser.person() == "jane", "the session goes on"
        site.provider.secrets.append(token or SECRET)
        site.assert_nothing_told(answer)

    @pytest.mark.parametrize(("changes", "code"), LOGOUT_TOKENS.values(), ids=LOGOUT_TOKENS)
    def test_refused(
        self, site: Site, browser: Browser, changes: dict[str, Any], code: str
    ) -> None:
        self.assert_refused(site, browser, site.provider.logout_token(**changes), code)

    @pytest.mark.parametrize(
        "token", ["", "no token", "a.b.c", "\x00\x01\x02", "e30.e30.e30", "." * 9000]
    )
    def test_no_token(self, site: Site, browser: Browser, token: str) -> None:
        self.assert_refused(site, browser, token, "token_malformed")

    def test_tampered(self, site: Site, browser: Browser) -> None:
        head, _, signature = site.provider.logout_token(sub="mallory").split(".")
        payload = site.provider.logout_token(sub="jane").split(".")[1]
        self.assert_refused(site, browser, f"{head}.{payload}.{signature}", "signature_invalid")

    def test_an_id_token(self, site: Site, browser: Browser) -> None:
        made: list[str] = []

        def keep(claims: dict[str, Any]) -> str:
            made.append(signed(claims))
            return made[-1]

        site.provider.forge = keep
        browser.log_in(site.provider)
        self.assert_refused(site, browser, made[0], "claim_missing")

    def test_replayed(self, site: Site, browser: Browser) -> None:
        """Somebody who has seen it cannot sign the person out once more."""
        token = site.provider.logout_token()
        browser.log_in(site.provider)
        ended = browser.post("/session/backchannel-logout", {"logout_token": token})
        assert ended.status_code == 200
        assert browser.person() is None
        for seconds in (1, 100, 78):
            site.later(seconds)
            self.assert_refused(site, browser, token, "logout_token_replayed")
        site.later(1)
        self.assert_refused(site, browser, token, "token_expired")

    def test_of_one_person_ends_nobody_elses(self, site: Site, browser: Browser) -> None:
        browser.log_in(site.provider)
        token = site.provider.logout_token(sub="mallory")
        assert (
            browser.post("/session/backchannel-logout", {"logout_token": token}).status_code == 200
        )
        assert browser.person() == "jane"

    def test_sub_and_sid_must_both_be_of_the_session(self, site: Site, browser: Browser) -> None:
        browser.log_in(site.provider, sid="s1")
        for other in ({"sub": "jane", "sid": "s2"}, {"sub": "mallory", "sid": "s1"}):
            token = site.provider.logout_token(**other)
            browser.post("/session/backchannel-logout", {"logout_token": token})
            assert browser.person() == "jane"

    def test_by_get(self, site: Site, browser: Browser) -> None:
        token = site.provider.logout_token()
        browser.log_in(site.provider)
        assert (
            browser.get("/session/backchannel-logout", {"logout_token": token}).status_code == 405
        )
        assert browser.person() == "jane"
