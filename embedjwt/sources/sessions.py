"""Sessions that were verified a moment ago, so that the same token is not verified again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

from embedjwt.identity import UpstreamSession
from embedjwt.sources.keyset import KeySet

MAX_SESSIONS = 4096
MAX_AGE = 60
"""Seconds after which a token is verified again."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A session, by whose keys it was verified, and when (Unix seconds)."""

    session: UpstreamSession
    issuer: str
    keys: KeySet
    at: int


class VerifiedSessions:
    """The sessions of the tokens seen last, safe to share between threads.

    Remembers by the token's SHA-256, never the token itself. Whoever asks checks again what may
    have changed since: the time, and the issuer's keys.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: OrderedDict[bytes, Verified] = OrderedDict()

    def get(self, token: str, now: int) -> Verified | None:
        """What was verified of a token within the last ``MAX_AGE`` seconds."""
        digest = _digest(token)
        with self._lock:
            verified = self._sessions.get(digest)
            if verified is None or not 0 <= now - verified.at < MAX_AGE:
                return None
            self._sessions.move_to_end(digest)
            return verified

    def put(self, token: str, verified: Verified) -> None:
        """Remember a session, and forget the one unused longest where there are too many."""
        digest = _digest(token)
        with self._lock:
            self._sessions[digest] = verified
            self._sessions.move_to_end(digest)
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
