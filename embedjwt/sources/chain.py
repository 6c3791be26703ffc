"""The ordered chain of session sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from werkzeug.wrappers import Request

from embedjwt.errors import NoSession
from embedjwt.identity import UpstreamSession
from embedjwt.sources.ambiguity import AMBIGUOUS_HEADERS
from embedjwt.sources.carrier import Places

if TYPE_CHECKING:
    from embedjwt.oidc.own_login import OwnLogin
    from embedjwt.sessions.build import SessionState


class SessionSource(Protocol):
    """What recognises one kind of upstream session in a request."""

    @property
    def name(self) -> str:
        """What the settings call it."""

    @property
    def places(self) -> Places:
        """All that it looks at: where none of that is in a request, it finds nothing."""

    def session(self, request: Request, now: int) -> UpstreamSession | None:
        """The verified session; ``None`` where the request holds nothing of this kind.

        ``now`` is in Unix seconds. What is of this kind but cannot be verified raises
        ``SessionRefused`` (or ``UpstreamUnavailable``), so that nothing else answers for it.
        """


class SourceChain:
    """Sources in order; the first that recognises the request answers, for good or ill."""

    def __init__(
        self,
        sources: Sequence[SessionSource],
        own_login: OwnLogin | None = None,
        state: SessionState | None = None,
    ) -> None:
        self._sources = tuple(sources)
        places = [source.places for source in self._sources]
        headers = frozenset[str]().union(*(place.headers for place in places))
        self._variables = tuple(f"HTTP_{name.upper().replace('-', '_')}" for name in headers)
        self._cookies = tuple(frozenset[str]().union(*(place.cookies for place in places)))
        self.own_login = own_login
        """embedjwt's own login, where the settings have one (``type = "oidc"``)."""
        self.state = state
        """Where sessions of ours are kept, if there are any."""

    def without_peers(self) -> SourceChain:
        """The chain without the sources that believe a header because of who sent it."""
        kept = [source for source in self._sources if not source.places.by_peer]
        return SourceChain(kept, self.own_login, self.state)

    def finds_nothing(self, environ: Mapping[str, Any]) -> bool:
        """Whether no source can recognise a request (its WSGI environment); cheap, and may err
        towards ``False``."""
        if any(name in environ for name in self._variables) or environ.get(AMBIGUOUS_HEADERS):
            return False
        cookies = environ.get("HTTP_COOKIE", "")
        return not any(name in cookies for name in self._cookies)

    def session(self, request: Request, now: int) -> UpstreamSession:
        """The session of a request at ``now`` (Unix seconds).

        ``NoSession`` where no source recognises it; ``SessionRefused`` and ``UpstreamUnavailable``
        from the one that does.
        """
        for source in self._sources:
            session = source.session(request, now)
            if session is not None:
                return session
        names = ", ".join(source.name for source in self._sources)
        raise NoSession(
            "Nobody is signed in.",
            hint=f"none of the sources ({names}) found anything of its kind in the request",
        )
