"""``type = "jwt"``: an upstream JWT in a header or a cookie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError
from werkzeug.wrappers import Request

from embedjwt.errors import SessionRefused
from embedjwt.identity import Documents, UpstreamSession, VerifiedClaims
from embedjwt.sources.carrier import Carrier, Places
from embedjwt.sources.claims import ClaimsPolicy, issuer_unknown, read_time
from embedjwt.sources.compact import UnverifiedToken, parse_compact
from embedjwt.sources.jwks import KeySource
from embedjwt.sources.keyset import KeySet, VerificationKey
from embedjwt.sources.sessions import Verified, VerifiedSessions

_NOT_OURS = ("token_malformed", "issuer_unknown")
"""How a token is refused that is opaque, or encrypted, or of somebody else."""


class JwtVerifier:
    """What one issuer's tokens must look like, and with which keys they are verified."""

    def __init__(
        self,
        *,
        name: str,
        subject_prefix: str,
        policy: ClaimsPolicy,
        algorithms: tuple[str, ...],
        keys: KeySource,
    ) -> None:
        self.name = name
        self.issuer = policy.issuer
        self._subject_prefix = subject_prefix
        self._policy = policy
        self._algorithms = algorithms
        self._keys = keys
        self._jws = PyJWS(algorithms=algorithms)

    def confirms(self, verified: Verified, now: int) -> bool:
        """Whether what was verified a moment ago still holds: same keys, and in time."""
        if verified.keys is not self._keys.current():
            return False
        self._policy.check_times(verified.session.documents.id_token or {}, now)
        return True

    def verify(self, token: UnverifiedToken, now: int, *, ambient: bool) -> Verified:
        """The session of a token; ``SessionRefused`` says by its code what is wrong with it."""
        if token.alg not in self._algorithms:
            raise SessionRefused(
                "The token's algorithm is not accepted here.",
                code="algorithm_not_allowed",
                hint=f"source {self.name!r} accepts {', '.join(self._algorithms)} (algorithms)",
            )
        keys, key = self._find_key(token)
        claims = self._verified_claims(token, key)
        self._policy.check(claims, now)
        session = UpstreamSession(
            source=self.name,
            documents=Documents(id_token=claims),
            expires_at=read_time(claims, "exp"),
            ambient=ambient,
            subject_prefix=self._subject_prefix,
        )
        return Verified(session, issuer=self.issuer, keys=keys, at=now)

    def _find_key(self, token: UnverifiedToken) -> tuple[KeySet, VerificationKey]:
        keys = self._keys.current()
        key = keys.select(token.kid, token.alg)
        if key is None:
            keys = self._keys.after_unknown_kid()
            key = keys.select(token.kid, token.alg)
        if key is None:
            raise SessionRefused(
                "The token was signed with a key that is not known.",
                code="key_unknown",
                hint=f"no key of source {self.name!r} has the token's kid and fits its alg, or it "
                "has no kid and several fit; a rotated key is found within 30 seconds",
            )
        return keys, key

    def _verified_claims(self, token: UnverifiedToken, key: VerificationKey) -> VerifiedClaims:
        try:
            self._jws.decode_complete(
                token.text,
                key=key.key,
                algorithms=self._algorithms,
                options={"verify_signature": True, "enforce_minimum_key_length": True},
            )
        except (PyJWTError, ValueError, TypeError):
            raise SessionRefused(
                "The token's signature is not valid.",
                code="signature_invalid",
                hint=f"source {self.name!r} has other keys than the one that signed",
            ) from None
        return VerifiedClaims(token.claims)


class JwtTokens:
    """A session source: the JWTs of one carrier, from one issuer or several.

    Several ``[[source]]`` tables that look at the same place share one of these, so that a token of
    an issuer nobody knows is refused here and nothing else answers for it. Where a later source
    asks about opaque tokens at the same place (``others_follow``), what is no JWT of a known issuer
    is left to that one.
    """

    def __init__(
        self,
        carrier: Carrier,
        verifiers: Mapping[str, JwtVerifier],
        *,
        others_follow: bool = False,
    ) -> None:
        self._carrier = carrier
        self._verifiers = verifiers
        self._others_follow = others_follow
        self._seen = VerifiedSessions()

    @property
    def name(self) -> str:
        """The names of all of them."""
        return "+".join(verifier.name for verifier in self._verifiers.values())

    @property
    def places(self) -> Places:
        """Where its carrier looks."""
        return self._carrier.places

    def session(self, request: Request, now: int) -> UpstreamSession | None:
        """The session of the token that the carrier holds; ``None`` where it holds none for us."""
        text = self._carrier.read(request)
        if text is None:
            return None
        seen = self._seen.get(text, now)
        if seen is not None and self._verifiers[seen.issuer].confirms(seen, now):
            return seen.session
        try:
            token = parse_compact(text)
            verifier = self._verifier(token.claims)
        except SessionRefused as refused:
            if self._others_follow and refused.code in _NOT_OURS:
                return None
            raise
        verified = verifier.verify(token, now, ambient=self._carrier.ambient)
        self._seen.put(text, verified)
        return verified.session

    def _verifier(self, claims: Mapping[str, Any]) -> JwtVerifier:
        issuer = claims.get("iss")
        verifier = self._verifiers.get(issuer) if isinstance(issuer, str) else None
        if verifier is None:
            known = ", ".join(repr(name) for name in self._verifiers)
            raise issuer_unknown(f"iss must be exactly {known}; a trailing slash counts")
        return verifier
