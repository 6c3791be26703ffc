"""A stand-in for an identity provider, on loopback, whose every answer a test can replace.

Nobody signs in at it, and it is no provider: it does what one has to do for a login, until it is
made to turn evil. Real providers of two makes are in ``openid_providers``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from embedjwt.oidc.logout_token import EVENT
from loopback_server import Answering, LoopbackServer, reply

CLIENT = "embed-client"
SECRET = "the client secret of the stand-in"
LIFE = 3600
"""Seconds that its tokens live."""

DISCOVERY = "/.well-known/openid-configuration"

EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
STRANGE_KEY = ec.generate_private_key(ec.SECP256R1())
"""A key that nobody publishes."""


def jwk(key: Any, kid: str) -> dict[str, Any]:
    reader = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**reader.to_jwk(key.public_key(), as_dict=True), "kid": kid}


PUBLISHED = (jwk(EC_KEY, "ec"), jwk(RSA_KEY, "rsa"))


def encoded(value: Any) -> str:
    """A part of a JWT: bytes as they are, anything else as JSON."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(
    claims: dict[str, Any] | bytes,
    key: Any = EC_KEY,
    alg: str = "ES256",
    **header: Any,
) -> str:
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return jwt.api_jws.encode(body, key, algorithm=alg, headers={"kid": "ec", **header})


def without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def challenge(code_verifier: str) -> str:
    """RFC 7636 section 4.2, S256."""
    return encoded(hashlib.sha256(code_verifier.encode()).digest())


@dataclass(frozen=True)
class Grant:
    """What a code was given for. ``claims`` say whom the provider took the person for."""

    nonce: str
    challenge: str
    redirect_uri: str
    claims: dict[str, Any]


@dataclass
class StandIn:
    """Honest as long as nothing below is replaced; a ``None`` among changes takes a value away."""

    server: LoopbackServer
    clock: Callable[[], float]
    metadata: dict[str, Any] = field(default_factory=dict)
    keys: list[dict[str, Any]] = field(default_factory=lambda: list(PUBLISHED))
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    forge: Callable[[dict[str, Any]], Any] | None = None
    """Makes of the claims what comes in place of the ID token."""
    response: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    endpoints: dict[str, Answering] = field(default_factory=dict)
    """By path: what is answered in place of all that."""
    secrets: list[str] = field(default_factory=lambda: [SECRET])
    """Whatever nobody else may read."""
    grants: dict[str, Grant] = field(default_factory=dict)
    """By their codes; a code is good for once."""
    _refreshed: dict[str, Grant] = field(default_factory=dict)

    def __post_init__(self) -> None:
        answers = {
            DISCOVERY: lambda: self.discovery,
            "/jwks": lambda: {"keys": self.keys},
            "/userinfo": lambda: without_none({"sub": "jane"} | self.userinfo),
            "/token": self._token_response,
        }
        for path, document in answers.items():
            self.server.answers[path] = self._answering(path, document)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def discovery(self) -> dict[str, Any]:
        honest = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            "end_session_endpoint": f"{self.url}/end",
            "authorization_response_iss_parameter_supported": True,
        }
        return without_none(honest | self.metadata)

    def authorize(self, location: str, sub: str = "jane", **claims: Any) -> dict[str, str]:
        """The authorization response to the request in ``location``, for a person signed in."""
        asked = dict(parse_qsl(urlsplit(location).query))
        self.secrets += [asked["state"], asked["nonce"]]
        code = self._secret()
        self.grants[code] = Grant(
            nonce=asked["nonce"],
            challenge=asked["code_challenge"],
            redirect_uri=asked["redirect_uri"],
            claims={"sub": sub, "email": f"{sub}@example.com"} | claims,
        )
        return {"code": code, "state": asked["state"], "iss": self.url}

    def logout_token(self, key: Any = EC_KEY, alg: str = "ES256", **changes: Any) -> str:
        """For jane; ``header`` among the changes goes into the header."""
        header = changes.pop("header", {"typ": "logout+jwt"})
        now = int(self.clock())
        honest = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "jane",
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_hex(8),
            "events": {EVENT: {}},
        }
        return signed(without_none(honest | changes), key, alg, **header)

    def id_claims(self, grant: Grant) -> dict[str, Any]:
        now = int(self.clock())
        honest = {
            "iss": self.url,
            "aud": CLIENT,
            "iat": now,
            "exp": now + LIFE,
            "nonce": grant.nonce,
            **grant.claims,
        }
        return without_none(honest | self.claims)

    def forms(self) -> list[dict[str, str]]:
        """What the token endpoint was asked."""
        return [asked.form for asked in self.server.asked if asked.path == "/token"]

    def _answering(self, path: str, document: Callable[[], Any]) -> Answering:
        def answer(handler: Any) -> None:
            if path in self.endpoints:
                self.endpoints[path](handler)
                return
            found = document()
            status = 400 if "error" in found else 200
            reply(handler, json.dumps(found).encode(), status, {})

        return answer

    def _token_response(self) -> dict[str, Any]:
        form = self.forms()[-1]
        self.secrets += [value for name, value in form.items() if name == "code_verifier"]
        grant = self._granted(form)
        if grant is None:
            return {"error": "invalid_grant", "error_description": "used, unknown or of another"}
        claims = self.id_claims(grant)
        id_token = self.forge(claims) if self.forge else signed(claims, **self.header)
        refresh_token = self._secret()
        self._refreshed[refresh_token] = grant
        honest = {
            "access_token": self._secret(),
            "token_type": "Bearer",
            "expires_in": LIFE,
            "refresh_token": refresh_token,
            "id_token": id_token,
        }
        self.secrets += [id_token] if isinstance(id_token, str) and id_token else []
        return without_none(honest | self.response)

    def _granted(self, form: dict[str, str]) -> Grant | None:
        if form["grant_type"] == "refresh_token":
            return self._refreshed.pop(form["refresh_token"], None)
        grant = self.grants.pop(form["code"], None)
        if grant is None or grant.redirect_uri != form["redirect_uri"]:
            return None
        return grant if grant.challenge == challenge(form.get("code_verifier", "")) else None

    def _secret(self) -> str:
        made = secrets.token_urlsafe(24)
        self.secrets.append(made)
        return made
