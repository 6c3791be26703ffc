"""May this request pass to Grafana, and with which token?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog
from werkzeug.wrappers import Request

from embedjwt.config import GrafanaTarget
from embedjwt.errors import EmbedJWTError, NoSession
from embedjwt.gateway.decisions import Decision, Decisions, Turns
from embedjwt.gateway.forwarded import Forwarded, ForwardedRequests, GatewayRefused
from embedjwt.gateway.paths import has_parameter, segments_of
from embedjwt.gateway.rules import PathRules, Visitor
from embedjwt.gateway.sessions import GatewaySession, GatewaySessions
from embedjwt.identity import UpstreamSession
from embedjwt.service import Service, log_issued
from embedjwt.sessions import SessionCookie
from embedjwt.sessions.endings import Endings
from embedjwt.sources import SourceChain

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

TOKEN_PARAMETER = "auth_token"
"""Grafana's own, of URL login."""

_LOGIN = "/login"
_LIVE = "/api/live/ws"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_log = structlog.get_logger("embedjwt.gateway")


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """What all of the gateway works with. ``sources`` are those that are believed of a request
    which came through the proxy in front of Grafana."""

    service: Service
    sources: SourceChain
    requests: ForwardedRequests
    sessions: GatewaySessions
    cookie: SessionCookie


