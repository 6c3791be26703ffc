"""``/gateway/…``: the gateway over HTTP.

``auth.py`` for the proxy in front of Grafana, ``denial.py`` what a refused request gets (``page/``
is what people see), ``session.py`` the cookie, for host pages and browsers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import flask
from werkzeug.wrappers import Response

from embedjwt.gateway.decisions import Decisions
from embedjwt.gateway.forwarded import DENIED, ForwardedRequests, Hosts
from embedjwt.gateway.gateway import Gateway, GatewayParts
from embedjwt.gateway.sessions import GatewaySessions
from embedjwt.service import Service
from embedjwt.sessions import SessionCookie
from embedjwt.sessions.build import SessionState
from embedjwt.sessions.endings import Endings
from embedjwt.sources import SourceChain
from embedjwt.sources.peers import TrustedPeers
from embedjwt.web import problems
from embedjwt.web.gateway.auth import GatewayAuth, GatewayDenied, QuickAuth, asks
from embedjwt.web.gateway.denial import Denials, navigates
from embedjwt.web.gateway.session import GatewayCookies
from embedjwt.web.gateway_paths import ENTER, SESSION
from embedjwt.web.guard import OriginGuard

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@dataclass(frozen=True, slots=True)
class GatewayPaths:
    """What answers ahead of Flask: ``for_path`` by path, and before all that ``quickly``."""

    auth: GatewayAuth
    denied: GatewayDenied
    gateway: Gateway

    def for_path(self, path: str) -> WSGIApplication | None:
        """The application of a path of the proxy's, ``None`` for every other."""
        if asks(path):
            return self.auth
        return self.denied if path == DENIED else None

    def quickly(self, app: WSGIApplication) -> QuickAuth:
        """The layer that answers what is known, ahead of ``app``."""
        return QuickAuth(self.gateway, app)


def install(
    app: flask.Flask,
    service: Service,
    sources: SourceChain,
    *,
    state: SessionState,
    guard: OriginGuard,
    login: str | None,
) -> GatewayPaths:
    """Adds the browser's paths, and returns the proxy's. ``login`` is the path of our own login."""
    settings = service.settings
    assert settings.gateway.proxy is not None  # noqa: S101  (whoever calls has looked)
    hosts = Hosts(settings.behind_gateway)
    trusted = TrustedPeers(settings.web.trusted_proxies)
    requests = ForwardedRequests(settings.gateway.proxy, hosts, trusted)
    own = sources.own_login
    sessions = GatewaySessions(settings, state.store, None if own is None else own.sessions)
    cookie = SessionCookie(
        settings.gateway.cookie_name,
        state.cookie_keys,
        secure=hosts.secure,
        samesite="lax",
        max_age=settings.session.lifetime,
        clock=service.clock,
        purpose="gateway",
    )
    # Through the proxy in front of Grafana, a trusted peer, comes whatever a browser sends.
    trusting = settings.gateway.trust_identity_headers
    outside = sources if trusting else sources.without_peers()
    parts = GatewayParts(service, outside, requests, sessions, cookie)
    decisions = Decisions()
    gateway = Gateway(parts, decisions, Endings(state.database, decisions.forget))
    denials = Denials(settings, gateway, login)
    cookies = GatewayCookies(parts, sources, guard, login)
    _add_views(app, cookies, denials, service)
    return GatewayPaths(GatewayAuth(gateway, denials), GatewayDenied(gateway, denials), gateway)


def _add_views(
    app: flask.Flask, cookies: GatewayCookies, denials: Denials, service: Service
) -> None:
    views = flask.Blueprint("gateway", __name__)

    @views.post(SESSION)
    def open_session() -> Response:
        return cookies.open(flask.request, _now())

    @views.delete(SESSION)
    def close_session() -> Response:
        return cookies.close(flask.request)

    @views.get(ENTER)
    def enter() -> Response:
        return cookies.enter(flask.request, _now())

    @views.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        answer = problems.answer_error(error, flask.request)
        for_people = flask.request.path == ENTER and navigates(flask.request)
        return denials.page.of(answer) if for_people else answer

    def _now() -> int:
        return int(service.clock())

    app.register_blueprint(views)
