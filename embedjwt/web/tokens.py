"""``POST /v1/embed-token``: a token for the Grafana that the caller names."""

from __future__ import annotations

import json
from typing import Any

import structlog
from flask import Flask, Request, Response, request

from embedjwt.config import GrafanaTarget
from embedjwt.errors import RequestRefused
from embedjwt.grafana.urls import PanelRequest, panel_url
from embedjwt.service import Service
from embedjwt.sources import SourceChain
from embedjwt.tokens import EmbedToken
from embedjwt.web.guard import OriginGuard

PATH = "/v1/embed-token"

_log = structlog.get_logger("embedjwt.tokens")


def install(app: Flask, service: Service, sources: SourceChain, guard: OriginGuard) -> None:
    """Adds the embed-token endpoint."""

    @app.route(PATH, methods=["OPTIONS"], provide_automatic_options=False)
    def preflight() -> Response:
        return Response(status=204)

    @app.post(PATH, provide_automatic_options=False)
    def embed_token() -> Response:
        guard.check(request)
        now = int(service.clock())
        session = sources.session(request, now)
        guard.check_forgery(request, session)
        target, panel = _parse(request, service)
        token = service.token(session, target)
        _log.debug(
            "token_issued",
            source=session.source,
            grafana=target.name,
            kid=token.kid,
            jti=token.claims["jti"],
        )
        return Response(_body(token, target, panel, now), content_type="application/json")


def _parse(request: Request, service: Service) -> tuple[GrafanaTarget, PanelRequest | None]:
    body = _json_object(request)
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
    return service.target(name), None if panel is None else PanelRequest.parse(panel)


def _json_object(request: Request) -> dict[str, Any]:
    data = request.get_data(cache=False)
    if not data:
        return {}
    if request.mimetype != "application/json":
        raise RequestRefused("send Content-Type: application/json", code="content_type_unsupported")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RequestRefused("the body is not valid JSON") from error
    if not isinstance(body, dict):
        raise RequestRefused("the body must be a JSON object")
    return body


def _body(token: EmbedToken, target: GrafanaTarget, panel: PanelRequest | None, now: int) -> str:
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
