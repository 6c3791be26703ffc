"""embedjwt's own login: the providers, the sessions they open, and the cookie that names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from werkzeug.wrappers import Request

from embedjwt.errors import EmbedJWTError, SessionRefused
from embedjwt.oidc.logins import Logins
from embedjwt.sessions import SessionCookie, SessionStore, row_key
from embedjwt.sources.oidc import OwnSession, OwnSessions

_log = structlog.get_logger("embedjwt.sessions")


@dataclass(frozen=True, slots=True)
class OwnLogin:
    """Its parts. ``redirect_uris`` are by provider. ``cookie_keys`` sign whatever a browser keeps
    for us, newest last. ``auto_login`` are the providers to go to without a choice,
    ``signout_redirect_urls`` where to go after a logout from some of them."""

    logins: Logins
    redirect_uris: Mapping[str, str]
    store: SessionStore
    cookie: SessionCookie
    sessions: OwnSessions
    cookie_keys: Sequence[bytes] = field(repr=False)
    auto_login: Sequence[str] = ()
    signout_redirect_urls: Mapping[str, str] = field(default_factory=dict)

    def live(self, request: Request, now: int) -> OwnSession | None:
        """The session of a request, if all is well with it."""
        try:
            return self.sessions.current(request, now)
        except EmbedJWTError:
            return None

    def current_id(self, request: Request) -> tuple[str | None, str | None]:
        """The id of a request's session, and its source; ``None`` where there is none."""
        try:
            session_id = self.cookie.read(request)
        except SessionRefused:
            return None, None
        stored = None if session_id is None else self.store.get(session_id)
        return session_id, None if stored is None else stored.record.source

    def current_key(self, request: Request) -> str:
        """What names the session that a request has, without being able to open it; "" for none."""
        session_id, source = self.current_id(request)
        return "" if session_id is None or source is None else row_key(session_id)

    def end_all(self, request: Request) -> list[str]:
        """End the sessions of a request, all of them where it has several; returns their sources.

        Asks no provider: whoever signs out needs no renewal.
        """
        sources = []
        for session_id in self.cookie.read_all(request):
            stored = self.store.get(session_id)
            if self.store.end(session_id) and stored is not None:
                sources.append(stored.record.source)
                _log.info("signed_out", source=stored.record.source)
        return sources

    def end_current(self, request: Request, before: str = "") -> None:
        """End the session that a request has, so that no id outlives a login.

        ``before`` names the one that it had when the login began: a cookie with SameSite=Strict
        does not come back from the provider.
        """
        session_id, _ = self.current_id(request)
        if session_id is not None:
            self.store.end(session_id)
        if before:
            self.store.end_key(before)
