"""Logout tokens (OpenID Connect Back-Channel Logout 1.0 sections 2.4 and 2.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from embedjwt.errors import SessionRefused
from embedjwt.oidc.provider import Provider
from embedjwt.oidc.signed import read_signed, verify_signed
from embedjwt.sources.claims import ClaimsPolicy, claim_invalid, issuer_unknown, read_time
from embedjwt.sources.compact import type_not_accepted

EVENT = "http://schemas.openid.net/event/backchannel-logout"

LOGOUT_TYPES = ("JWT", "LOGOUT+JWT")
"""``typ``, upper-cased; section 2.4 recommends the latter, and many send none."""

MAX_AGE = 300
"""Seconds after ``iat`` in which a logout token is accepted."""


@dataclass(frozen=True, slots=True)
class LogoutToken:
    """Whose session is over: ``sid`` is one session, ``sub`` a person; at least one is there.

    ``jti`` is to be used once; after ``expires_at`` (Unix seconds) no replay is accepted anyway.
    """

    sub: str | None = field(repr=False)
    sid: str | None = field(repr=False)
    jti: str
    expires_at: int


def verify_logout_token(provider: Provider, text: str, now: int) -> LogoutToken:
    """What a logout token says; ``SessionRefused`` where anything about it is not right.

    ``now`` is in Unix seconds. Whether ``jti`` was seen before is for the caller to ask. Raises
    ``UpstreamUnavailable`` where there are no keys to verify with.
    """
    if provider.issuer is None:
        raise issuer_unknown(f"source {provider.name!r} has no issuer, so nobody can end sessions")
    policy = _LogoutPolicy(
        issuer=provider.issuer,
        audience=(provider.client_id,),
        require=("iat", "jti", "events"),
        leeway=provider.leeway,
    )
    claims = verify_signed(provider, read_signed(text, LOGOUT_TYPES), policy, now)
    newest = min(read_time(claims, "exp"), read_time(claims, "iat") + MAX_AGE)
    return LogoutToken(
        sub=claims.get("sub"),
        sid=claims.get("sid"),
        jti=claims["jti"],
        expires_at=newest + provider.leeway,
    )


class _LogoutPolicy(ClaimsPolicy):
    """Section 2.6, rules 3 to 6."""

    __slots__ = ()

    def check(self, claims: Mapping[str, Any], now: int) -> None:
        self._check_required(claims)
        if claims["iss"] != self.issuer:
            raise issuer_unknown(f"the token's iss is not {self.issuer!r}, character by character")
        self._check_audience(claims)
        self.check_times(claims, now)
        if now >= read_time(claims, "iat") + MAX_AGE + self.leeway:
            raise SessionRefused("The token has expired.", code="token_expired")
        _check_event(claims)
        for name in ("sub", "sid", "jti"):
            if name in claims and not (isinstance(claims[name], str) and claims[name]):
                raise claim_invalid(name, "must be a text that is not empty")
        if "sub" not in claims and "sid" not in claims:
            raise SessionRefused(
                "The token lacks a claim that is required.",
                code="claim_missing",
                hint="a logout token needs sub, sid or both",
            )


def _check_event(claims: Mapping[str, Any]) -> None:
    events = claims["events"]
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise type_not_accepted(f"events must hold {EVENT}, which must be an object")
    # Rule 6: with a nonce it might be taken for an ID token, or be one.
    if "nonce" in claims:
        raise type_not_accepted("a logout token must not have a nonce")
