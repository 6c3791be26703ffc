"""The ordered chain of session sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from werkzeug.wrappers import Request

from embedjwt.errors import NoSession
from embedjwt.identity import UpstreamSession

if TYPE_CHECKING:
    from embedjwt.oidc.own_login import OwnLogin


class SessionSource(Protocol):
    """What recognises one kind of upstream session in a request."""

    @property
    def name(self) -> str:
        """What the settings call it."""

    def session(self, request: Request, now: int) -> UpstreamSession | None:
        """The verified session; ``None`` where the request holds nothing of this kind.

        ``now`` is in Unix seconds. What is of this kind but cannot be verified raises
        ``SessionRefused`` (or ``UpstreamUnavailable``), so that nothing else answers for it.
        """


class SourceChain:
    """Sources in order; the first that recognises the request answers, for good or ill."""

    def __init__(self, sources: Sequence[SessionSource], own_login: OwnLogin | None = None) -> None:
        self._sources = tuple(sources)
        self.own_login = own_login
        """embedjwt's own login, where the settings have one (``type = "oidc"``)."""

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
