"""``POST /v1/embed-token``: a token for the Grafana that the caller names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import structlog
from werkzeug.exceptions import LengthRequired, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.wrappers import Request

from embedjwt.config import GrafanaTarget
from embedjwt.errors import RequestRefused
from embedjwt.grafana.urls import PanelRequest, panel_url
from embedjwt.service import Service
from embedjwt.sources import SourceChain
from embedjwt.strict_json import strict_loads
from embedjwt.tokens import EmbedToken
from embedjwt.web.guard import OriginGuard, require_json
from embedjwt.web.problems import answer_error

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PATH = "/v1/embed-token"

_log = structlog.get_logger("embedjwt.tokens")


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
        _log.debug(
            "token_issued",
            source=session.source,
            grafana=target.name,
            kid=token.kid,
            jti=token.claims["jti"],
        )
        return _answer(token, target, panel, now)

    def _parse(self, request: Request) -> tuple[GrafanaTarget, PanelRequest | None]:
        body = _json_object(request, self._service.settings.web.max_body_size)
        unknown = sorted(body.keys() - {"grafana", "panel"})
        if unknown:
            raise RequestRefused(
                f"unknown field {unknown[0][:40]!r}; the body may hold 'grafana' and 'panel'"
            )
        name, panel = body.get("grafana"), body.get("panel")
        if name is not None and not isinstance(name, str):
            raise RequestRefused("'grafana' must be the name of a configured Grafana, as a string")
        if panel is not None and not isinstance(panel, dict):
            raise RequestRefused('\'panel\' must be an object such as {"dashboard": …, "panel": …}')
        target = self._service.target(name)
        return target, None if panel is None else PanelRequest.parse(panel)


def _json_object(request: Request, limit: int) -> dict[str, Any]:
    data = _read(request, limit)
    if not data:
        return {}
    require_json(request)
    try:
        body = strict_loads(data)
    except ValueError as error:
        raise RequestRefused("the body is not valid JSON") from error
    if not isinstance(body, dict):
        raise RequestRefused("the body must be a JSON object")
    return body


def _read(request: Request, limit: int) -> bytes:
    """The body. Raises 413 where it is over ``limit``, 411 where it comes in no readable way."""
    environ = request.environ
    chunked, length = "HTTP_TRANSFER_ENCODING" in environ, request.content_length
    if length is not None and length > limit:
        raise RequestEntityTooLarge
    if chunked or length is None:
        ends = environ.get("wsgi.input_terminated")
        data: bytes = environ["wsgi.input"].read(limit + 1) if ends else b""
        if chunked and not data:
            # It may have broken off, or this server cannot read it: not the same as no body.
            raise LengthRequired("send the body with a Content-Length")
        if len(data) > limit:
            raise RequestEntityTooLarge
        return data
    data = environ["wsgi.input"].read(length)
    if len(data) < length:
        raise RequestRefused("the body is shorter than its Content-Length")
    return data


def _answer(token: EmbedToken, target: GrafanaTarget, panel: PanelRequest | None, now: int) -> str:
    answer: dict[str, Any] = {
        "token": token.token,
        "token_type": "JWT",
        "expires_in": token.expires_in(now),
        "expires_at": token.expires_at,
        "server_time": now,
        "refresh_in": token.refresh_in(now),
        "grafana": {
            "name": target.name,
            "url": target.url,
            "header_name": target.header_name,
            "mode": target.mode,
        },
    }
    if panel is not None:
        in_url = token.token if target.mode == "url" else None
        answer["embed_url"] = panel_url(target.url, panel, token=in_url)
    return json.dumps(answer)
