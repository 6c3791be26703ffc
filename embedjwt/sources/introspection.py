"""``type = "introspection"``: opaque bearer tokens; their issuer is asked (RFC 7662)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from werkzeug.wrappers import Request

from embedjwt.errors import SessionRefused
from embedjwt.identity import Documents, UpstreamSession, VerifiedClaims
from embedjwt.sources.carrier import Carrier, Places
from embedjwt.sources.claims import (
    ClaimsPolicy,
    audience_mismatch,
    claim_invalid,
    issuer_unknown,
    read_time,
)
from embedjwt.sources.compact import MAX_TOKEN_LENGTH, type_not_accepted
from embedjwt.sources.introspection_endpoint import IntrospectionEndpoint
from embedjwt.sources.single_flight import SingleFlight

UNTOLD_LIFE = 120
"""Seconds that a session lives whose end the provider does not tell: twice the longest
``cache_ttl``, so that what is remembered of it always has some life left."""

_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
"""RFC 6750 section 2.1."""

_KINDS = {
    "token_type": {"bearer", "access_token"},
    "token_use": {"access_token", "access"},
    "typ": {"bearer", "jwt", "at+jwt"},
}
"""Members that tell an access token from others, and what they say then, in lower case.

A provider may be asked about refresh tokens as well (RFC 7662 section 2.1), and about tokens that
are good only together with a key (RFC 9449 section 6.2). ``token_use`` is Ory Hydra's, ``typ``
Keycloak's.
"""


@dataclass(frozen=True, slots=True)
class IntrospectionPolicy:
    """What an answer must say. ``issuer`` is ``None`` where none is configured.

    An empty ``audience`` takes the tokens made for anybody. ``leeway`` is in seconds.
    """

    issuer: str | None
    audience: tuple[str, ...]
    required_scopes: tuple[str, ...]
    leeway: int

    def claims(self, answer: Mapping[str, Any], now: int) -> VerifiedClaims:
        """What the answer says of the person; ``SessionRefused`` where it vouches for nobody."""
        # Only true itself: "false" is a text, and 1 is no answer to this question.
        if answer.get("active") is not True:
            raise SessionRefused(
                "The token is not valid, or not any more.",
                code="token_inactive",
                hint="the provider does not call it active: it is over, revoked, or another's",
            )
        _check_kind(answer)
        self._check_for_whom(answer)
        if not isinstance(answer.get("sub"), str) or not answer["sub"]:
            raise claim_invalid("sub", "of the answer must be a text that is not empty")
        self.check_times(answer, now)
        return VerifiedClaims({name: v for name, v in answer.items() if name != "active"})

    def check_times(self, answer: Mapping[str, Any], now: int) -> None:
        """``exp``, ``nbf`` and ``iat``, where the answer has them; ``now`` in Unix seconds."""
        policy = ClaimsPolicy("", (), (), self.leeway)
        policy.check_times({"exp": now + 1, **answer}, now)

    def _check_for_whom(self, answer: Mapping[str, Any]) -> None:
        if self.issuer is not None and answer.get("iss", self.issuer) != self.issuer:
            raise issuer_unknown(f"the answer's iss is not {self.issuer!r}, to the character")
        named = answer.get("aud", [])
        audiences = [named] if isinstance(named, str) else named
        if not isinstance(audiences, list):
            raise audience_mismatch("aud is neither a text nor a list")
        if self.audience and not any(audience in audiences for audience in self.audience):
            raise audience_mismatch("no audience in the settings is in the answer's aud")
        scope = answer.get("scope", "")
        missing = set(self.required_scopes) - set(
            scope.split(" ") if isinstance(scope, str) else ()
        )
        if missing:
            raise SessionRefused(
                "The token was not given for this purpose.",
                code="scope_missing",
                hint=f"the answer's scope lacks {', '.join(sorted(missing))} (required_scopes)",
            )


class OpaqueTokens:
    """A session source: the tokens of one carrier, whatever they look like.

    An answer is remembered for ``cache_ttl`` seconds at most, under the token's SHA-256, and never
    longer than the token lives.
    """

    def __init__(
        self,
        *,
        name: str,
        subject_prefix: str,
        carrier: Carrier,
        policy: IntrospectionPolicy,
        endpoint: IntrospectionEndpoint,
        answers: SingleFlight[UpstreamSession],
        cache_ttl: int,
    ) -> None:
        self.name = name
        self._subject_prefix = subject_prefix
        self._carrier = carrier
        self._policy = policy
        self._endpoint = endpoint
        self._answers = answers
        self._cache_ttl = cache_ttl

    @property
    def places(self) -> Places:
        """Where its carrier looks."""
        return self._carrier.places

    def session(self, request: Request, now: int) -> UpstreamSession | None:
        """The session of the token that the carrier holds; ``None`` where it holds none."""
        token = self._carrier.read(request)
        if token is None:
            return None
        _check_form(token)
        digest = hashlib.sha256(token.encode()).digest()
        session = self._answers.ask(digest, partial(self._ask, token, now))
        self._policy.check_times(session.documents.id_token or {}, now)
        return session

    def _ask(self, token: str, now: int, deadline: float) -> tuple[UpstreamSession, float]:
        claims = self._policy.claims(self._endpoint.introspect(token, deadline), now)
        session = UpstreamSession(
            source=self.name,
            documents=Documents(
                id_token=claims, userinfo=self._endpoint.userinfo(token, claims["sub"], deadline)
            ),
            expires_at=read_time(claims, "exp") if "exp" in claims else now + UNTOLD_LIFE,
            ambient=self._carrier.ambient,
            subject_prefix=self._subject_prefix,
        )
        left = (session.expires_at or 0) - now
        return session, max(0, min(self._cache_ttl, left))


def _check_form(token: str) -> None:
    if len(token) > MAX_TOKEN_LENGTH:
        raise SessionRefused(
            "The token is too long.",
            code="token_too_large",
            hint=f"at most {MAX_TOKEN_LENGTH} characters",
        )
    if not _B64TOKEN.fullmatch(token):
        raise SessionRefused(
            "The token is not a well-formed bearer token.",
            code="token_malformed",
            hint="it has a character that RFC 6750 section 2.1 does not allow, or is empty",
        )


def _check_kind(answer: Mapping[str, Any]) -> None:
    for name, accepted in _KINDS.items():
        said = answer.get(name)
        if said is not None and (not isinstance(said, str) or said.lower() not in accepted):
            raise type_not_accepted(f"the answer's {name} is not that of a bearer access token")
    if answer.get("cnf") is not None:
        raise type_not_accepted("the token is good only together with a key (cnf)")
