"""ID tokens from a token endpoint (OpenID Connect Core 3.1.3.7 and 12.2), and access tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import structlog

from embedjwt.errors import SessionRefused, UpstreamUnavailable
from embedjwt.identity import VerifiedClaims
from embedjwt.oidc.provider import Provider
from embedjwt.oidc.signed import read_signed, verify_signed
from embedjwt.sources.claims import ClaimsPolicy, audience_mismatch, issuer_unknown
from embedjwt.sources.compact import type_not_accepted

_log = structlog.get_logger("embedjwt.oidc")

_HASHES = {
    "256": hashlib.sha256,
    "384": hashlib.sha384,
    "512": hashlib.sha512,
    "DSA": hashlib.sha512,
}
"""By the end of ``alg``. EdDSA is Ed25519 here, which has SHA-512 inside (RFC 8032)."""


def verify_id_token(
    provider: Provider,
    text: str,
    *,
    nonce: str | None,
    now: int,
    access_token: str | None,
    refreshed: VerifiedClaims | None = None,
) -> VerifiedClaims:
    """The claims of an ID token for us; ``SessionRefused`` where anything about it is not right.

    ``nonce`` is the one of the login, ``None`` only for a refresh, where ``refreshed`` are the
    claims of the ID token before. ``now`` is in Unix seconds. Where there is an ``at_hash`` it
    must be of ``access_token``. Raises ``UpstreamUnavailable`` where there are no keys to verify
    with.
    """
    token = read_signed(text, ("JWT",))
    policy = ClaimsPolicy(
        issuer=_issuer(provider),
        audience=(provider.client_id,),
        require=("sub", "iat"),
        leeway=provider.leeway,
    )
    claims = verify_signed(provider, token, policy, now)
    _check_authorized_party(claims, provider.client_id)
    _check_nonce(claims, nonce, refreshed)
    if access_token is not None:
        _check_access_token(claims, token.alg, access_token)
    if refreshed is not None:
        _check_continuity(claims, refreshed)
    return claims


def verify_access_token(provider: Provider, text: str, now: int) -> VerifiedClaims | None:
    """The claims of an access token that is a JWT by this provider, and in time; else ``None``.

    Whom it is for is not asked, since it came to us straight from the provider and is not for us.
    Whether its ``sub`` is the person is for the caller to see.
    """
    if text.count(".") != 2 or not provider.uses_id_token:
        return None
    policy = _AnyAudience(_issuer(provider), (), require=(), leeway=provider.leeway)
    try:
        return verify_signed(provider, read_signed(text, ("JWT", "AT+JWT")), policy, now)
    except (SessionRefused, UpstreamUnavailable) as error:
        _log.info(
            "oidc.access_token_unused", source=provider.name, code=error.code, hint=error.hint
        )
        return None


class _AnyAudience(ClaimsPolicy):
    """The provider's own token, for whatever audience."""

    __slots__ = ()

    def check(self, claims: Mapping[str, Any], now: int) -> None:
        if "events" in claims:
            raise type_not_accepted("a token with events is no access token")
        self._check_required(claims)
        if claims["iss"] != self.issuer:
            raise issuer_unknown(f"the token's iss is not {self.issuer!r}")
        self.check_times(claims, now)


def _issuer(provider: Provider) -> str:
    if provider.issuer is None:
        raise issuer_unknown(f"source {provider.name!r} has no issuer, so no token of it counts")
    return provider.issuer


def _check_authorized_party(claims: VerifiedClaims, client_id: str) -> None:
    """OpenID Connect Core 3.1.3.7, rules 4 and 5."""
    audiences = claims["aud"]
    several = isinstance(audiences, list) and len(audiences) > 1
    if claims.get("azp", None if several else client_id) != client_id:
        raise audience_mismatch("azp must be our client_id, and must be there with several aud")


def _check_nonce(
    claims: VerifiedClaims, nonce: str | None, refreshed: VerifiedClaims | None
) -> None:
    """Rule 11; section 12.2: a refreshed ID token should have none, or else the first one's."""
    found = claims.get("nonce")
    if refreshed is not None and found is None:
        return
    expected = nonce if refreshed is None else refreshed.get("nonce")
    if (
        not isinstance(found, str)
        or not isinstance(expected, str)
        or not hmac.compare_digest(found.encode(), expected.encode())
    ):
        raise SessionRefused(
            "The ID token is not the answer to this login.",
            code="nonce_mismatch",
            hint="its nonce is missing or another one: a token of another login was slipped in",
        )


def _check_access_token(claims: VerifiedClaims, alg: str, access_token: str) -> None:
    """Rule of section 3.1.3.8: the left half of the access token's hash."""
    if "at_hash" not in claims:
        return
    digest = _HASHES[alg[-3:]](access_token.encode()).digest()
    expected = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    found = claims["at_hash"]
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(), expected):
        raise SessionRefused(
            "The access token does not belong to the ID token.",
            code="at_hash_mismatch",
            hint="at_hash is not that of the access token beside it",
        )


def _check_continuity(claims: VerifiedClaims, earlier: VerifiedClaims) -> None:
    """Section 12.2: the same person, from the same issuer, for the same audience."""
    same = claims["iss"] == earlier.get("iss") and claims["sub"] == earlier.get("sub")
    if not same or _audiences(claims) != _audiences(earlier):
        raise SessionRefused(
            "The refreshed ID token is not of this session.",
            code="id_token_changed",
            hint="its iss, sub or aud differs from the first one's (OpenID Connect Core 12.2)",
        )


def _audiences(claims: VerifiedClaims) -> set[str]:
    audience = claims.get("aud", [])
    return {audience} if isinstance(audience, str) else set(audience)
