"""Public keys as JWK: the members, their encoding, and the RFC 7638 name."""

from __future__ import annotations

import base64

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from embedjwt.keys.jwk import is_kid, is_public_jwk, public_jwk, thumbprint
from embedjwt.keys.signer import generate

RFC_7638_SECTION_3_1 = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJ"
    "ECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY"
    "368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4l"
    "Fd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
RFC_8037_APPENDIX_A = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}

OWN_MEMBERS = {
    "ES256": {"crv", "x", "y"},
    "ES384": {"crv", "x", "y"},
    "RS256": {"n", "e"},
    "PS256": {"n", "e"},
    "EdDSA": {"crv", "x"},
}


@pytest.mark.parametrize(
    ("jwk", "expected"),
    [
        pytest.param(
            RFC_7638_SECTION_3_1, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", id="rfc7638-3.1"
        ),
        pytest.param(
            RFC_8037_APPENDIX_A, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", id="rfc8037-a.3"
        ),
    ],
)
def test_thumbprint_is_that_of_the_rfc(jwk: dict[str, str], expected: str) -> None:
    assert thumbprint(jwk) == expected


@pytest.mark.parametrize("alg", OWN_MEMBERS)
def test_a_published_key_has_public_members_only(alg: str) -> None:
    jwk = public_jwk(generate(alg).public_key(), alg)
    assert set(jwk) == {"kty", "kid", "use", "alg"} | OWN_MEMBERS[alg]
    assert (jwk["use"], jwk["alg"]) == ("sig", alg)
    assert jwk["kid"] == thumbprint(jwk)
    assert is_public_jwk(dict(jwk))
    assert jwt.PyJWK(dict(jwk)).key_id == jwk["kid"]


@pytest.mark.parametrize(
    ("curve", "alg", "size"),
    [(ec.SECP256R1(), "ES256", 32), (ec.SECP384R1(), "ES384", 48)],
    ids=["P-256", "P-384"],
)
def test_coordinates_keep_their_leading_zeros(curve: ec.EllipticCurve, alg: str, size: int) -> None:
    keys = (ec.derive_private_key(secret, curve).public_key() for secret in range(1, 3000))
    short = next(key for key in keys if key.public_numbers().x.bit_length() <= 8 * (size - 1))
    jwk = public_jwk(short, alg)
    for name in ("x", "y"):
        assert len(base64.urlsafe_b64decode(jwk[name] + "==")) == size
    assert jwt.PyJWK(dict(jwk)).key.public_numbers() == short.public_numbers()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"d": "c2VjcmV0"}, id="private-member"),
        pytest.param({"kid": "A" * 43}, id="foreign-kid"),
        pytest.param({"kid": "../../etc/passwd"}, id="kid-is-a-path"),
        pytest.param({"use": "enc"}, id="for-encryption"),
        pytest.param({"alg": "ES384"}, id="other-curve-of-the-algorithm"),
        pytest.param({"alg": "HS256"}, id="symmetric"),
        pytest.param({"alg": "none"}, id="none"),
        pytest.param({"kty": "RSA"}, id="other-kind"),
        pytest.param({"x": 5}, id="number"),
        pytest.param({"y": None}, id="null"),
    ],
)
def test_what_is_not_exactly_a_published_key_is_known(change: dict[str, object]) -> None:
    jwk = public_jwk(generate("ES256").public_key(), "ES256")
    assert is_public_jwk(dict(jwk))
    assert not is_public_jwk({**jwk, **change})


@pytest.mark.parametrize("foreign_kid", [False, True])
def test_another_name_is_for_keys_from_elsewhere_only(foreign_kid: bool) -> None:
    jwk = {**public_jwk(generate("ES256").public_key(), "ES256"), "kid": "grafana-2024"}
    assert is_public_jwk(jwk, foreign_kid=foreign_kid) == foreign_kid
    assert not is_public_jwk({**jwk, "d": "c2VjcmV0"}, foreign_kid=foreign_kid)
    assert not is_public_jwk({**jwk, "alg": "ES384"}, foreign_kid=foreign_kid)


@pytest.mark.parametrize(
    ("kid", "fits"),
    [
        ("a", True),
        ("key/1 (old) Ü", True),
        ("k" * 255, True),
        ("k" * 256, False),
        ("", False),
        (" ", False),
        ("a ", False),
        ("a\nb", False),
        ("a\x00", False),
        ("\ud800", False),
    ],
)
def test_a_name_can_be_printed_and_is_short(kid: str, fits: bool) -> None:
    assert is_kid(kid) == fits


@pytest.mark.parametrize("thing", [None, [], "text", {}, {"kty": "EC"}, {"alg": "ES256"}])
def test_other_json_is_no_key(thing: object) -> None:
    assert not is_public_jwk(thing)
