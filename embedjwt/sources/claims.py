"""What the registered claims of an upstream JWT must say (RFC 7519 section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from embedjwt.errors import SessionRefused
from embedjwt.sources.compact import type_not_accepted

MAX_TIME = 253_402_300_799
"""Unix seconds of the last second of the year 9999; a time beyond is a mistake or an attack."""


@dataclass(frozen=True, slots=True)
class ClaimsPolicy:
    """Whose tokens are accepted, for whom, and when.

    An empty ``audience`` means that tokens carry no ``aud``. ``leeway`` is in seconds.
    """

    issuer: str
    audience: tuple[str, ...]
    require: tuple[str, ...]
    leeway: int

    def check(self, claims: Mapping[str, Any], now: int) -> None:
        """Raise ``SessionRefused``, with the exact code, at the first claim that is not right."""
        # RFC 8417 section 2.2: events makes it a security event token. A logout token is one, has
        # the key, iss and aud of an ID token, and need not say in typ what it is (OpenID Connect
        # Back-Channel Logout 1.0 section 2.4).
        if "events" in claims:
            raise type_not_accepted("a token with events, such as a logout token, is no session")
        self._check_required(claims)
        if claims["iss"] != self.issuer:
            raise issuer_unknown(f"the token's iss is not {self.issuer!r}, character by character")
        self._check_audience(claims)
        subject = claims.get("sub", "-")
        if not isinstance(subject, str) or not subject:
            raise claim_invalid("sub", "must be a text that is not empty")
        self.check_times(claims, now)

    def check_times(self, claims: Mapping[str, Any], now: int) -> None:
        """``exp``, ``nbf`` and ``iat`` against ``now``, which is in Unix seconds."""
        if now >= read_time(claims, "exp") + self.leeway:
            raise SessionRefused("The token has expired.", code="token_expired")
        for name in ("nbf", "iat"):
            if name in claims and now < read_time(claims, name) - self.leeway:
                raise SessionRefused(
                    "The token is not valid yet.",
                    code="token_not_yet_valid",
                    hint=f"{name} lies ahead by more than leeway ({self.leeway} s); compare clocks",
                )

    def _check_required(self, claims: Mapping[str, Any]) -> None:
        # exp is required whatever the settings say: it is what bounds the life of our own token.
        for name in ("iss", "exp", *self.require):
            if claims.get(name) is None:
                raise SessionRefused(
                    "The token lacks a claim that is required.",
                    code="claim_missing",
                    hint=f"the claim {name!r} is missing",
                )

    def _check_audience(self, claims: Mapping[str, Any]) -> None:
        if "aud" not in claims and not self.audience:
            return
        named = claims.get("aud")
        audiences = [named] if isinstance(named, str) else named
        if not isinstance(audiences, list) or not all(isinstance(a, str) for a in audiences):
            raise audience_mismatch("aud is missing, or neither a text nor a list of texts")
        # RFC 7519 section 4.1.3: whoever does not find itself in aud must refuse the token. With
        # audience = [] that is every token that has an aud.
        if not set(self.audience) & set(audiences):
            raise audience_mismatch("no audience in the settings is in the token's aud")


def read_time(claims: Mapping[str, Any], name: str) -> int:
    """A NumericDate (RFC 7519 section 2) in whole Unix seconds."""
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise claim_invalid(name, "must be a number of seconds")
    # NaN and infinity are not between any two numbers.
    if not 0 <= value <= MAX_TIME:
        raise claim_invalid(name, "is no time of this age")
    return int(value)


def issuer_unknown(hint: str) -> SessionRefused:
    """The refusal of a token that no configured issuer has made."""
    return SessionRefused(
        "The token's issuer is not accepted here.", code="issuer_unknown", hint=hint
    )


def audience_mismatch(hint: str) -> SessionRefused:
    """The refusal of a token that was made for somebody else."""
    return SessionRefused(
        "The token was made for another audience.", code="audience_mismatch", hint=hint
    )


def claim_invalid(name: str, why: str) -> SessionRefused:
    """The refusal of a claim of the wrong kind."""
    return SessionRefused(
        "A claim of the token is not of the right kind.",
        code="claim_invalid",
        hint=f"the claim {name!r} {why}",
    )
