"""Errors as RFC 9457 problem details, each with a trace id that the log has too."""

from __future__ import annotations

import json
import re
import secrets
from http import HTTPStatus

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from embedjwt.errors import EmbedJWTError

JWKS_PATH = "/.well-known/jwks.json"

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_log = structlog.get_logger("embedjwt.web")


def install(app: Flask) -> None:
    """Every error that leaves the application goes through here."""
    app.register_error_handler(EmbedJWTError, _refusal)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _failure)


def trace_id() -> str:
    """The caller's trace id (W3C Trace Context section 3.2), or a new one for this request."""
    if "trace_id" not in g:
        match = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
        g.trace_id = (
            match.group(1) if match and match.group(1).strip("0") else secrets.token_hex(16)
        )
    return str(g.trace_id)


def problem(status: int, code: str, detail: str) -> Response:
    """One problem. On the JWKS path it is plain text: Grafana caches any JSON body as a key set."""
    if request.path == JWKS_PATH:
        answer = Response(f"{detail}\n", status=status, mimetype="text/plain")
    else:
        body = {
            "type": f"urn:embedjwt:problem:{code}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "code": code,
            "detail": detail,
            "trace_id": trace_id(),
        }
        answer = Response(json.dumps(body), status=status, mimetype="application/problem+json")
    if status == HTTPStatus.UNAUTHORIZED:  # RFC 9110 section 15.5.2, RFC 6750 section 3
        error = "" if code == "login_required" else ', error="invalid_token"'
        answer.headers["WWW-Authenticate"] = f'Bearer realm="embedjwt"{error}'
    return answer


def _refusal(error: EmbedJWTError) -> Response:
    log = _log.error if error.status >= 500 else _log.info
    log(
        "refused",
        code=error.code,
        detail=error.detail,
        hint=error.hint,
        path=request.path,
        trace_id=trace_id(),
    )
    return problem(error.status, error.code, error.detail)


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    code = HTTPStatus(status).name.lower()
    answer = problem(status, code, error.description or HTTPStatus(status).phrase)
    for name, value in error.get_headers():  # Allow on 405, Retry-After, …
        if name.lower() not in ("content-type", "content-length"):
            answer.headers[name] = value
    return answer


def _failure(error: Exception) -> Response:
    _log.error(
        "failed", error=type(error).__name__, path=request.path, trace_id=trace_id(), exc_info=error
    )
    return problem(500, "internal_error", "something went wrong here; the log knows the trace id")
