"""JWKs that would cost time are passed over before a number of theirs is decoded."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
import sources_kit as kit
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from embedjwt.sources.keyset import parse_jwks

RSA = kit.jwk(kit.RSA_KEY, "k")
EC = kit.jwk(kit.EC_KEY, "k")
OKP = kit.jwk(kit.ED_KEY, "k")
LONGEST_MODULUS = kit.b64(b"\xc1" * 1024)

COSTLY = {
    **{
        f"rsa-with-{name}": {**RSA, name: "AQAB"}
        for name in ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
    },
    "rsa-with-all-of-them": {**RSA, **dict.fromkeys(("d", "p", "q", "dp", "dq", "qi"), "AQAB")},
    "rsa-with-null-d": {**RSA, "d": None},
    "ec-with-d": {**EC, "d": "AQAB"},
    "okp-with-d": {**OKP, "d": "AQAB"},
    "rsa-8200": {**RSA, "n": kit.b64(b"\xc1" * 1025)},
    "rsa-of-a-megabyte": {**RSA, "n": "w" * 1_000_000},
    "exponent-of-5-bytes": {**RSA, "e": kit.b64(b"\x01\x00\x00\x00\x01")},
    "exponent-like-the-modulus": {**RSA, "e": RSA["n"]},
    "exponent-list": {**RSA, "e": ["AQAB"]},
    "x-long": {**EC, "x": "A" * 89},
    "y-long": {**EC, "y": "A" * 89},
    "okp-long": {**OKP, "x": "A" * 89},
}


def decoded(*_: Any) -> NoReturn:
    pytest.fail("a number of the key was decoded")


@pytest.mark.parametrize("jwk", COSTLY.values(), ids=COSTLY.keys())
def test_costly_keys_are_not_even_decoded(monkeypatch, jwk):
    """With a ``d``, the library would factor ``n`` in Python for minutes, and all threads wait."""
    monkeypatch.setattr("jwt.algorithms.from_base64url_uint", decoded)
    monkeypatch.setattr("jwt.algorithms.base64url_decode", decoded)
    assert parse_jwks({"keys": [jwk]}).keys == ()


def test_the_decoding_is_what_the_table_looks_at(monkeypatch):
    """Otherwise its rows would pass whatever is done with them."""
    monkeypatch.setattr("jwt.algorithms.from_base64url_uint", decoded)
    monkeypatch.setattr("jwt.algorithms.base64url_decode", decoded)
    for jwk in (RSA, EC, OKP):
        with pytest.raises(pytest.fail.Exception):
            parse_jwks({"keys": [jwk]})


@pytest.mark.parametrize(
    "jwk",
    [
        RSA,
        {**RSA, "n": LONGEST_MODULUS},
        {**RSA, "e": kit.b64(b"\xff\xff\xff\xff")},
        kit.jwk(ec.generate_private_key(ec.SECP521R1())),
        kit.jwk(ed448.Ed448PrivateKey.generate()),
    ],
    ids=["rsa", "rsa-8192", "exponent-of-4-bytes", "p-521", "ed448"],
)
def test_the_longest_keys_are_read(jwk):
    assert len(parse_jwks({"keys": [jwk]}).keys) == 1
