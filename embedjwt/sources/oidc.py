"""``type = "oidc"``: embedjwt's own session, which a login at a provider has opened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog
from werkzeug.wrappers import Request

from embedjwt.errors import SessionRefused, UpstreamUnavailable
from embedjwt.identity import UpstreamSession
from embedjwt.sessions import SessionCookie, SessionRecord, SessionStore, StoredSession
from embedjwt.sessions.known import KnownSessions, upstream_session
from embedjwt.sources.carrier import Places

RENEW_BEFORE = 60
"""Seconds before its end from which a session is renewed, if it can be."""

LEASE = 60
"""Seconds one process has for a renewal before another may try; longer than any of them takes
(``oidc/logins.py``, ``LIMIT``, and a wait for keys)."""

RETRY_AFTER = 5
"""Seconds without a new attempt after a renewal that the provider did not answer."""

_MAX_WAITING = 4
"""Requests of a process that wait for another's renewal; the next are told to come again."""

_PATIENCE = 10
"""Seconds to wait for another's renewal of a session that is over."""

_POLL = 0.1
_MAX_REMEMBERED = 4096

_log = structlog.get_logger("embedjwt.sessions")

Renew = Callable[[SessionRecord, int], SessionRecord]
"""Asks the provider; raises ``SessionRefused`` where it is over, ``UpstreamUnavailable``."""


@dataclass(frozen=True, slots=True)
class Opener:
    """A source whose logins open sessions: what it puts before its subjects, and which provider and
    client it is (``Provider.identity``), for its name may come to mean another one."""

    subject_prefix: str
    identity: str


@dataclass(frozen=True, slots=True)
class OwnSession:
    """A live session of ours: its id, which its cookie alone has, and what is stored of it."""

    id: str
    stored: StoredSession

    @property
    def expires_at(self) -> int:
        """Unix seconds until which the upstream has vouched for it."""
        return min(self.stored.record.expires_at, self.stored.record.ends_at)


class OwnSessions:
    """A session source: the cookie that ``/session/callback`` has set.

    ``openers`` are the sources that may have opened it, by name. The store is asked each time, so
    that a logout anywhere holds at once everywhere.
    """

    name = "session"

    def __init__(
        self,
        cookie: SessionCookie,
        store: SessionStore,
        renew: Renew,
        openers: Mapping[str, Opener],
    ) -> None:
        self._cookie = cookie
        self._store = store
        self._renew = renew
        self._openers = openers
        self._known = KnownSessions()
        self._waiting = threading.BoundedSemaphore(_MAX_WAITING)
        self._failed_at: dict[str, int] = {}  # by session, its last renewal without an answer

    @property
    def places(self) -> Places:
        """The cookie."""
        return Places(cookies=frozenset({self._cookie.name}))

    def session(self, request: Request, now: int) -> UpstreamSession | None:
        """The session of the cookie; ``None`` where there is no cookie, or the session is over.

        Raises ``SessionRefused`` for a cookie that was tampered with, ``UpstreamUnavailable``
        where it would have to be renewed and the provider does not answer.
        """
        own = self.current(request, now)
        return None if own is None else self.upstream(own)

    def upstream(self, own: OwnSession) -> UpstreamSession:
        """What a session of ours says of its person."""
        opener = self._openers[own.stored.record.source]
        return self._known.session(own.stored, own.expires_at, opener.subject_prefix)

    def current(self, request: Request, now: int) -> OwnSession | None:
        """The live session of a request, renewed if it is time; otherwise as :meth:`session`."""
        session_id = self._cookie.read(request)
        return None if session_id is None else self.live(session_id, now)

    def live(self, session_id: str, now: int) -> OwnSession | None:
        """The same by its id."""
        stored = self._store.get(session_id)
        if stored is None or not self._is_ours(stored.record):
            return None
        own = OwnSession(session_id, stored)
        left = own.expires_at - now
        if left <= RENEW_BEFORE and _renewable(stored.record, now):
            return self._renewed(own, now)
        return own if left > 0 else None

    def opened_by(self, record: SessionRecord) -> UpstreamSession:
        """What a login comes to, before it is kept."""
        prefix = self._openers[record.source].subject_prefix
        return upstream_session(record, record.expires_at, prefix, "")

    def _is_ours(self, record: SessionRecord) -> bool:
        """Whether a provider that is still configured, and the same, has opened it."""
        opener = self._openers.get(record.source)
        return opener is not None and opener.identity == record.issuer

    def _renewed(self, own: OwnSession, now: int) -> OwnSession | None:
        if not self._store.begin_renewal(own.id, own.stored.version, LEASE):
            return own if own.expires_at > now else self._renewed_by_another(own, now)
        try:
            record = self._renew(own.stored.record, now)
        except SessionRefused as refused:
            self._store.end(own.id, own.stored.version)
            _log.info("session_ended", source=own.stored.record.source, code=refused.code)
            return None
        except UpstreamUnavailable as unavailable:
            self._note_failure(own, unavailable, now)
            if own.expires_at <= now:
                raise
            _log.warning(
                "session_not_renewed", source=own.stored.record.source, hint=unavailable.hint
            )
            return own
        self._failed_at.pop(own.stored.key, None)
        # Whatever the provider's tokens live: not with every request.
        life = record.expires_at - now
        if not self._store.replace(
            own.id, own.stored.version, record, pause=min(RENEW_BEFORE, max(0, life // 2))
        ):
            return None  # ended meanwhile
        stored = StoredSession(own.stored.key, own.stored.version + 1, record)
        return OwnSession(own.id, stored)

    def _note_failure(self, own: OwnSession, failure: UpstreamUnavailable, now: int) -> None:
        """Somebody may try again in a moment, with the refresh token that is good then."""
        if len(self._failed_at) >= _MAX_REMEMBERED:
            self._failed_at.clear()
        self._failed_at[own.stored.key] = now
        version, rescued = own.stored.version, getattr(failure, "record", None)
        if isinstance(rescued, SessionRecord):
            self._store.replace(own.id, version, rescued, pause=RETRY_AFTER)
        else:
            self._store.postpone_renewal(own.id, version, RETRY_AFTER)

    def _renewed_by_another(self, own: OwnSession, now: int) -> OwnSession | None:
        source = own.stored.record.source
        if 0 <= now - self._failed_at.get(own.stored.key, 0) <= RETRY_AFTER:
            raise _not_renewed(source, "the last renewal had no answer")
        if not self._waiting.acquire(blocking=False):
            raise _not_renewed(source, f"{_MAX_WAITING} requests are waiting for it")
        try:
            deadline = time.monotonic() + _PATIENCE
            while time.monotonic() < deadline:
                time.sleep(_POLL)
                stored = self._store.get(own.id)
                if stored is None:
                    return None
                if stored.version > own.stored.version:
                    return OwnSession(own.id, stored)
        finally:
            self._waiting.release()
        raise _not_renewed(source, f"it has not ended within {_PATIENCE} s")


def _not_renewed(source: str, why: str) -> UpstreamUnavailable:
    return UpstreamUnavailable(
        "The identity provider does not answer at the moment.",
        hint=f"source {source!r}: a session has to be renewed, and {why}",
    )


def _renewable(record: SessionRecord, now: int) -> bool:
    return record.refresh_token is not None and record.ends_at - now > RENEW_BEFORE
