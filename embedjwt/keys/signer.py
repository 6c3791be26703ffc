"""Private keys: made, and put to work on compact JWS (RFC 7515 section 7.1)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from embedjwt.errors import KeysUnavailable
from embedjwt.keys.jwk import base64url

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

Sign = Callable[[bytes], bytes]
"""Signs with one private key, wherever it is; the signature is as a JWS has it."""

RSA_BITS = 2048
"""Every verifier takes 2048 bits, and a signature costs a third of one with 3072."""

_CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}
_RSA = ("RS256", "PS256")

_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class SigningKey:
    """One private key that signs; held as an object, for reading a PEM costs milliseconds."""

    __slots__ = ("_prefix", "_sign", "alg", "kid")

    def __init__(self, kid: str, alg: str, sign: Sign) -> None:
        self.kid = kid
        self.alg = alg
        self._sign = sign
        header = _to_json({"alg": alg, "kid": kid, "typ": "JWT"})
        self._prefix = base64url(header.encode()) + "."

    def sign(self, payload: Mapping[str, Any]) -> str:
        """A compact JWS of the payload; raises :class:`ValueError` for NaN and infinities.

        The header never changes, so it is serialised once: this takes two thirds of the time of
        ``jwt.encode``, whose algorithms do the signing.
        """
        signed = self._prefix + base64url(_to_json(dict(payload)).encode())
        return f"{signed}.{base64url(self._sign(signed.encode()))}"


def signer(private_key: PrivateKey, alg: str) -> Sign:
    """Signs with a key in this process's memory."""
    algorithm = jwt.get_algorithm_by_name(alg)

    def sign(data: bytes) -> bytes:
        return algorithm.sign(data, private_key)

    return sign


def generate(alg: str) -> PrivateKey:
    """A new private key for one of the signing algorithms."""
    if alg in _CURVES:
        return ec.generate_private_key(_CURVES[alg])
    if alg in _RSA:
        return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    raise KeysUnavailable(f"embedjwt does not sign with {alg!r}")
