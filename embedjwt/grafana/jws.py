"""A signed token in compact form, parsed and verified as go-jose does for Grafana.

Sources: go-jose ``jws.go``, ``signing.go``, ``jwk.go`` and its JSON package;
``pkg/services/auth/jwt/auth.go``.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jwt.algorithms import get_default_algorithms
from jwt.exceptions import InvalidKeyError

from embedjwt.grafana.versions import JOSE_V4_SINCE, Version

_KEY_OF = {
    "HS256": ("oct", None), "HS384": ("oct", None), "HS512": ("oct", None),
    "RS256": ("RSA", None), "RS384": ("RSA", None), "RS512": ("RSA", None),
    "PS256": ("RSA", None), "PS384": ("RSA", None), "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"), "ES384": ("EC", "P-384"), "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}  # fmt: skip
"""RFC 7518 section 3.1, RFC 8037: the key each algorithm needs."""

_BASE64URL = re.compile("[A-Za-z0-9_-]*")
_HASH_SIZE = {"HS256": 32, "HS384": 48, "HS512": 64}


class NotASignedToken(ValueError):
    """The text is no JWS in compact form with JSON in it."""


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A parsed, **unverified** token."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signing_input: bytes
    signature: bytes

    @property
    def algorithm(self) -> str:
        """``alg``; "" where it is missing or no text."""
        value = self.header.get("alg")
        return value if isinstance(value, str) else ""

    @property
    def key_id(self) -> str:
        """``kid``; to go-jose a missing one and an empty one are the same."""
        return self.header.get("kid") or ""

    @property
    def unknown_critical(self) -> bool:
        """Whether ``crit`` (RFC 7515 section 4.1.11) names something go-jose does not do."""
        critical = self.header.get("crit")
        if critical is None:
            return False
        return not isinstance(critical, list) or any(name != "b64" for name in critical)


def supported_algorithms(version: Version) -> frozenset[str]:
    """What ``jwt.ParseSigned`` admits: go-jose v4 gets a list, which has no RS384."""
    return frozenset(_KEY_OF) - ({"RS384"} if version >= JOSE_V4_SINCE else set())


def parse_compact(text: str) -> SignedToken:
    """Parse without verifying; ``NotASignedToken`` says in which part it fails.

    Older releases also parsed the JSON serialization; nothing that embedjwt makes has that form.
    """
    # ``sanitizeJWT`` drops every "="; Go's base64 decoder skips line breaks.
    parts = re.sub(r"[=\r\n]", "", text).split(".")
    if len(parts) != 3:
        raise NotASignedToken(f"a compact JWS has three parts, this has {len(parts)}")
    raw_header, payload, signature = (_decode(part) for part in parts)
    header = _object(raw_header, "header")
    if not isinstance(header.get("kid"), str | None):
        raise NotASignedToken("kid in the header is not a string")
    # RFC 7797: go-jose signs over the payload itself where the header says so.
    signed_payload = payload if header.get("b64") is False else _encode(payload)
    return SignedToken(
        header, _object(payload, "payload"), _encode(raw_header) + b"." + signed_payload, signature
    )


def keys_for(jwks: Mapping[str, Any], key_id: str) -> list[Mapping[str, Any]]:
    """``JSONWebKeySet.Key``: every key with exactly this ``kid``, a missing one being ""."""
    return [key for key in _keys(jwks) if (key.get("kid") or "") == key_id]


def key_ids(jwks: Mapping[str, Any]) -> list[str]:
    """The ``kid`` of each key, "" where it has none."""
    return [str(key.get("kid") or "") for key in _keys(jwks)]


def as_pem_file(jwks: Mapping[str, Any], key_id: str) -> dict[str, Any]:
    """The first key as ``key_file`` holds it: one, known by ``key_id`` (``parsePEMPublicKey``)."""
    keys = jwks.get("keys")
    first = keys[0] if isinstance(keys, list) and keys else None
    return {"keys": [{**first, "kid": key_id}] if isinstance(first, Mapping) else []}


def verifies(token: SignedToken, jwk: Mapping[str, Any], version: Version) -> bool:
    """Whether the signature was made with this key's other half.

    The key's type and curve decide (``newVerifier``); its ``alg`` and ``use`` do not. A private key
    in the set verifies nothing.
    """
    kty, curve = _KEY_OF.get(token.algorithm, ("", None))
    if jwk.get("kty") != kty or (curve and jwk.get("crv") != curve) or "d" in jwk:
        return False
    algorithm = get_default_algorithms()[token.algorithm]
    try:
        key = algorithm.from_jwk(dict(jwk))
        if isinstance(key, bytes) and _too_short(key, token.algorithm, version):
            return False
        return bool(algorithm.verify(token.signing_input, key, token.signature))
    except (InvalidKeyError, ValueError, TypeError, KeyError):
        return False


def _keys(jwks: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    keys = jwks.get("keys")
    return [key for key in keys if isinstance(key, Mapping)] if isinstance(keys, list) else []


def _too_short(secret: bytes, algorithm: str, version: Version) -> bool:
    # go-jose v4 wants a shared secret no shorter than the hash (RFC 7518 section 3.2).
    return version >= JOSE_V4_SINCE and len(secret) < _HASH_SIZE[algorithm]


def _object(data: bytes, part: str) -> dict[str, Any]:
    """A JSON object without duplicate names (go-jose refuses them) and without infinite numbers."""
    try:
        value = json.loads(
            data.decode("utf-8", "replace"),
            object_pairs_hook=_unique,
            parse_float=_finite,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as error:
        raise NotASignedToken(f"the {part} is not JSON that go-jose reads") from error
    if not isinstance(value, dict):
        raise NotASignedToken(f"the {part} is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name occurs twice")
    return names


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number out of range")
    return value


def _no_constant(_: str) -> None:
    raise ValueError("not JSON")


def _decode(part: str) -> bytes:
    if len(part) % 4 == 1 or not _BASE64URL.fullmatch(part):
        raise NotASignedToken("a part is not base64url (RFC 4648 section 5)")
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
