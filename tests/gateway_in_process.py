"""The gateway in this process: real sessions in SQLite, and clocks that stand still."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from werkzeug.test import create_environ, run_wsgi_app
from werkzeug.wrappers import Response

from embedjwt.config import parse_settings
from embedjwt.gateway.decisions import MAX_REMEMBERED, Decisions
from embedjwt.gateway.forwarded import ForwardedRequests, Hosts
from embedjwt.gateway.gateway import Gateway, GatewayParts
from embedjwt.gateway.sessions import GatewaySessions
from embedjwt.identity import Documents, UpstreamSession, VerifiedClaims
from embedjwt.keys.build import key_store, operator
from embedjwt.service import Service, build_service
from embedjwt.sessions import SessionCookie
from embedjwt.sessions.build import SessionState
from embedjwt.sessions.endings import Endings
from embedjwt.sources import build_sources
from embedjwt.sources.ambiguity import AMBIGUOUS_HEADERS
from embedjwt.sources.peers import TrustedPeers
from embedjwt.web.gateway.auth import GatewayAuth
from embedjwt.web.gateway.denial import Denials
from tests_support import MINIMAL, FakeClock

HOST = "grafana.example.com"
COOKIE = "__Host-embedjwt_gateway"
TABLES: dict[str, Any] = {
    **MINIMAL,
    "grafana": [{"url": f"https://{HOST}", "mode": "gateway"}],
    "gateway": {"proxy": "nginx"},
    "web": {"allowed_origins": ["https://app.example.com"], "trusted_proxies": ["127.0.0.1"]},
}

Answer = tuple[int, str, str | None]
"""Status, the problem's code or "", and the token."""


@dataclass(frozen=True, slots=True)
class InProcess:
    """Its parts, and what a host page would do with them."""

    clock: FakeClock
    service: Service
    state: SessionState
    cookie: SessionCookie
    gateway: Gateway
    decisions: Decisions
    auth: GatewayAuth

    def open(self, sub: str) -> str:
        """The value of the cookie of somebody who comes in."""
        now = int(self.service.clock())
        settings = self.service.settings
        claims = VerifiedClaims({"sub": sub, "email": f"{sub}@example.com"})
        upstream = UpstreamSession(settings.source[0].name, Documents(id_token=claims), now + 3600)
        record = GatewaySessions(settings, self.state.store).describe(
            upstream, None, grafana=f"https://{HOST}", host_app="", now=now
        )
        session_id = self.state.store.create(record)
        assert session_id is not None
        response = Response()
        self.cookie.set(response, session_id)
        pair = response.headers["Set-Cookie"].partition(";")[0]
        return pair.removeprefix(f"{COOKIE}=")


def gateway_in(directory: Path, remembered: int = MAX_REMEMBERED) -> InProcess:
    """As ``embedjwt.web.gateway.install`` wires it, for at most so many cookies."""
    clock = FakeClock(1_800_000_000.0)
    settings = parse_settings(TABLES, {}, base=directory, origin="test")
    operator(settings, key_store(settings), "test", clock).init()
    service = build_service(settings, clock)
    sources = build_sources(settings, clock=clock)
    state = sources.state
    assert state is not None
    trusted = TrustedPeers(settings.web.trusted_proxies)
    requests = ForwardedRequests("nginx", Hosts(settings.behind_gateway), trusted)
    cookie = SessionCookie(
        settings.gateway.cookie_name,
        state.cookie_keys,
        secure=True,
        samesite="lax",
        max_age=settings.session.lifetime,
        clock=clock,
        purpose="gateway",
    )
    sessions = GatewaySessions(settings, state.store)
    decisions = Decisions(remembered)
    endings = Endings(state.database, decisions.forget, monotonic=clock)
    gateway = Gateway(
        GatewayParts(service, sources, requests, sessions, cookie), decisions, endings
    )
    auth = GatewayAuth(gateway, Denials(settings, gateway, None))
    return InProcess(clock, service, state, cookie, gateway, decisions, auth)


def asking(
    cookie: str | None,
    *,
    uri: str | None = "/d-solo/abc/_?panelId=3",
    method: str = "GET",
    host: str | None = HOST,
    peer: str = "127.0.0.1",
    ambiguous: frozenset[str] = frozenset(),
    **headers: str | None,
) -> dict[str, Any]:
    """The environment of what nginx asks; ``cookie`` is the whole header, ``None`` leaves out."""
    told = {
        "X-Original-Method": method,
        "X-Original-URI": uri,
        "X-Forwarded-Host": host,
        "Cookie": cookie,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    environ: dict[str, Any] = create_environ(
        "/gateway/auth",
        headers={name: value for name, value in told.items() if value is not None},
        environ_overrides={"REMOTE_ADDR": peer},
    )
    return environ | {AMBIGUOUS_HEADERS: set(ambiguous)}


def answered(app: Any, environ: dict[str, Any]) -> Answer:
    """What an application says to that."""
    chunks, status, headers = run_wsgi_app(app, dict(environ))
    body = b"".join(chunks)
    code = json.loads(body)["code"] if body else ""
    return int(status[:3]), code, headers.get("X-JWT-Assertion")
