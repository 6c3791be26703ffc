"""From an authorization code, or a refresh token, to a session record."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from embedjwt.errors import SessionRefused, UpstreamUnavailable
from embedjwt.identity import Documents, VerifiedClaims
from embedjwt.oidc.authorization import LoginAttempt
from embedjwt.oidc.gather import gather
from embedjwt.oidc.id_token import verify_id_token
from embedjwt.oidc.provider import Provider
from embedjwt.oidc.token_endpoint import TokenResponse, redeem_code, refresh
from embedjwt.rules import Rules
from embedjwt.sessions import SessionRecord
from embedjwt.sources.claims import read_time

LIMIT = 20
"""Seconds that one login or renewal may take, however many requests it makes."""

AT_ONCE = 16
"""Logins and renewals at a time in a process, half of the threads it has: who only wants a token
must not wait for slow providers."""

_NEW_AT_ONCE = 12
"""Of these, logins: anybody can begin one, and nobody shall keep others' sessions from renewal."""

_PATIENCE = 5.0
"""Seconds to wait for a place, for at most ``_MAX_WAITING`` at a time."""

_MAX_WAITING = 8


class RenewalUnfinished(UpstreamUnavailable):
    """The provider has taken the refresh token and did not answer what came after it.

    ``record`` is the session as it was, with the refresh token that is good now.
    """

    def __init__(self, record: SessionRecord, hint: str) -> None:
        super().__init__("The identity provider does not answer usably at the moment.", hint=hint)
        self.record = record


class Logins:
    """The providers, and what their answers amount to. Holds no session itself.

    ``lifetime`` is the most a session lives, in seconds. ``refreshing`` names the providers whose
    refresh tokens are used.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        rules: Mapping[str, Rules],
        *,
        lifetime: int,
        refreshing: frozenset[str],
    ) -> None:
        self.providers = providers
        self._rules = rules
        self._lifetime = lifetime
        self._refreshing = refreshing
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._new = threading.BoundedSemaphore(_NEW_AT_ONCE)
        self._waiting = threading.BoundedSemaphore(_MAX_WAITING)

    def complete(self, attempt: LoginAttempt, code: str, now: int) -> SessionRecord:
        """The session of a person whom the provider has sent back with a code.

        Raises ``SessionRefused`` and ``UpstreamUnavailable``. ``now`` is in Unix seconds. To be
        called in a ``place``.
        """
        provider = self.providers[attempt.source]
        with provider.within(LIMIT):
            return self._complete(provider, attempt, code, now)

    @contextmanager
    def place(self, source: str) -> Iterator[None]:
        """One of the places there are for logins; ``UpstreamUnavailable`` where all are taken."""
        with self._one_of(self._new, source), self._one_of(self._places, source):
            yield

    def _complete(
        self, provider: Provider, attempt: LoginAttempt, code: str, now: int
    ) -> SessionRecord:
        response = redeem_code(provider, code, attempt)
        claims = None
        if response.id_token is not None and provider.uses_id_token:
            claims = verify_id_token(
                provider,
                response.id_token,
                nonce=attempt.nonce,
                now=now,
                access_token=response.access_token,
            )
        documents = gather(provider, self._rules[provider.name], claims, response.access_token, now)
        ends_at = now + self._lifetime
        return self._record(provider, documents, claims, response, now=now, ends_at=ends_at)

    def renew(self, record: SessionRecord, now: int) -> SessionRecord:
        """The same session with what the provider says today.

        Raises ``SessionRefused`` where the provider has ended it, ``UpstreamUnavailable`` where it
        does not answer.
        """
        if record.refresh_token is None:
            raise SessionRefused("The session has ended.", code="session_expired")
        provider = self.providers[record.source]
        with self._one_of(self._places, record.source), provider.within(LIMIT):
            return self._renew(provider, record, record.refresh_token, now)

    def _renew(
        self, provider: Provider, record: SessionRecord, refresh_token: str, now: int
    ) -> SessionRecord:
        response = refresh(provider, refresh_token)
        try:
            return self._renewed(provider, record, response, now)
        except (UpstreamUnavailable, SessionRefused) as error:
            # The old refresh token may be used up: what the new one came with is not worth a login.
            if isinstance(error, SessionRefused) and error.code != "key_unknown":
                raise
            token = response.refresh_token or refresh_token
            raise RenewalUnfinished(replace(record, refresh_token=token), error.hint) from error

    def _renewed(
        self, provider: Provider, record: SessionRecord, response: TokenResponse, now: int
    ) -> SessionRecord:
        claims = record.documents.id_token
        fresh = None
        if response.id_token is not None and claims is not None:
            fresh = verify_id_token(
                provider,
                response.id_token,
                nonce=None,
                now=now,
                access_token=response.access_token,
                refreshed=claims,
            )
        documents = gather(
            provider, self._rules[provider.name], fresh or claims, response.access_token, now
        )
        _same_person(record, documents)
        renewed = self._record(
            provider, documents, fresh, response, now=now, ends_at=record.ends_at
        )
        return replace(
            renewed,
            sid=record.sid,
            created_at=record.created_at,
            # RFC 6749 section 6: no new one means that the old one goes on.
            refresh_token=renewed.refresh_token or record.refresh_token,
        )

    @contextmanager
    def _one_of(self, places: threading.BoundedSemaphore, source: str) -> Iterator[None]:
        if not (places.acquire(blocking=False) or self._waited_for(places)):
            raise UpstreamUnavailable(
                "Too many people are signing in at the moment.",
                hint=f"source {source!r}: all places for logins and renewals of this process are "
                "taken; a provider is slow, or somebody floods /session/callback",
            )
        try:
            yield
        finally:
            places.release()

    def _waited_for(self, places: threading.BoundedSemaphore) -> bool:
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            return places.acquire(timeout=_PATIENCE)
        finally:
            self._waiting.release()

    def _record(
        self,
        provider: Provider,
        documents: Documents,
        claims: VerifiedClaims | None,
        response: TokenResponse,
        *,
        now: int,
        ends_at: int,
    ) -> SessionRecord:
        sid = claims.get("sid") if claims is not None else None
        renewable = provider.name in self._refreshing
        return SessionRecord(
            source=provider.name,
            issuer=provider.identity,
            sub=_subject(documents),
            sid=sid if isinstance(sid, str) else "",
            documents=documents,
            created_at=now,
            expires_at=min(_vouched_until(claims, response, now, ends_at), ends_at),
            ends_at=ends_at,
            refresh_token=response.refresh_token if renewable else None,
        )


def _vouched_until(
    claims: VerifiedClaims | None, response: TokenResponse, now: int, ends_at: int
) -> int:
    """How long the provider vouches for the person: as the ID token says, else the access token."""
    if claims is not None:
        return read_time(claims, "exp")
    return ends_at if response.expires_in is None else now + response.expires_in


def _subject(documents: Documents) -> str:
    """What the provider calls the person."""
    for _, claims in documents.in_order():
        for name in ("sub", "login"):
            value = claims.get(name)
            if isinstance(value, str) and value:
                return value
    return ""


def _same_person(record: SessionRecord, documents: Documents) -> None:
    """A refreshed session stays the same person's (OpenID Connect Core 1.0 section 12.2)."""
    if _subject(documents) != record.sub:
        raise SessionRefused(
            "The provider's answer is about another person.",
            code="session_invalid",
            hint=f"source {record.source!r}: sub changed when the session was renewed",
        )
