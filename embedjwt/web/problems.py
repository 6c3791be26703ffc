"""Errors as RFC 9457 problem details, each with a trace id that the log has too."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus

import flask
import structlog
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from embedjwt.errors import EmbedJWTError, KeysUnavailable

JWKS_PATH = "/.well-known/jwks.json"

_STORE_FAILED = "the service's own store cannot be used at the moment; the log has the trace id"
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_log = structlog.get_logger("embedjwt.web")


def install(app: flask.Flask) -> None:
    """Every error of the Flask application leaves it through here."""

    @app.errorhandler(Exception)
    def answer(error: Exception) -> Response:
        return answer_error(error, flask.request)


def answer_error(error: Exception, request: Request, **about: str) -> Response:
    """The answer to a request that ended in an error, which is logged with its trace id.

    ``about`` is logged as well: which request this one asks about.
    """
    if isinstance(error, EmbedJWTError):
        return _refusal(error, request, about)
    if isinstance(error, HTTPException):
        return _http_error(error, request)
    _log.error(
        "failed",
        error=type(error).__name__,
        path=request.path,
        trace_id=trace_id(request),
        exc_info=error,
    )
    detail = "something went wrong here; the log has the trace id"
    return problem(request, 500, "internal_error", detail)


def trace_id(request: Request) -> str:
    """The caller's trace id (W3C Trace Context section 3.2), or a new one for this request."""
    known: str | None = request.environ.get("embedjwt.trace_id")
    if known is None:
        match = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
        known = match[1] if match and match[1].strip("0") else secrets.token_hex(16)
        request.environ["embedjwt.trace_id"] = known
    return known


def problem(request: Request, status: int, code: str, detail: str) -> Response:
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
            "trace_id": trace_id(request),
        }
        answer = Response(json.dumps(body), status=status, mimetype="application/problem+json")
    if status == HTTPStatus.UNAUTHORIZED:  # RFC 9110 section 15.5.2, RFC 6750 section 3
        error = "" if code == "login_required" else ', error="invalid_token"'
        answer.headers["WWW-Authenticate"] = f'Bearer realm="embedjwt"{error}'
    return answer


def _refusal(error: EmbedJWTError, request: Request, about: Mapping[str, str]) -> Response:
    log = _log.error if error.status >= 500 else _log.info
    log(
        "refused",
        code=error.code,
        detail=error.detail,
        hint=error.hint,
        path=request.path,
        trace_id=trace_id(request),
        **about,
    )
    # What is wrong with a store names hosts, users and paths, which are for the log alone.
    detail = _STORE_FAILED if isinstance(error, KeysUnavailable) else error.detail
    return problem(request, error.status, error.code, detail)


def _http_error(error: HTTPException, request: Request) -> Response:
    status = error.code or 500
    code = HTTPStatus(status).name.lower()
    answer = problem(request, status, code, error.description or HTTPStatus(status).phrase)
    for name, value in error.get_headers():  # Allow on 405, Retry-After, …
        if name.lower() not in ("content-type", "content-length"):
            answer.headers[name] = value
    return answer
