"""What the tests of the OpenID Connect client share: keys, tokens, and a provider on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from embedjwt.oidc.authorization import LoginAttempt, new_attempt
from embedjwt.oidc.provider import Provider
from embedjwt.outbound import Outbound
from loopback_server import LoopbackServer

NOW = 1_800_000_000
CLIENT = "embed"
SECRET = "s3cret:%/+"
CALLBACK = "https://embed.example.com/session/callback"
DISCOVERY = "/.well-known/openid-configuration"

EC_KEY = ec.generate_private_key(ec.SECP256R1())
NEW_EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def jwk(key: Any, kid: str) -> dict[str, Any]:
    reader = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**reader.to_jwk(key.public_key(), as_dict=True), "kid": kid}


KEYS = (jwk(EC_KEY, "ec-1"), jwk(RSA_KEY, "rsa-1"))


def pem(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def without_none(claims: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if value is not None}


def sign(
    claims: dict[str, Any] | bytes,
    *,
    key: Any = EC_KEY,
    alg: str = "ES256",
    kid: str | None = "ec-1",
    **header: Any,
) -> str:
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    named = {} if kid is None else {"kid": kid}
    return jwt.api_jws.encode(body, key, algorithm=alg, headers={**named, **header})


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def at_hash(access_token: str) -> str:
    return b64(hashlib.sha256(access_token.encode()).digest()[:16])


def publish(server: LoopbackServer, *, keys: Any = KEYS, **changes: Any) -> None:
    """Metadata and keys, with changes to the metadata; ``None`` takes a value away."""
    url = server.url
    metadata = {
        "issuer": url,
        "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token",
        "userinfo_endpoint": f"{url}/userinfo",
        "jwks_uri": f"{url}/jwks",
        "end_session_endpoint": f"{url}/end",
        **changes,
    }
    server.answers_json(DISCOVERY, without_none(metadata))
    server.answers_json("/jwks", {"keys": list(keys)})


def provider_of(issuer: str | None, clock: Clock | None = None, **changes: Any) -> Provider:
    clock = clock or Clock()
    values: dict[str, Any] = {
        "name": "idp",
        "client_id": CLIENT,
        "client_secret": SECRET,
        "issuer": issuer,
        "auth_url": None,
        "token_url": None,
        "api_url": None,
        "teams_url": None,
        "jwk_set_url": None,
        "team_ids_attribute_path": None,
        "scopes": ("openid", "email"),
        "use_pkce": True,
        "auth_style": "AutoDetect",
        "id_token_attribute_name": "id_token",
        "algorithms": ("RS256", "ES256"),
        "leeway": 60,
        "outbound": Outbound(verify=True, clock=clock),
        "clock": clock,
        "timeout": 1,
    }
    return Provider(**{**values, **changes})


def attempt(**changes: Any) -> LoginAttempt:
    values: dict[str, Any] = {
        "redirect_uri": CALLBACK,
        "prompt": "none",
        "now": NOW,
        "return_to": "/",
        "display": "page",
        "opener_origin": "",
        "clicked": False,
    }
    return new_attempt("idp", **{**values, **changes})
