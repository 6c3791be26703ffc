"""The session behind the gateway's cookie, and the tickets that bring it to Grafana's own host.

A session that embedjwt's own login opened is only pointed at: it is renewed, and it ends, in its
own place. Of any other source the verified documents are kept, for as long as it vouched for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import structlog

from embedjwt.config import Settings
from embedjwt.config.source import AnySource
from embedjwt.errors import SessionRefused
from embedjwt.identity import Documents, UpstreamSession
from embedjwt.sessions import SessionRecord, SessionStore, StoredSession
from embedjwt.sessions.known import KnownSessions
from embedjwt.sources.oidc import OwnSession, OwnSessions

TICKET_LIFE = 30
"""Seconds from its issue in which a ticket has to be redeemed."""

_log = structlog.get_logger("embedjwt.gateway")


@dataclass(frozen=True, slots=True)
class GatewaySession:
    """A live session of the gateway. ``id`` is what its cookie alone has.

    ``keys`` name the sessions with whose end it ends; ``expires_at`` is in Unix seconds.
    """

    id: str = field(repr=False)
    stored: StoredSession
    upstream: UpstreamSession
    keys: tuple[str, ...]
    expires_at: int

    @property
    def host_app(self) -> str:
        """The origin of the page that opened it."""
        return self.stored.record.host_app


class GatewaySessions:
    """Opens, finds and ends them, in the store that all processes share."""

    def __init__(
        self, settings: Settings, store: SessionStore, own: OwnSessions | None = None
    ) -> None:
        self._store = store
        self._own = own
        self._untold_life = settings.gateway.lifetime
        self._longest = settings.session.lifetime
        self._sources: Mapping[str, AnySource] = {s.name: s for s in settings.source}
        self._known = KnownSessions()

    def describe(
        self,
        session: UpstreamSession,
        own: OwnSession | None,
        *,
        grafana: str,
        host_app: str,
        now: int,
    ) -> SessionRecord:
        """What would be kept of an upstream session; ``own`` is embedjwt's own one, if it is that.

        ``grafana`` and ``host_app`` are origins.
        """
        if own is not None:
            until = own.stored.record.usable_until
            return replace(
                own.stored.record,
                documents=Documents(),
                created_at=now,
                expires_at=until,
                ends_at=until,
                refresh_token=None,
                grafana=grafana,
                host_app=host_app,
                opened_by=own.id,
            )
        told = session.expires_at
        until = min(now + self._untold_life if told is None else told, now + self._longest)
        return SessionRecord(
            source=session.source,
            issuer=_issuer(self._sources[session.source]),
            sub=_claim(session, "sub"),
            sid=_claim(session, "sid"),
            documents=session.documents,
            created_at=now,
            expires_at=until,
            ends_at=until,
            refresh_token=None,
            grafana=grafana,
            host_app=host_app,
        )

    def ticket(self, record: SessionRecord, now: int) -> str:
        """A secret that opens this session once, within ``TICKET_LIFE`` seconds."""
        until = min(now + TICKET_LIFE, record.expires_at)
        return self._created(replace(record, redeem_until=until))

    def redeemed(self, ticket: str, grafana: str) -> SessionRecord:
        """What a ticket is for. Raises ``SessionRefused`` (``ticket_invalid``)."""
        record = self._store.redeem(ticket)
        if record is None or record.grafana != grafana:
            raise SessionRefused(
                "The ticket is not valid, or not any more.",
                code="ticket_invalid",
                hint=f"a ticket is good once, for {TICKET_LIFE} s, and for one Grafana; ask "
                "/gateway/session for another",
            )
        return replace(record, redeem_until=None)

    def opened(
        self, record: SessionRecord, before: GatewaySession | None, *, ends_others: bool
    ) -> str:
        """The id of a session with this record; ``before`` is the one that the browser has.

        If that is the same person's it is renewed and keeps its id. Another's ends, with
        ``ends_others``: for a page of ours has said who is there now, not any link.
        """
        if before is not None:
            stored = before.stored
            if _same_person(stored.record, record):
                kept = replace(record, created_at=stored.record.created_at)
                old = stored.record
                changed = (kept.documents, kept.host_app) != (old.documents, old.host_app)
                if self._store.replace(before.id, stored.version, kept, announced=changed):
                    return before.id
            elif ends_others:
                self._store.end(before.id)
                _log.info("gateway_session_ended", source=stored.record.source, why="user change")
        session_id = self._created(record)
        _log.info("gateway_session_opened", source=record.source, grafana=record.grafana)
        return session_id

    def live(self, session_id: str, grafana: str, now: int) -> GatewaySession | None:
        """The session with this id, if it is for this Grafana and what it stands on still holds.

        Raises ``UpstreamUnavailable`` where that has to be renewed and the provider is silent.
        """
        stored = self._store.get(session_id)
        if stored is None:
            return None
        record = stored.record
        if record.grafana != grafana or record.redeem_until is not None:
            return None
        if record.opened_by is not None:
            return self._stands_on(record.opened_by, session_id, stored, now)
        source = self._sources.get(record.source)
        if source is None or _issuer(source) != record.issuer or record.expires_at <= now:
            return None
        until = record.expires_at
        upstream = self._known.session(stored, until, source.subject_prefix)
        return GatewaySession(session_id, stored, upstream, (stored.key,), until)

    def end(self, session_id: str) -> bool:
        """Forget a session; ``False`` where there was none."""
        ended = self._store.end(session_id)
        if ended:
            _log.info("gateway_session_ended", why="closed")
        return ended

    def _stands_on(
        self, own_id: str, session_id: str, stored: StoredSession, now: int
    ) -> GatewaySession | None:
        own = None if self._own is None else self._own.live(own_id, now)
        if self._own is None or own is None:
            return None
        return GatewaySession(
            session_id,
            stored,
            self._own.upstream(own),
            (stored.key, own.stored.key),
            own.stored.record.usable_until,
        )

    def _created(self, record: SessionRecord) -> str:
        created = self._store.create(record)
        if created is None:
            raise SessionRefused("The identity provider has ended this session meanwhile.")
        return created


def _same_person(one: SessionRecord, other: SessionRecord) -> bool:
    """Whether one may take the other's place; who has no name is nobody's same."""
    if one.opened_by is not None or other.opened_by is not None:
        return one.opened_by == other.opened_by
    return (one.source, one.issuer, one.sub) == (other.source, other.issuer, other.sub) and bool(
        one.sub
    )


def _issuer(source: AnySource) -> str:
    """Who a source believes, so that a table which comes to mean another one opens nothing."""
    names = ("issuer", "introspection_url", "cookie_name", "preset")
    return " ".join([source.type, *(str(getattr(source, name, None) or "") for name in names)])


def _claim(session: UpstreamSession, name: str) -> str:
    """A text among the documents' claims, in Grafana's order; "" for none."""
    for _, claims in session.documents.in_order():
        value = claims.get(name)
        if isinstance(value, str) and value:
            return value
    return ""
