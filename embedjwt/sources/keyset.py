"""Keys that verify upstream tokens, and which of them fits a token."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

PublicKey = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
)

MAX_KEYS = 100
"""How many keys of a set are looked at."""

RSA_BITS = range(2048, 8192 + 1)
"""RFC 7518 section 3.3 asks for 2048; far longer keys only cost time."""

_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}

HMAC_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The shortest secret for each algorithm (RFC 7518 section 3.2)."""

_NEVER_PUBLIC = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Members of private and of symmetric keys (RFC 7518 sections 6.2.2, 6.3.2 and 6.4)."""

_LONGEST = {"n": 1366, "e": 6, "x": 88, "y": 88}
"""Base64url characters of 8192 bits, of 32 bits, and of a coordinate of P-521."""

_READERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One key. ``alg`` is the only algorithm it is for; ``None`` where its publisher names none.

    ``identity`` is a text that two equal keys share.
    """

    kid: str | None
    alg: str | None
    identity: str = field(repr=False)
    key: PublicKey | bytes = field(compare=False, repr=False)

    def fits(self, alg: str) -> bool:
        """Whether a signature of this algorithm can be this key's, by kind, curve and ``alg``."""
        if self.alg is not None and self.alg != alg:
            return False
        if isinstance(self.key, bytes):
            return alg in HMAC_BYTES
        if isinstance(self.key, rsa.RSAPublicKey):
            return alg[:2] in ("RS", "PS")
        if isinstance(self.key, ec.EllipticCurvePublicKey):
            return _CURVES.get(alg) == self.key.curve.name
        return alg == "EdDSA"


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys of one issuer. ``named`` says that they are told apart by ``kid``."""

    keys: tuple[VerificationKey, ...]
    named: bool = True

    def select(self, kid: str | None, alg: str) -> VerificationKey | None:
        """The key for a token; ``None`` where there is none, or no telling which.

        A ``kid`` is compared as a text and never used as a path, a URL or a query. A token without
        one is served only where a single key fits.
        """
        fitting = [key for key in self.keys if key.fits(alg)]
        if self.named and kid is not None:
            return next((key for key in fitting if key.kid == kid), None)
        return fitting[0] if len(fitting) == 1 else None


def parse_jwks(document: Any) -> KeySet:
    """The public signing keys of a JWK set (RFC 7517 section 5); ``ValueError`` where it is none.

    Keys that cannot be used are passed over as section 5 asks: unknown kinds, ``use`` other than
    ``sig``, weak ones. So are symmetric ones and private ones: what everybody can read signs
    nothing.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a JWK set: no list of keys")
    if len(entries) > MAX_KEYS:
        raise ValueError(f"more than {MAX_KEYS} keys")
    keys = [_from_jwk(entry) for entry in entries if isinstance(entry, dict)]
    return KeySet(tuple(key for key in keys if key is not None))


def from_pem(data: bytes) -> KeySet:
    """The one public key of a PEM file; ``ValueError`` where it holds something else."""
    if data.count(b"-----BEGIN ") != 1:
        raise ValueError("it must hold exactly one PEM block")
    if b"PRIVATE KEY-----" in data:
        raise ValueError("it holds a private key")
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it holds no PEM public key") from None
    if not isinstance(key, PublicKey) or not _strong(key):
        raise ValueError("its key is of an unsupported kind, or an RSA key not of 2048–8192 bits")
    identity = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return KeySet((VerificationKey(None, None, identity, key),), named=False)


def from_secret(secret: bytes) -> KeySet:
    """A secret shared with the issuer, for the HS… algorithms."""
    return KeySet((VerificationKey(None, None, "", secret),), named=False)


def _from_jwk(jwk: Mapping[str, Any]) -> VerificationKey | None:
    kid, alg = jwk.get("kid"), jwk.get("alg")
    if not isinstance(kid, str | None) or not isinstance(alg, str | None):
        return None
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list):
        return None
    key = _public_key(jwk) if "verify" in operations and _harmless(jwk) else None
    if key is None or not _strong(key):
        return None
    return VerificationKey(kid, alg, json.dumps(jwk, sort_keys=True), key)


def _harmless(jwk: Mapping[str, Any]) -> bool:
    """Whether reading a key costs next to nothing.

    With a ``d`` the library would first factor ``n``, which can take minutes and stops all threads.
    """
    if not _NEVER_PUBLIC.isdisjoint(jwk):
        return False
    numbers = [(jwk[name], longest) for name, longest in _LONGEST.items() if name in jwk]
    return all(isinstance(text, str) and len(text) <= longest for text, longest in numbers)


def _public_key(jwk: Mapping[str, Any]) -> PublicKey | None:
    kty = jwk.get("kty")
    read = _READERS.get(kty) if isinstance(kty, str) else None
    if read is None:
        return None
    try:
        key = read(dict(jwk))
    except (InvalidKeyError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return None
    return key if isinstance(key, PublicKey) else None


def _strong(key: PublicKey) -> bool:
    return not isinstance(key, rsa.RSAPublicKey) or key.key_size in RSA_BITS
