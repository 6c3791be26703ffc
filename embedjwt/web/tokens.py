"""``POST /v1/embed-token``: a token for the Grafana that the caller names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import MethodNotAllowed
from werkzeug.wrappers import Request

from embedjwt.config import GrafanaTarget
from embedjwt.errors import RequestRefused
from embedjwt.grafana.urls import PanelRequest, panel_url
from embedjwt.service import Service, log_issued
from embedjwt.sources import SourceChain
from embedjwt.tokens import EmbedToken
from embedjwt.web.body import json_object, optional_text
from embedjwt.web.guard import OriginGuard
from embedjwt.web.problems import answer_error

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PATH = "/v1/embed-token"


class EmbedTokens:
    """The endpoint, as a WSGI application of its own.

    Every panel of every page asks here again and again, and Flask's routing and contexts cost as
    much as the signature.
    """

    def __init__(self, service: Service, sources: SourceChain, guard: OriginGuard) -> None:
        self._service = service
        self._sources = sources
        self._guard = guard

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        try:
            if request.method == "OPTIONS":
                start_response("204 No Content", [])
                return []
            if request.method != "POST":
                raise MethodNotAllowed(["POST", "OPTIONS"])
            body = self._token(request).encode()
        except Exception as error:
            return answer_error(error, request)(environ, start_response)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("200 OK", headers)
        return [body]

    def _token(self, request: Request) -> str:
        self._guard.check(request)
        now = int(self._service.clock())
        session = self._sources.session(request, now)
        self._guard.check_forgery(request, session)
        target, panel = self._parse(request)
        token = self._service.token(session, target)
        log_issued(token, session, target)
        return _answer(token, target, panel, now)

    def _parse(self, request: Request) -> tuple[GrafanaTarget, PanelRequest | None]:
        limit = self._service.settings.web.max_body_size
        body = json_object(request, limit, ("grafana", "panel"))
        name = optional_text(body, "grafana", "the name of a configured Grafana")
        return self._service.target(name), panel_of(body)


def panel_of(body: dict[str, Any]) -> PanelRequest | None:
    """The panel that a body names; ``RequestRefused`` says what is wrong with it."""
    panel = body.get("panel")
    if panel is not None and not isinstance(panel, dict):
        raise RequestRefused('\'panel\' must be an object such as {"dashboard": …, "panel": …}')
    return None if panel is None else PanelRequest.parse(panel)


def grafana_of(target: GrafanaTarget) -> dict[str, str]:
    """What answers say of a Grafana."""
    return {
        "name": target.name,
        "url": target.url,
        "header_name": target.header_name,
        "mode": target.mode,
    }


def _answer(token: EmbedToken, target: GrafanaTarget, panel: PanelRequest | None, now: int) -> str:
    answer: dict[str, Any] = {
        "token": token.token,
        "token_type": "JWT",
        "expires_in": token.expires_in(now),
        "expires_at": token.expires_at,
        "server_time": now,
        "refresh_in": token.refresh_in(now),
        "grafana": grafana_of(target),
    }
    if panel is not None:
        in_url = token.token if target.mode == "url" else None
        answer["embed_url"] = panel_url(target.url, panel, token=in_url)
    return json.dumps(answer)
