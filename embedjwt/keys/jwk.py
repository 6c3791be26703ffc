"""Public keys as JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037), and their names."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Jwk: TypeAlias = Mapping[str, str]
"""The public members of one key: ``kty``, ``kid``, ``use``, ``alg`` and the key's own."""

PublicKey: TypeAlias = EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey

_LONGEST_KID = 255
_OWN_MEMBERS = {"EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "RSA": ("n", "e")}
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384"}
_KINDS = {
    "ES256": {"kty": "EC", "crv": "P-256"},
    "ES384": {"kty": "EC", "crv": "P-384"},
    "RS256": {"kty": "RSA"},
    "PS256": {"kty": "RSA"},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
}


def public_jwk(key: PublicKey, alg: str) -> Jwk:
    """The key as it is published, for signatures with ``alg``; ``kid`` is its thumbprint."""
    own = _own_members(key)
    return {"kty": own["kty"], "kid": thumbprint(own), "use": "sig", "alg": alg, **own}


def thumbprint(jwk: Jwk) -> str:
    """The SHA-256 thumbprint of a key (RFC 7638 section 3), base64url without padding."""
    required = {name: jwk[name] for name in ("kty", *_OWN_MEMBERS[jwk["kty"]])}
    text = json.dumps(required, separators=(",", ":"), sort_keys=True)
    return base64url(hashlib.sha256(text.encode()).digest())


def is_public_jwk(jwk: object, *, foreign_kid: bool = False) -> bool:
    """Whether this is a whole published key and nothing else: its ``kid`` and ``alg`` fit it.

    ``foreign_kid``: the key came from elsewhere and may have kept the name it had there.
    """
    if not isinstance(jwk, dict) or not all(isinstance(value, str) for value in jwk.values()):
        return False
    kind = _KINDS.get(jwk.get("alg", ""))
    if kind is None or not kind.items() <= jwk.items():
        return False
    if set(jwk) != {"kty", "kid", "use", "alg", *_OWN_MEMBERS[kind["kty"]]}:
        return False
    named = is_kid(jwk["kid"]) if foreign_kid else jwk["kid"] == thumbprint(jwk)
    return bool(jwk["use"] == "sig" and named)


def is_kid(text: str) -> bool:
    """Whether another program's name for its key can be published as it is."""
    return 0 < len(text) <= _LONGEST_KID and text.isprintable() and text == text.strip()


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _own_members(key: PublicKey) -> dict[str, str]:
    if isinstance(key, EllipticCurvePublicKey):
        # Coordinates have the length of the curve's field, leading zeros kept
        # (RFC 7518 section 6.2.1.2).
        point = key.public_numbers()
        size = (key.key_size + 7) // 8
        x, y = (base64url(number.to_bytes(size, "big")) for number in (point.x, point.y))
        return {"kty": "EC", "crv": _CURVES.get(key.curve.name, key.curve.name), "x": x, "y": y}
    if isinstance(key, RSAPublicKey):
        numbers = key.public_numbers()
        n, e = (_unsigned(number) for number in (numbers.n, numbers.e))
        return {"kty": "RSA", "n": n, "e": e}
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url(raw)}


def _unsigned(number: int) -> str:
    """Base64urlUInt: the fewest octets (RFC 7518 section 2)."""
    return base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))