class Gateway:
    """Decides about requests to Grafana, as the proxy in front of it tells of them.

    The sources are asked first, then the gateway's own cookie: who is signed in as somebody else
    by now is never taken for who they were.
    """

    def __init__(self, parts: GatewayParts, decisions: Decisions, endings: Endings) -> None:
        settings = parts.service.settings
        self._service = parts.service
        self._sources = parts.sources
        self._requests = parts.requests
        self._sessions = parts.sessions
        self._cookie = parts.cookie
        self._decisions = decisions
        self._endings = endings
        self._rules = PathRules(settings.gateway.rule)
        self._only_logs = settings.gateway.rule_mode == "log"
        self._remembers = settings.token.reuse
        self._turns = Turns()

    @property
    def hands_on(self) -> bool:
        """Whether the browser gets the answer of a refusal as it is."""
        return self._requests.kind.hands_on

    def read(self, environ: WSGIEnvironment) -> Forwarded:
        """The request that the proxy asks about; raises what :meth:`decide` raises of it."""
        return self._requests.read(environ)

    def quick(self, environ: WSGIEnvironment) -> Decision | None:
        """The decision, where it can be had without waiting for anything; ``None`` elsewhere."""
        if self._endings.due:
            self._endings.wake()
        return self._remembered(environ)

    def decide(self, environ: WSGIEnvironment) -> Decision:
        """The decision for a request that may pass; raises :class:`EmbedJWTError` for another."""
        self._endings.look()
        decision = self._remembered(environ)
        if decision is not None:
            return decision
        asked = self._requests.read(environ)
        _refuse_url(asked)
        decision, ambient = self._decided(environ, asked)
        if not _may_come_from(environ, asked, ambient=ambient):
            raise GatewayRefused(
                "pages of another origin may not change anything in Grafana",
                code="origin_not_allowed",
                hint="a request that is not only read, or a WebSocket, needs Grafana's own Origin, "
                f"{asked.origin}; it had {environ.get('HTTP_ORIGIN', 'none')[:200]!r}. The proxy "
                "must pass it on, and url must have the scheme that browsers use",
            )
        self._check_reach(decision, asked)
        return decision

    def _remembered(self, environ: WSGIEnvironment) -> Decision | None:
        """What was decided for this cookie, if it lets this request pass too."""
        cookie = self._cookie_value(environ)
        if not cookie or not self._sources.finds_nothing(environ):
            return None
        try:
            asked = self._requests.read(environ)
            decision = self._known(cookie, asked)
        except EmbedJWTError:
            return None  # refused with all there is to say, elsewhere
        passes = (
            decision is not None
            and decision.reach.check(asked.method, asked.path) is None
            and not has_parameter(asked.query, TOKEN_PARAMETER)
            and asked.path != _LOGIN
            and _may_come_from(environ, asked, ambient=True)
        )
        return decision if passes else None

    def _known(self, cookie: str, asked: Forwarded) -> Decision | None:
        """What was decided for this cookie, if it still holds."""
        if not self._endings.current:
            return None
        decision = self._decisions.get(cookie, asked.target.name)
        if decision is None:
            return None
        kid = self._service.keys.signing_key().kid
        return decision if decision.holds(int(self._service.clock()), kid) else None

    def _decided(self, environ: WSGIEnvironment, asked: Forwarded) -> tuple[Decision, bool]:
        """Whose request it is, and whether a browser brought the proof of it along by itself."""
        request, now = Request(environ), int(self._service.clock())
        session = self._recognised(request, now)
        if session is not None:
            return self._decision(session, asked.target), session.ambient
        cookie = self._cookie_value(environ)
        if cookie is None:
            return self._of_cookie(request, asked, now), True
        with self._turns.of(cookie):
            known = self._known(cookie, asked)
            return known or self._of_cookie(request, asked, now, cookie), True

    def _recognised(self, request: Request, now: int) -> UpstreamSession | None:
        if self._sources.finds_nothing(request.environ):
            return None
        try:
            return self._sources.session(request, now)
        except NoSession:
            return None

    def _of_cookie(
        self, request: Request, asked: Forwarded, now: int, cookie: str | None = None
    ) -> Decision:
        position = self._endings.position
        session_id = self._cookie.read(request)
        found = None if session_id is None else self._sessions.live(session_id, asked.origin, now)
        if found is None:
            raise NoSession(
                "Nobody is signed in.",
                hint="no gateway cookie, or its session is over; the host page opens one with POST "
                "/gateway/session",
            )
        decision = self._decision(found.upstream, asked.target, found)
        if cookie is not None and self._remembers:
            self._decisions.put(
                cookie, asked.target.name, decision, still=partial(self._is_at, position)
            )
        return decision

    def _is_at(self, position: tuple[str, int]) -> bool:
        return self._endings.position == position

    def _decision(
        self, session: UpstreamSession, target: GrafanaTarget, found: GatewaySession | None = None
    ) -> Decision:
        identity = self._service.admitted(session, target)
        roles = {identity.role or "None", *identity.org_roles.values()}
        if identity.is_grafana_admin:
            roles.add("GrafanaAdmin")
        visitor = Visitor(
            roles=frozenset(roles),
            groups=frozenset(identity.groups),
            origin="" if found is None else found.host_app,
            grafana=target.name,
        )
        token = self._service.token(session, target)
        log_issued(token, session, target)
        return Decision(
            token=token,
            header=(target.header_name.lower().encode(), token.token.encode()),
            reach=self._rules.reach_of(visitor),
            sessions=() if found is None else found.keys,
            source=session.source,
        )

    def _check_reach(self, decision: Decision, asked: Forwarded) -> None:
        refused = decision.reach.check(asked.method, asked.path)
        if refused is None:
            return
        segments_of(asked.path)  # raises for what has more than one reading
        rules = ", ".join(map(str, decision.reach.rules)) or "none"
        if self._only_logs:
            _log.warning(
                "path_rule_would_refuse",
                method=asked.method,
                path=asked.path,
                grafana=asked.target.name,
                source=decision.source,
                rules_that_apply=rules,
            )
            return
        raise GatewayRefused(
            "this part of Grafana is not open here",
            code=refused,
            hint=f"{asked.method} {asked.path[:200]}: rules that apply to this person: {rules} "
            "(counted from 0, of yours or of the default ones); none of them allows it",
        )

    def _cookie_value(self, environ: WSGIEnvironment) -> str | None:
        """The cookie, if it has exactly one value: as :class:`SessionCookie` has it, but faster."""
        name, cookies = self._cookie.name, environ.get("HTTP_COOKIE", "")
        if '"' in cookies:  # between quotes, what looks like our cookie is another's value
            values = Request(environ).cookies.getlist(name)
        else:  # str.strip() takes more off, and what only looks like __Host- a subdomain may set
            pairs = [crumb.partition("=") for crumb in cookies.split(";") if name in crumb]
            values = [value.strip(" \t") for key, _, value in pairs if key.strip(" \t") == name]
        different = {value for value in values if value}
        return different.pop() if len(different) == 1 else None


def _refuse_url(asked: Forwarded) -> None:
    if has_parameter(asked.query, TOKEN_PARAMETER):
        raise GatewayRefused(
            "no token belongs into an address here",
            code="token_in_url",
            hint=f"{TOKEN_PARAMETER} is of URL login; behind the gateway panels have plain URLs",
        )
    if asked.path == _LOGIN:
        raise GatewayRefused(
            "Grafana has sent the browser to its login page",
            code="grafana_login",
            hint="it has not accepted the token: compare its [auth.jwt] with 'embedjwt "
            "grafana-config', and see what its log says",
        )


def _may_come_from(environ: WSGIEnvironment, asked: Forwarded, *, ambient: bool) -> bool:
    """Whether the page that asks may do that.

    Grafana compares origins only where its own login cookie is (``pkg/middleware/csrf``), so it
    would take what another site's page makes a browser send.
    """
    is_socket = "HTTP_UPGRADE" in environ or asked.path == _LIVE
    if asked.method in _SAFE_METHODS and not is_socket:
        return True
    origin = environ.get("HTTP_ORIGIN")
    return origin == asked.origin or (origin is None and not ambient)
