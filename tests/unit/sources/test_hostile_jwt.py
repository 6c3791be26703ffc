"""Hostile tokens, as a table: each is refused with its own code, and nothing of it is echoed."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from typing import Any

import jwt
import pytest
import sources_kit as kit
from hypothesis import given
from hypothesis import strategies as st

from embedjwt.errors import SessionRefused
from embedjwt.sources.claims import read_time
from embedjwt.sources.compact import parse_compact

PAYLOAD = json.dumps(kit.claims()).encode()
HEADER = b'{"alg":"RS256","kid":"rsa-1"}'
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


def hmac_with_public_key(signing_input: bytes) -> bytes:
    return hmac.new(kit.pem(kit.RSA_KEY), signing_input, hashlib.sha256).digest()


def unsigned(_signing_input: bytes) -> bytes:
    return b""


def with_header(**changes: Any) -> str:
    return kit.token(**changes)


def with_claims(**changes: Any) -> str:
    return kit.token(kit.claims(**changes))


def with_payload(payload: bytes) -> str:
    return kit.raw_token(HEADER, payload)


def tampered(text: str) -> str:
    header, _, signature = text.split(".")
    return f"{header}.{kit.b64(json.dumps(kit.claims(sub='admin')).encode())}.{signature}"


EMBEDDED_KEY = kit.jwk(kit.OTHER_RSA_KEY, "rsa-1")
DEEP = b"[" * 5000 + b"]" * 5000

CASES = {
    # algorithms
    "public-key-as-hmac-secret": (
        kit.raw_token(b'{"alg":"HS256","kid":"rsa-1"}', PAYLOAD, sign=hmac_with_public_key),
        "algorithm_not_allowed",
    ),
    "alg-none": (
        kit.raw_token(b'{"alg":"none"}', PAYLOAD, sign=unsigned) + "AA",
        "algorithm_not_allowed",
    ),
    "alg-none-without-signature": (
        kit.raw_token(b'{"alg":"none"}', PAYLOAD, sign=unsigned),
        "token_malformed",
    ),
    "alg-nOnE": (kit.raw_token(b'{"alg":"nOnE"}', PAYLOAD), "algorithm_not_allowed"),
    "alg-empty": (kit.raw_token(b'{"alg":""}', PAYLOAD), "algorithm_not_allowed"),
    "alg-missing": (kit.raw_token(b'{"kid":"rsa-1"}', PAYLOAD), "token_malformed"),
    "alg-list": (kit.raw_token(b'{"alg":["RS256"]}', PAYLOAD), "token_malformed"),
    "alg-lower-case": (kit.raw_token(b'{"alg":"rs256"}', PAYLOAD), "algorithm_not_allowed"),
    "alg-not-listed": (kit.token(alg="PS256"), "algorithm_not_allowed"),
    "alg-of-another-kind-of-key": (
        kit.token(key=kit.EC_KEY, alg="ES256", kid="rsa-1"),
        "key_unknown",
    ),
    # kid: a text to compare, nothing else
    "kid-path": (with_header(kid="../../../../dev/null"), "key_unknown"),
    "kid-absolute-path": (with_header(kid="/etc/passwd"), "key_unknown"),
    "kid-url": (with_header(kid="https://evil.example.com/key"), "key_unknown"),
    "kid-sql": (with_header(kid="x' UNION SELECT 'secret'--"), "key_unknown"),
    "kid-command": (with_header(kid="rsa-1|whoami"), "key_unknown"),
    "kid-nul": (with_header(kid="rsa-1\x00"), "key_unknown"),
    "kid-look-alike": (with_header(kid="rsa\u20111"), "key_unknown"),
    "kid-case": (with_header(kid="RSA-1"), "key_unknown"),
    "kid-empty": (with_header(kid=""), "key_unknown"),
    "kid-long": (with_header(kid="k" * 257), "token_malformed"),
    "kid-256": (with_header(kid="k" * 256), "key_unknown"),
    "kid-list": (
        kit.raw_token(b'{"alg":"RS256","kid":["rsa-1"]}', PAYLOAD),
        "token_malformed",
    ),
    "kid-null": (kit.raw_token(b'{"alg":"RS256","kid":null}', PAYLOAD), "token_malformed"),
    # keys that the token itself brings
    "jwk-header": (kit.token(key=kit.OTHER_RSA_KEY, jwk=EMBEDDED_KEY), "signature_invalid"),
    "jku-header": (
        kit.token(key=kit.OTHER_RSA_KEY, jku="http://127.0.0.1:1/jwks"),
        "signature_invalid",
    ),
    "x5u-header": (
        kit.token(key=kit.OTHER_RSA_KEY, x5u="http://127.0.0.1:1/cert"),
        "signature_invalid",
    ),
    "other-key": (kit.token(key=kit.OTHER_RSA_KEY), "signature_invalid"),
    "tampered-payload": (tampered(kit.token()), "signature_invalid"),
    "signature-of-zeros": (
        kit.raw_token(HEADER, PAYLOAD, sign=lambda _: bytes(256)),
        "signature_invalid",
    ),
    "es256-signature-of-zeros": (
        kit.raw_token(b'{"alg":"ES256","kid":"ec-1"}', PAYLOAD, sign=lambda _: bytes(64)),
        "signature_invalid",
    ),
    # other header fields
    "crit-unknown": (
        kit.raw_token(b'{"alg":"RS256","kid":"rsa-1","crit":["x"],"x":1}', PAYLOAD),
        "critical_header_unknown",
    ),
    "crit-empty": (
        kit.raw_token(b'{"alg":"RS256","kid":"rsa-1","crit":[]}', PAYLOAD),
        "critical_header_unknown",
    ),
    "crit-b64": (
        kit.raw_token(b'{"alg":"RS256","kid":"rsa-1","crit":["b64"],"b64":false}', PAYLOAD),
        "critical_header_unknown",
    ),
    "b64-without-crit": (
        kit.raw_token(b'{"alg":"RS256","kid":"rsa-1","b64":false}', PAYLOAD),
        "critical_header_unknown",
    ),
    "typ-logout": (with_header(typ="logout+jwt"), "token_type_not_accepted"),
    "typ-dpop": (with_header(typ="dpop+jwt"), "token_type_not_accepted"),
    "typ-number": (
        kit.raw_token(b'{"alg":"RS256","kid":"rsa-1","typ":1}', PAYLOAD),
        "token_type_not_accepted",
    ),
    "typ-look-alike": (
        kit.raw_token('{"alg":"RS256","kid":"rsa-1","typ":"ｊｗｔ"}'.encode(), PAYLOAD),
        "token_type_not_accepted",
    ),
    # security event tokens, which need not say in typ what they are
    "logout-token": (
        with_claims(events={LOGOUT_EVENT: {}}, jti="1", sid="s"),
        "token_type_not_accepted",
    ),
    "logout-token-without-sub": (
        with_claims(events={LOGOUT_EVENT: {}}, jti="1", sid="s", sub=None),
        "token_type_not_accepted",
    ),
    "logout-token-as-access-token": (
        kit.token(kit.claims(events={LOGOUT_EVENT: {}}), typ="at+jwt"),
        "token_type_not_accepted",
    ),
    "other-event": (with_claims(events={"https://example.com/e": {}}), "token_type_not_accepted"),
    "events-empty": (with_claims(events={}), "token_type_not_accepted"),
    "events-null": (with_payload(PAYLOAD[:-1] + b',"events":null}'), "token_type_not_accepted"),
    # times
    "expired": (with_claims(exp=kit.NOW - 61), "token_expired"),
    "not-yet-valid": (with_claims(nbf=kit.NOW + 61), "token_not_yet_valid"),
    "issued-in-the-future": (with_claims(iat=kit.NOW + 61), "token_not_yet_valid"),
    "exp-missing": (with_claims(exp=None), "claim_missing"),
    "exp-null": (with_payload(json.dumps(kit.claims() | {"exp": None}).encode()), "claim_missing"),
    "exp-text": (with_claims(exp="9999999999"), "claim_invalid"),
    "exp-true": (with_claims(exp=True), "claim_invalid"),
    "exp-list": (with_claims(exp=[kit.NOW + 300]), "claim_invalid"),
    "exp-negative": (with_claims(exp=-1), "claim_invalid"),
    "exp-huge": (with_claims(exp=10**30), "claim_invalid"),
    "exp-400-digits": (with_claims(exp=10**400), "claim_invalid"),
    "nbf-400-digits": (with_claims(nbf=10**400), "claim_invalid"),
    "iat-400-digits": (with_claims(iat=-(10**400)), "claim_invalid"),
    "exp-huge-float": (with_claims(exp=1e300), "claim_invalid"),
    "exp-10000-digits": (with_payload(b'{"exp":' + b"9" * 10000 + b"}"), "token_malformed"),
    "exp-infinity": (with_payload(b'{"exp":1e999}'), "token_malformed"),
    "exp-Infinity": (with_payload(b'{"exp":Infinity}'), "token_malformed"),
    "exp-NaN": (with_payload(b'{"exp":NaN}'), "token_malformed"),
    "nbf-text": (with_claims(nbf="0"), "claim_invalid"),
    "nbf-true": (with_claims(nbf=True), "claim_invalid"),
    "iat-text": (with_claims(iat="0"), "claim_invalid"),
    # who and for whom
    "aud-wrong": (with_claims(aud="other"), "audience_mismatch"),
    "aud-list-wrong": (with_claims(aud=["other", "EMBED"]), "audience_mismatch"),
    "aud-empty-list": (with_claims(aud=[]), "audience_mismatch"),
    "aud-missing": (with_claims(aud=None), "audience_mismatch"),
    "aud-mixed": (with_claims(aud=["embed", 1]), "audience_mismatch"),
    "aud-object": (with_claims(aud={"embed": 1}), "audience_mismatch"),
    "aud-part": (with_claims(aud="emb"), "audience_mismatch"),
    "iss-wrong": (with_claims(iss="https://evil.example.com"), "issuer_unknown"),
    "iss-slash": (with_claims(iss=kit.ISSUER + "/"), "issuer_unknown"),
    "iss-case": (with_claims(iss=kit.ISSUER.upper()), "issuer_unknown"),
    "iss-look-alike": (with_claims(iss="https://іdp.example.com"), "issuer_unknown"),
    "iss-list": (with_claims(iss=[kit.ISSUER]), "issuer_unknown"),
    "iss-missing": (with_claims(iss=None), "issuer_unknown"),
    "sub-missing": (with_claims(sub=None), "claim_missing"),
    "sub-empty": (with_claims(sub=""), "claim_invalid"),
    "sub-number": (with_claims(sub=42), "claim_invalid"),
    # JSON
    "duplicate-claim": (
        with_payload(PAYLOAD[:-1] + b',"sub":"admin"}'),
        "token_malformed",
    ),
    "duplicate-nested": (with_payload(b'{"a":{"b":1,"b":2}}'), "token_malformed"),
    "duplicate-header": (
        kit.raw_token(b'{"alg":"none","alg":"RS256","kid":"rsa-1"}', PAYLOAD),
        "token_malformed",
    ),
    "depth-bomb": (with_payload(b'{"a":' + DEEP + b"}"), "token_malformed"),
    "depth-bomb-header": (
        kit.raw_token(b'{"a":' + DEEP + b"}", PAYLOAD, sign=unsigned) + "AA",
        "token_malformed",
    ),
    "depth-33": (with_payload(b'{"a":' + b"[" * 32 + b"]" * 32 + b"}"), "token_malformed"),
    "payload-list": (with_payload(b"[1]"), "token_malformed"),
    "payload-text": (with_payload(b'"sub"'), "token_malformed"),
    "payload-latin-1": (with_payload(b'{"sub":"M\xfcller"}'), "token_malformed"),
    "payload-utf-16": (with_payload('{"sub":"a"}'.encode("utf-16")), "token_malformed"),
    "payload-surrogate": (with_payload(b'{"sub":"\\ud800"}'), "token_malformed"),
    "payload-no-json": (with_payload(b"sub=admin"), "token_malformed"),
    "header-no-object": (kit.raw_token(b'"RS256"', PAYLOAD), "token_malformed"),
    # form
    "opaque": ("2YotnFZFEjr1zCsicMWpAA", "token_malformed"),
    "empty": ("", "token_malformed"),
    "dots": ("..", "token_malformed"),
    "four-parts": (kit.token() + ".AA", "token_malformed"),
    "jwe": (".".join(["eyJh"] * 5), "token_malformed"),
    "json-serialization": (json.dumps({"payload": "e30"}), "token_malformed"),
    "padded": (kit.token().replace(".", "=.", 1), "token_malformed"),
    "white-space": (kit.token().replace(".", ". ", 1), "token_malformed"),
    "new-line": (kit.token() + "\n", "token_malformed"),
    "plain-base64": (kit.token() + "+/", "token_malformed"),
    "wide-digits": (kit.token() + "１", "token_malformed"),
    "one-character-over": (kit.token() + "A" * 3, "token_malformed"),
    "huge": (with_claims(pad="x" * 16384), "token_too_large"),
    "two-headers-joined": (f"{kit.token()},Bearer {kit.token()}", "token_malformed"),
}


@pytest.mark.parametrize(("text", "code"), CASES.values(), ids=CASES.keys())
def test_refused(chain, jwt_source, text, code):
    with pytest.raises(SessionRefused) as refused:
        chain(jwt_source).session(kit.bearer(text), kit.NOW)
    assert refused.value.code == code
    assert refused.value.status == 401
    for secret in ("evil", "admin", "passwd", "eyJ"):
        assert secret not in refused.value.detail + refused.value.hint


def test_the_table_starts_from_an_accepted_token(chain, jwt_source):
    """Otherwise its rows could be refused for some other reason than the one they show."""
    for text in (
        kit.token(),
        kit.token(key=kit.EC_KEY, alg="ES256", kid="ec-1"),
        kit.raw_token(HEADER, PAYLOAD),
        with_payload(PAYLOAD[:-1] + b',"a":' + b"[" * 31 + b"]" * 31 + b"}"),
    ):
        assert chain(jwt_source).session(kit.bearer(text), kit.NOW).source == "jwt"


@pytest.mark.parametrize(
    ("change", "offset", "accepted"),
    [
        ("exp", -59, True),
        ("exp", -60, False),
        ("nbf", 60, True),
        ("nbf", 61, False),
        ("iat", 60, True),
        ("iat", 61, False),
    ],
)
def test_clock_skew_at_the_edge(chain, jwt_source, change, offset, accepted):
    request = kit.bearer(with_claims(**{change: kit.NOW + offset}))
    if accepted:
        assert chain(jwt_source).session(request, kit.NOW).source == "jwt"
    else:
        with pytest.raises(SessionRefused):
            chain(jwt_source).session(request, kit.NOW)


@pytest.mark.parametrize("aud", ["embed", [], ["embed"]])
def test_aud_is_refused_where_none_is_expected(chain, jwt_source, aud):
    with pytest.raises(SessionRefused) as refused:
        chain({**jwt_source, "audience": []}).session(kit.bearer(with_claims(aud=aud)), kit.NOW)
    assert refused.value.code == "audience_mismatch"


def test_exp_is_required_whatever_the_settings_say(chain, jwt_source):
    with pytest.raises(SessionRefused) as refused:
        chain({**jwt_source, "require": []}).session(kit.bearer(with_claims(exp=None)), kit.NOW)
    assert refused.value.code == "claim_missing"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, -(10**400)])
def test_times_out_of_range_are_refused_without_json_too(value):
    with pytest.raises(SessionRefused) as refused:
        read_time({"exp": value}, "exp")
    assert refused.value.code == "claim_invalid"


def test_hmac_signed_with_the_public_key_of_a_pem_file(chain, jwt_source, tmp_path):
    """CVE-2022-29217 and its kin."""
    path = tmp_path / "key.pem"
    path.write_bytes(kit.pem(kit.RSA_KEY))
    text = kit.raw_token(b'{"alg":"HS256"}', PAYLOAD, sign=hmac_with_public_key)
    with pytest.raises(SessionRefused) as refused:
        chain({**jwt_source, "key_file": str(path)}).session(kit.bearer(text), kit.NOW)
    assert refused.value.code == "algorithm_not_allowed"


def test_token_without_kid_is_refused_where_several_keys_fit(chain, jwt_source, jwks_file):
    keys = jwks_file(kit.jwk(kit.RSA_KEY, "a"), kit.jwk(kit.OTHER_RSA_KEY, "b"))
    with pytest.raises(SessionRefused) as refused:
        chain({**jwt_source, "key_file": str(keys)}).session(
            kit.bearer(kit.token(kid=None)), kit.NOW
        )
    assert refused.value.code == "key_unknown"


def test_token_without_kid_is_served_where_one_key_fits(chain, jwt_source):
    assert chain(jwt_source).session(kit.bearer(kit.token(kid=None)), kit.NOW).source == "jwt"


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Basic dTpw"), ("Authorization", "Bearer x")],
        [("Authorization", "Bearer x"), ("Authorization", "Basic dTpw")],
        [("Authorization", "Basic dTpw"), ("Authorization", "bearer\tx")],
    ],
)
def test_duplicated_authorization_is_refused(chain, jwt_source, headers):
    with pytest.raises(SessionRefused):
        chain(jwt_source).session(kit.request(headers), kit.NOW)


def test_two_cookies_of_one_name_are_refused(chain, jwt_source):
    request = kit.request({"Cookie": f"t={kit.token()}; t={kit.token(kid=None)}"})
    with pytest.raises(SessionRefused) as refused:
        chain({**jwt_source, "cookie": "t"}).session(request, kit.NOW)
    assert refused.value.code == "credential_ambiguous"


def test_a_refused_token_is_not_remembered_as_good(chain, jwt_source):
    sources = chain(jwt_source)
    good = kit.token()
    sources.session(kit.bearer(good), kit.NOW)
    for _ in range(2):
        with pytest.raises(SessionRefused):
            sources.session(kit.bearer(good[:-8] + "AAAAAAAA"), kit.NOW)


def outcome(text: str) -> str:
    try:
        parsed = parse_compact(text)
    except SessionRefused as refused:
        return refused.code
    return "parsed" if isinstance(parsed.alg, str) else "wrong"


@given(st.text() | st.from_regex(r"[\w-]{1,40}\.[\w-]{1,40}\.[\w-]{1,40}", fullmatch=True))
def test_any_text_is_taken_apart_or_refused(text):
    assert outcome(text).startswith(("parsed", "token_", "critical_"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["alg", "kid", "typ", "crit", "iss"]), inner, max_size=4
            )
        ),
    )
)
def test_any_header_is_taken_apart_or_refused(header):
    text = kit.raw_token(json.dumps(header).encode(), b"{}", sign=lambda _: b"x")
    assert outcome(text).startswith(("parsed", "token_", "critical_"))


def test_library_itself_refuses_unknown_crit():
    """The second net: GHSA advisory of PyJWT before 2.12 about crit."""
    text = kit.raw_token(b'{"alg":"RS256","crit":["x"],"x":1}', PAYLOAD)
    with pytest.raises(jwt.InvalidTokenError, match="critical"):
        jwt.api_jws.decode(text, kit.RSA_KEY.public_key(), algorithms=["RS256"])
