"""Signatures: PyJWT, which knows nothing of our serialisation, accepts them for all algorithms."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedjwt.errors import KeysUnavailable
from embedjwt.keys import SigningKey
from embedjwt.keys.jwk import public_jwk
from embedjwt.keys.signer import PrivateKey, generate, signer

ALGORITHMS = ["ES256", "ES384", "RS256", "PS256", "EdDSA"]

_ES256 = generate("ES256")
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def signing_key(kid: str, alg: str, private_key: PrivateKey) -> SigningKey:
    return SigningKey(kid, alg, signer(private_key, alg))


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_pyjwt_verifies_with_the_published_key(alg: str) -> None:
    private_key = generate(alg)
    jwk = public_jwk(private_key.public_key(), alg)
    payload = {"sub": "ada", "exp": 4_000_000_000, "name": "Ada Löwe 🦁", "groups": ["a", "b"]}
    token = signing_key(jwk["kid"], alg, private_key).sign(payload)
    assert jwt.decode(token, jwt.PyJWK(dict(jwk)), algorithms=[alg]) == payload
    assert jwt.get_unverified_header(token) == {"alg": alg, "kid": jwk["kid"], "typ": "JWT"}
    assert "=" not in token


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_another_key_of_the_kind_does_not_verify(alg: str) -> None:
    token = signing_key("kid", alg, generate(alg)).sign({"sub": "ada"})
    other = jwt.PyJWK(dict(public_jwk(generate(alg).public_key(), alg)))
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, other, algorithms=[alg])


@given(st.dictionaries(st.text(), _JSON, max_size=5))
def test_any_json_object_arrives_as_it_was(payload: dict[str, object]) -> None:
    token = signing_key("kid", "ES256", _ES256).sign(payload)
    verified = jwt.PyJWS().decode(token, _ES256.public_key(), algorithms=["ES256"])
    assert json.loads(verified) == payload


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_no_json_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        signing_key("kid", "ES256", _ES256).sign({"sub": "ada", "n": number})


@pytest.mark.parametrize("alg", ["HS256", "none", "RS384", ""])
def test_other_algorithms_have_no_keys(alg: str) -> None:
    with pytest.raises(KeysUnavailable):
        generate(alg)


@pytest.mark.parametrize("bad", [b"", b"x" * 64])
def test_the_signature_is_what_the_callable_answers(bad: bytes) -> None:
    """Whatever holds the private half, nothing is added to its answer."""
    asked: list[bytes] = []

    def elsewhere(data: bytes) -> bytes:
        asked.append(data)
        return bad

    head, body, signature = SigningKey("kid", "ES256", elsewhere).sign({"sub": "ada"}).split(".")
    assert asked == [f"{head}.{body}".encode()]
    assert base64.urlsafe_b64decode(signature + "==") == bad
