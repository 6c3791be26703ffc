"""Sessions that were read lately, as the sources' word for them."""

from __future__ import annotations

import threading
from collections import OrderedDict

from embedjwt.identity import UpstreamSession
from embedjwt.sessions.record import SessionRecord
from embedjwt.sessions.store import StoredSession

_MAX_REMEMBERED = 4096


class KnownSessions:
    """One object for one version of a session, so that its mapping is remembered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: OrderedDict[tuple[str, int], UpstreamSession] = OrderedDict()

    def session(self, stored: StoredSession, expires_at: int, prefix: str) -> UpstreamSession:
        """As :func:`upstream_session` has it."""
        name = (stored.key, stored.version)
        with self._lock:
            session = self._sessions.get(name)
            if session is None:
                session = upstream_session(stored.record, expires_at, prefix, stored.key)
                self._sessions[name] = session
            self._sessions.move_to_end(name)
            if len(self._sessions) > _MAX_REMEMBERED:
                self._sessions.popitem(last=False)
            return session


def upstream_session(
    record: SessionRecord, expires_at: int, prefix: str, key: str
) -> UpstreamSession:
    """What a record says of its person; ``key`` is ``StoredSession.key``."""
    return UpstreamSession(
        source=record.source,
        documents=record.documents,
        expires_at=expires_at,
        ambient=True,
        subject_prefix=prefix,
        id=key,
    )
