"""A provider on loopback, and a section of settings by which somebody signs in there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from embedjwt.config import Settings
from embedjwt.identity import Identity
from embedjwt.oidc.authorization import LoginAttempt, new_attempt
from embedjwt.oidc.build import build_providers
from embedjwt.oidc.logins import Logins
from embedjwt.rules import build_rules
from embedjwt.sessions import SessionRecord
from loopback_server import LoopbackServer, reply

NOW = 1_800_000_000
KEY = ec.generate_private_key(ec.SECP256R1())
JWKS = {"keys": [ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "k1"}]}

EXAMPLE: dict[str, Any] = {
    "name": "OAuth",
    "icon": "signin",
    "enabled": True,
    "client_id": "YOUR_APP_CLIENT_ID",
    "client_secret": "YOUR_APP_CLIENT_SECRET",
    "scopes": "",
    "empty_scopes": False,
    "auth_url": "https://idp.example.com/authorize",
    "token_url": "https://idp.example.com/token",
    "api_url": "https://idp.example.com/userinfo",
    "allowed_domains": "mycompany.com mycompany.org",
    "allow_sign_up": True,
    "tls_skip_verify_insecure": False,
    "tls_client_cert": "cert.pem",
    "tls_client_key": "key.pem",
    "tls_client_ca": "ca.pem",
    "use_pkce": True,
    "auth_style": "",
}
"""The page's example section, with what it leaves open filled in."""

OPENID = {
    "issuer": "https://idp.example.com",
    "jwk_set_url": "https://idp.example.com/jwks",  # so that nothing has to be discovered
}


def oidc(**keys: Any) -> dict[str, Any]:
    """A source by which people sign in."""
    names = ("client_id", "auth_url", "token_url", "api_url")
    return {"type": "oidc", **{name: EXAMPLE[name] for name in names}, **keys}


def sign(claims: dict[str, Any], key: Any = KEY) -> str:
    return jwt.encode(claims, key, "ES256", headers={"kid": "k1"})


def attempted(settings: Settings) -> LoginAttempt:
    """A login has begun, at the only source."""
    return new_attempt(
        settings.source[0].name,
        redirect_uri="https://embed.example.com/session/callback",
        prompt="none",
        now=NOW,
        return_to="",
        display="page",
        opener_origin="",
        clicked=False,
    )


def completed(settings: Settings, attempt: LoginAttempt, lifetime: int = 3600) -> SessionRecord:
    """The person has come back with a code."""
    logins = Logins(
        build_providers(settings),
        build_rules(settings),
        lifetime=lifetime,
        refreshing=frozenset(s.name for s in settings.source if s.use_refresh_token),
    )
    return logins.complete(attempt, "c0de", NOW)


def admitted(settings: Settings, record: SessionRecord) -> Identity:
    """Who that is in Grafana; raises what a token would be refused with."""
    rules = build_rules(settings)[settings.source[0].name]
    identity = rules.mapper.identity(record.documents, settings.grafana[0])
    rules.admission.check(identity, record.documents)
    return identity


@dataclass(frozen=True)
class Idp:
    """``/token``, ``/jwks``, and an API below ``/api``; what is not told is a 404."""

    server: LoopbackServer
    make_settings: Callable[..., Settings]

    @property
    def section(self) -> dict[str, Any]:
        """What of Grafana's section is the same for all."""
        url = self.server.url
        return {
            "type": "oidc",
            "name": "idp",
            "client_id": "grafana",
            "client_secret": "s3cret",
            "auth_url": f"{url}/authorize",
            "token_url": f"{url}/token",
            "api_url": f"{url}/api",
        }

    def settings(self, *, openid: bool = True, **keys: Any) -> Settings:
        """``openid``: an ID token is asked for; otherwise this is plain OAuth 2.0."""
        trusted = {"issuer": self.server.url, "jwk_set_url": f"{self.server.url}/jwks"}
        return self.make_settings(source=[self.section | (trusted if openid else {}) | keys])

    def record(
        self,
        *,
        id_token: dict[str, Any] | None = None,
        api: dict[str, Any] | None = None,
        access_token: str = "opaque",
        tokens: dict[str, Any] | None = None,
        lifetime: int = 3600,
        **keys: Any,
    ) -> SessionRecord:
        """Somebody signs in.

        ``id_token`` are its claims, ``None``: there is none; ``api`` answers by what follows
        ``/api`` in the path; ``tokens`` is more of the token response; ``keys`` of the section.
        """
        settings = self.settings(openid=id_token is not None, **keys)
        attempt = attempted(settings)
        given = {"access_token": access_token, **(tokens or {})}
        if id_token is not None:
            given[keys.get("id_token_attribute_name", "id_token")] = sign(
                {
                    "iss": self.server.url,
                    "aud": "grafana",
                    "sub": "u1",
                    "iat": NOW,
                    "exp": NOW + 600,
                    "nonce": attempt.nonce,
                    **id_token,
                }
            )
        self.server.answers_json("/token", given)
        self.server.answers_json("/jwks", JWKS)
        for path, document in (api or {}).items():
            self.server.answers[f"/api{path}"] = with_bearer(access_token, document)
        return completed(settings, attempt, lifetime)

    def login(self, **told: Any) -> Identity:
        """Who that is in Grafana; raises what a token would be refused with."""
        record = self.record(**told)
        known = {"id_token", "api", "access_token", "tokens", "lifetime"}
        keys = {key: value for key, value in told.items() if key not in known}
        return admitted(self.settings(openid=told.get("id_token") is not None, **keys), record)

    def api_paths(self) -> list[str]:
        """What of the API was asked for, in order."""
        return [path for path in self.server.paths() if path.startswith("/api")]


def with_bearer(access_token: str, document: Any) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer for whoever has the token; a number is a status without one."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        known = handler.headers.get("Authorization") == f"Bearer {access_token}"
        status = document if isinstance(document, int) else 200
        body = b"" if isinstance(document, int) else json.dumps(document).encode()
        reply(handler, body, status if known else 401, {})

    return answer
