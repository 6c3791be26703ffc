"""``/gateway/session`` and ``/gateway/enter``: how the gateway's cookie gets to Grafana's own host.

A page may ask on Grafana's host, through the proxy, with what proves its person's session there:
then the cookie is set at once. On embedjwt's own host it gets a ticket, to be redeemed there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import flask
from werkzeug.wrappers import Request, Response

from embedjwt.config import GrafanaTarget
from embedjwt.errors import EmbedJWTError, NoSession, RequestRefused, SessionRefused
from embedjwt.gateway.forwarded import Place
from embedjwt.gateway.gateway import GatewayParts
from embedjwt.gateway.sessions import TICKET_LIFE, GatewaySession
from embedjwt.grafana.urls import MAX_URL_LENGTH, panel_url
from embedjwt.sessions import SessionRecord
from embedjwt.sources import SourceChain
from embedjwt.tokens import refresh_in
from embedjwt.web.body import json_object, optional_text
from embedjwt.web.gateway.denial import found
from embedjwt.web.gateway_paths import ENTER, SESSION
from embedjwt.web.guard import OriginGuard, OriginRefused
from embedjwt.web.session.asked import in_frame
from embedjwt.web.session.return_to import safe_return_to
from embedjwt.web.tokens import grafana_of, panel_of

_FIELDS = ("grafana", "panel", "ticket")


class GatewayCookies:
    """Opens, renews and closes the gateway's sessions, for host pages and for browsers on their way
    to Grafana.

    ``sources`` are asked on embedjwt's own host, those of ``parts`` on Grafana's. ``login`` is the
    path of embedjwt's own login, ``None`` where there is none.
    """

    def __init__(
        self, parts: GatewayParts, sources: SourceChain, guard: OriginGuard, login: str | None
    ) -> None:
        self._service = parts.service
        self._settings = parts.service.settings
        self._sources = sources
        self._outside = parts.sources
        self._sessions = parts.sessions
        self._cookie = parts.cookie
        self._requests = parts.requests
        self._hosts = parts.requests.hosts
        self._guard = guard
        self._login = login

    def open(self, request: Request, now: int) -> Response:
        """``POST``: open or renew the session, or get a ticket for it."""
        self._guard.check(request)
        body = json_object(request, self._settings.web.max_body_size, _FIELDS)
        target, here = self._target(request, body)
        before = self._before(request, here, now) if here else None
        ticket = optional_text(body, "ticket", "a ticket of /gateway/session")
        if ticket is not None:
            if here is None:
                raise _elsewhere("a ticket is redeemed on Grafana's own host", target)
            record = self._sessions.redeemed(ticket, here.origin)
        else:
            record = self._record(request, target, here, before, now)
        answer = self._answer(record, target, body, now)
        if here is None:
            return flask.jsonify(answer | self._ticket(record, target, answer.get("url"), now))
        response = flask.jsonify(answer)
        session_id = self._sessions.opened(record, before, ends_others=True)
        self._keep(request, response, session_id)
        return response

    def close(self, request: Request) -> Response:
        """``DELETE``: end the session, all of them where the browser has several."""
        self._guard.check(request)
        self._require_page(request)
        if self._here(request) is None:
            raise _elsewhere("the gateway's cookie is on Grafana's own host", None)
        for session_id in self._cookie.read_all(request):
            self._sessions.end(session_id)
        response = Response(status=204)
        self._cookie.delete(response, partitioned=_crosses_sites(request))
        return response

    def enter(self, request: Request, now: int) -> Response:
        """``GET``: a browser's way to Grafana, through a ticket, to an address without one."""
        here = self._here(request)
        ticket = request.args.get("ticket")
        wanted = request.args.get("to", "")
        if here is None:
            return self._sent_on(request, wanted, now)
        if ticket is None and wanted.startswith(here.origin):  # one host for both, and sent there
            return self._sent_on(request, wanted, now)
        wanted = wanted or f"{here.base_path}/"
        to = self._safe(wanted, here.origin) if wanted.startswith("/") else None
        if to is None:
            raise _to_refused()
        if ticket is None:
            query = urlencode({"to": here.origin + to})
            return found(f"{self._settings.issuer}{ENTER}?{query}")
        before = self._before(request, here, now)
        response = found(here.origin + to)
        try:
            record = self._sessions.redeemed(ticket, here.origin)
        except SessionRefused:
            if before is None:
                raise
            return response  # a reload: who came with that ticket is still here
        session_id = self._sessions.opened(record, before, ends_others=False)
        self._keep(request, response, session_id)
        return response

    def _sent_on(self, request: Request, wanted: str, now: int) -> Response:
        """From embedjwt's own host to Grafana's, with a ticket for whoever is signed in here."""
        to = self._safe(wanted)
        place = None if to is None else self._place(to)
        if to is None or place is None:
            raise _to_refused()
        try:
            record = self._record(request, place.target, None, None, now)
        except (NoSession, SessionRefused):
            if self._login is None or in_frame(request):
                raise
            here = f"{self._settings.issuer}{ENTER}?{urlencode({'to': to})}"
            return found(f"{self._settings.issuer}{self._login}?{urlencode({'next': here})}")
        return found(self._enter_url(place, self._sessions.ticket(record, now), to))

    def _record(
        self,
        request: Request,
        target: GrafanaTarget,
        here: Place | None,
        before: GatewaySession | None,
        now: int,
    ) -> SessionRecord:
        """What the session of this request comes to; a page that has only the gateway's cookie is
        told of that one."""
        sources = self._sources if here is None else self._outside
        try:
            session = sources.session(request, now)
        except NoSession:
            if before is None:
                raise
            self._require_page(request)
            return before.stored.record
        if request.method == "POST":
            self._guard.check_forgery(request, session)
        self._service.admitted(session, target)
        own = None
        if session.id and sources.own_login is not None:
            own = sources.own_login.sessions.current(request, now)
        return self._sessions.describe(
            session,
            own,
            grafana=self._hosts.of(target).origin,
            host_app=request.headers.get("Origin", ""),
            now=now,
        )

    def _answer(
        self, record: SessionRecord, target: GrafanaTarget, body: dict[str, Any], now: int
    ) -> dict[str, Any]:
        left = max(0, record.expires_at - now)
        answer: dict[str, Any] = {
            "expires_at": record.expires_at,
            "expires_in": left,
            "refresh_in": refresh_in(left, left),
            "server_time": now,
            "grafana": grafana_of(target),
        }
        panel = panel_of(body)
        if panel is not None:
            answer["url"] = panel_url(target.url, panel, token=None)
        return answer

    def _ticket(
        self, record: SessionRecord, target: GrafanaTarget, url: str | None, now: int
    ) -> dict[str, Any]:
        place = self._hosts.of(target)
        ticket = self._sessions.ticket(record, now)
        return {
            "ticket": ticket,
            "ticket_expires_in": TICKET_LIFE,
            "enter_url": self._enter_url(place, ticket, url or f"{target.url}/"),
            "session_url": place.origin + SESSION,
        }

    def _enter_url(self, place: Place, ticket: str, to: str) -> str:
        path = to.removeprefix(place.origin)
        return f"{place.origin}{ENTER}?{urlencode({'ticket': ticket, 'to': path})}"

    def _keep(self, request: Request, response: Response, session_id: str) -> None:
        self._cookie.set(response, session_id, partitioned=_crosses_sites(request))

    def _before(self, request: Request, here: Place, now: int) -> GatewaySession | None:
        """The session that the browser has already, if all is well with it."""
        try:
            session_id = self._cookie.read(request)
            found = self._sessions.live(session_id, here.origin, now) if session_id else None
        except EmbedJWTError:
            return None
        return found

    def _target(self, request: Request, body: dict[str, Any]) -> tuple[GrafanaTarget, Place | None]:
        """The Grafana that is meant, and where it is, if the browser asks on its own host."""
        name = optional_text(body, "grafana", "the name of a configured Grafana")
        places = self._places(request)
        if not places:
            target = self._service.target(name)
            if target not in self._settings.behind_gateway:
                raise RequestRefused(
                    "this Grafana is not behind the gateway",
                    code="grafana_unknown",
                    hint=f'{target.name!r} has not mode = "gateway"',
                )
            return target, None
        place = next((p for p in places if name in (None, p.target.name)), None)
        if place is None:
            raise _elsewhere("that Grafana has another host", self._service.target(name))
        return place.target, place

    def _here(self, request: Request) -> Place | None:
        places = self._places(request)
        return places[0] if places else None

    def _places(self, request: Request) -> Sequence[Place]:
        """The Grafanas on the host where the browser asks; none on embedjwt's own."""
        return self._hosts.at(self._requests.host(request.environ))

    def _place(self, url: str) -> Place | None:
        parts = urlsplit(url)
        places = [p for p in self._hosts.at(parts.netloc) if url.startswith(f"{p.target.url}/")]
        return places[0] if places else None

    def _safe(self, url: str, issuer: str = "") -> str | None:
        return safe_return_to(
            url,
            issuer=issuer or self._settings.issuer,
            allowed_origins=self._hosts.origins,
            max_length=MAX_URL_LENGTH,
        )

    def _require_page(self, request: Request) -> None:
        """What rides on the cookie alone must come from a page on the list."""
        if not request.headers.get("Origin"):
            raise OriginRefused(
                "a session that the browser brings by itself needs an Origin header",
                hint="call from a page whose origin is in [web] allowed_origins",
            )


def _crosses_sites(request: Request) -> bool:
    """Whether the browser calls the page that embeds Grafana another site (Fetch Metadata).

    A document of its own, which a login elsewhere may have led to, is in nobody's frame.
    """
    top = request.headers.get("Sec-Fetch-Dest") == "document"
    return not top and request.headers.get("Sec-Fetch-Site") == "cross-site"


def _elsewhere(what: str, target: GrafanaTarget | None) -> RequestRefused:
    at = "" if target is None else f": {target.url}"
    return RequestRefused(what, code="wrong_host", hint=f"ask {SESSION} there{at}")


def _to_refused() -> RequestRefused:
    return RequestRefused(
        "the address to go to is not allowed",
        code="return_to_not_allowed",
        hint='to must be an address of a [[grafana]] with mode = "gateway", without dots, double '
        "or encoded slashes in its path",
    )
