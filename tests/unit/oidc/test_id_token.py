"""ID tokens and access tokens of a provider: which are believed, and why the others are not."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import jwt
import oidc_kit as kit
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from jwt.algorithms import OKPAlgorithm

from embedjwt.errors import SessionRefused, UpstreamUnavailable
from embedjwt.oidc.id_token import verify_access_token, verify_id_token
from embedjwt.oidc.logout_token import EVENT
from embedjwt.sources.remote import COOLDOWN, MAX_AGE

NONCE = "n0nce"
ACCESS = "ACCESS"


@pytest.fixture
def claims(server):
    """The claims of a good ID token, with changes; ``None`` takes one away."""

    def make(**changes: Any) -> dict[str, Any]:
        base = {
            "iss": server.url,
            "aud": kit.CLIENT,
            "sub": "42",
            "exp": kit.NOW + 300,
            "iat": kit.NOW - 5,
            "nonce": NONCE,
        }
        return kit.without_none({**base, **changes})

    return make


def verified(provider, text: str, **changes: Any) -> Any:
    values: dict[str, Any] = {"nonce": NONCE, "now": kit.NOW, "access_token": ACCESS}
    return verify_id_token(provider, text, **{**values, **changes})


def refusal(provider, text: str, **changes: Any) -> str:
    with pytest.raises(SessionRefused) as refused:
        verified(provider, text, **changes)
    assert refused.value.status == 401
    assert NONCE not in refused.value.diagnostics()
    return refused.value.code


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": [kit.CLIENT]},
        {"aud": [kit.CLIENT, "api"], "azp": kit.CLIENT},
        {"azp": kit.CLIENT},
        {"at_hash": kit.at_hash(ACCESS)},
        {"exp": kit.NOW - 59},
        {"nbf": kit.NOW + 59, "iat": kit.NOW + 59},
        {"auth_time": 1_799_999_999.5},
        {"groups": [f"group-{number}" for number in range(300)]},
    ],
    ids=lambda changes: str(changes)[:50],
)
def test_good_id_tokens(provider, claims, changes):
    content = claims(**changes)
    assert verified(provider, kit.sign(content)) == content


@pytest.mark.parametrize("typ", ["JWT", "jwt", "application/jwt"])
def test_types_of_id_tokens(provider, claims, typ):
    assert verified(provider, kit.sign(claims(), typ=typ))


def test_rsa_as_well(provider, claims):
    assert verified(provider, kit.sign(claims(), key=kit.RSA_KEY, alg="RS256", kid="rsa-1"))


HOSTILE_CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "another-issuer": ({"iss": "https://evil.example.com"}, "issuer_unknown"),
    "no-issuer": ({"iss": None}, "claim_missing"),
    "another-client": ({"aud": "other"}, "audience_mismatch"),
    "no-audience": ({"aud": None}, "audience_mismatch"),
    "empty-audience": ({"aud": []}, "audience_mismatch"),
    "audience-of-numbers": ({"aud": [kit.CLIENT, 5]}, "audience_mismatch"),
    "several-audiences-no-azp": ({"aud": [kit.CLIENT, "api"]}, "audience_mismatch"),
    "several-audiences-wrong-azp": (
        {"aud": [kit.CLIENT, "api"], "azp": "api"},
        "audience_mismatch",
    ),
    "wrong-azp": ({"azp": "other"}, "audience_mismatch"),
    "azp-list": ({"azp": [kit.CLIENT]}, "audience_mismatch"),
    "no-subject": ({"sub": None}, "claim_missing"),
    "empty-subject": ({"sub": ""}, "claim_invalid"),
    "subject-number": ({"sub": 42}, "claim_invalid"),
    "expired": ({"exp": kit.NOW - 60}, "token_expired"),
    "no-expiry": ({"exp": None}, "claim_missing"),
    "expiry-text": ({"exp": str(kit.NOW + 300)}, "claim_invalid"),
    "no-iat": ({"iat": None}, "claim_missing"),
    "nbf-ahead": ({"nbf": kit.NOW + 61}, "token_not_yet_valid"),
    "iat-ahead": ({"iat": kit.NOW + 61}, "token_not_yet_valid"),
    "no-nonce": ({"nonce": None}, "nonce_mismatch"),
    "wrong-nonce": ({"nonce": "other"}, "nonce_mismatch"),
    "nonce-list": ({"nonce": [NONCE]}, "nonce_mismatch"),
    "wrong-at-hash": ({"at_hash": kit.at_hash("OTHER")}, "at_hash_mismatch"),
    "at-hash-not-ascii": ({"at_hash": "é"}, "at_hash_mismatch"),
    "at-hash-number": ({"at_hash": 5}, "at_hash_mismatch"),
    "logout-token": ({"events": {EVENT: {}}}, "token_type_not_accepted"),
}


@pytest.mark.parametrize(("changes", "code"), HOSTILE_CLAIMS.values(), ids=HOSTILE_CLAIMS.keys())
def test_claims_that_are_refused(provider, claims, changes, code):
    assert refusal(provider, kit.sign(claims(**changes))) == code


def unsigned(content: dict[str, Any]) -> str:
    head, body = ({"alg": "none"}, content)
    return f"{kit.b64(json.dumps(head).encode())}.{kit.b64(json.dumps(body).encode())}.AA"


def hs256_with(secret: bytes) -> Any:
    """The public key, or what we share with the provider, taken for an HMAC secret."""

    def make(content: dict[str, Any]) -> str:
        signing_input = jwt.api_jws.encode(
            json.dumps(content).encode(), "k" * 32, algorithm="HS256", headers={"kid": "rsa-1"}
        ).rpartition(".")[0]
        mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        return f"{signing_input}.{kit.b64(mac.sign(signing_input.encode(), secret))}"

    return make


def tampered(content: dict[str, Any]) -> str:
    head, _, signature = kit.sign(content).split(".")
    return f"{head}.{kit.b64(json.dumps({**content, 'sub': 'admin'}).encode())}.{signature}"


def doubled(content: dict[str, Any]) -> str:
    body = json.dumps(content)
    return kit.sign(f'{body[:-1]}, "sub": "admin"}}'.encode())


HOSTILE_TOKENS: dict[str, tuple[Any, str]] = {
    "alg-none": (unsigned, "algorithm_not_allowed"),
    "hs256-with-the-public-key": (hs256_with(kit.pem(kit.RSA_KEY)), "algorithm_not_allowed"),
    "hs256-with-the-client-secret": (hs256_with(kit.SECRET.encode()), "algorithm_not_allowed"),
    "rs512": (
        lambda c: kit.sign(c, key=kit.RSA_KEY, alg="RS512", kid="rsa-1"),
        "algorithm_not_allowed",
    ),
    "ps256-not-listed": (
        lambda c: kit.sign(c, key=kit.RSA_KEY, alg="PS256", kid="rsa-1"),
        "algorithm_not_allowed",
    ),
    "another-key-under-the-same-kid": (
        lambda c: kit.sign(c, key=kit.NEW_EC_KEY),
        "signature_invalid",
    ),
    "unknown-kid": (lambda c: kit.sign(c, kid="other"), "key_unknown"),
    "kid-of-another-kind": (lambda c: kit.sign(c, kid="rsa-1"), "key_unknown"),
    "tampered": (tampered, "signature_invalid"),
    "own-key-in-the-header": (
        lambda c: kit.sign(c, key=kit.NEW_EC_KEY, jwk=kit.jwk(kit.NEW_EC_KEY, "ec-1")),
        "signature_invalid",
    ),
    "duplicate-claims": (doubled, "token_malformed"),
    "no-object": (lambda c: kit.sign(b"[]"), "token_malformed"),
    "crit": (lambda c: kit.sign(c, crit=["exp"], exp=1), "critical_header_unknown"),
    "access-token": (lambda c: kit.sign(c, typ="at+jwt"), "token_type_not_accepted"),
    "logout-token-type": (lambda c: kit.sign(c, typ="logout+jwt"), "token_type_not_accepted"),
    "opaque": (lambda c: "opaque", "token_malformed"),
    "encrypted": (lambda c: "a.b.c.d.e", "token_malformed"),
    "empty": (lambda c: "", "token_malformed"),
}


@pytest.mark.parametrize(("make", "code"), HOSTILE_TOKENS.values(), ids=HOSTILE_TOKENS.keys())
def test_tokens_that_are_refused(provider, claims, make, code):
    assert refusal(provider, make(claims())) == code


def test_hs256_never_finds_a_key(server, claims):
    """Not even where the settings were made to list it: public keys do not fit."""
    provider = kit.provider_of(server.url, algorithms=("RS256", "HS256"))
    assert refusal(provider, hs256_with(kit.pem(kit.RSA_KEY))(claims())) == "key_unknown"


def test_at_hash_goes_with_the_algorithm(server, claims):
    """Ed25519 has SHA-512 inside."""
    key = ed25519.Ed25519PrivateKey.generate()
    jwk = {**OKPAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "ed-1"}
    kit.publish(server, keys=[jwk])
    provider = kit.provider_of(server.url, algorithms=("EdDSA",))
    digest = hashlib.sha512(ACCESS.encode()).digest()[:32]
    for value, accepted in ((kit.b64(digest), True), (kit.at_hash(ACCESS), False)):
        text = kit.sign(claims(at_hash=value), key=key, alg="EdDSA", kid="ed-1")
        if accepted:
            assert verified(provider, text)
        else:
            assert refusal(provider, text) == "at_hash_mismatch"


def test_a_login_without_a_nonce_to_compare_is_refused(provider, claims):
    for content in (claims(), claims(nonce=None)):
        assert refusal(provider, kit.sign(content), nonce=None) == "nonce_mismatch"


def test_a_provider_without_an_issuer_vouches_for_nobody(server, claims):
    url = server.url
    provider = kit.provider_of(
        None, auth_url=f"{url}/a", token_url=f"{url}/t", jwk_set_url=f"{url}/jwks"
    )
    assert refusal(provider, kit.sign(claims())) == "issuer_unknown"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"nonce": None}, None),
        ({"aud": [kit.CLIENT]}, None),
        ({"nonce": "other"}, "nonce_mismatch"),
        ({"sub": "43"}, "id_token_changed"),
        ({"aud": [kit.CLIENT, "api"], "azp": kit.CLIENT}, "id_token_changed"),
        ({"iss": "https://evil.example.com"}, "issuer_unknown"),
        ({"exp": kit.NOW - 60}, "token_expired"),
    ],
    ids=str,
)
def test_refreshed_id_tokens(provider, claims, changes, code):
    first = verified(provider, kit.sign(claims()))
    text = kit.sign(claims(**changes))
    if code is None:
        assert verified(provider, text, nonce=None, refreshed=first) == claims(**changes)
    else:
        assert refusal(provider, text, nonce=None, refreshed=first) == code


def test_a_rotated_key_is_found(provider, server, claims, clock):
    assert verified(provider, kit.sign(claims()))
    kit.publish(server, keys=[kit.jwk(kit.NEW_EC_KEY, "ec-2")])
    new = kit.sign(claims(), key=kit.NEW_EC_KEY, kid="ec-2")
    assert verified(provider, new)
    assert refusal(provider, kit.sign(claims())) == "key_unknown"
    fetched = server.paths().count("/jwks")
    for number in range(5):
        assert refusal(provider, kit.sign(claims(), kid=f"made-up-{number}")) == "key_unknown"
    assert server.paths().count("/jwks") == fetched
    clock.seconds += COOLDOWN
    assert refusal(provider, kit.sign(claims(), kid="made-up")) == "key_unknown"
    assert server.paths().count("/jwks") == fetched + 1


def test_keys_outlive_an_outage(provider, server, claims, clock):
    assert verified(provider, kit.sign(claims()))
    server.answers.clear()
    clock.seconds += 2 * MAX_AGE
    assert verified(provider, kit.sign(claims()))


def test_without_keys_nobody_is_let_in(provider, server, claims):
    server.answers_json("/jwks", {}, 500)
    with pytest.raises(UpstreamUnavailable):
        verified(provider, kit.sign(claims()))


@pytest.mark.parametrize(
    ("changes", "header"),
    [
        ({}, {}),
        ({"aud": "https://api.example.com", "scope": "openid"}, {"typ": "at+jwt"}),
        ({"aud": None, "nonce": None}, {"typ": "JWT"}),
    ],
    ids=str,
)
def test_access_tokens_that_are_jwts(provider, claims, changes, header):
    text = kit.sign(claims(**changes), **header)
    assert verify_access_token(provider, text, kit.NOW) == claims(**changes)


@pytest.mark.parametrize(
    "make",
    [
        lambda c: "opaque",
        lambda c: "a.b.c",
        lambda c: kit.sign({**c, "iss": "https://evil.example.com"}),
        lambda c: kit.sign({**c, "exp": kit.NOW - 60}),
        lambda c: kit.sign({name: value for name, value in c.items() if name != "exp"}),
        lambda c: kit.sign({**c, "events": {}}),
        lambda c: kit.sign(c, key=kit.NEW_EC_KEY),
        lambda c: kit.sign(c, typ="logout+jwt"),
        unsigned,
        tampered,
    ],
)
def test_access_tokens_that_say_nothing(provider, claims, make):
    assert verify_access_token(provider, make(claims()), kit.NOW) is None


def test_an_access_token_without_keys_says_nothing(provider, server, claims):
    server.answers_json("/jwks", {}, 500)
    assert verify_access_token(provider, kit.sign(claims()), kit.NOW) is None
