"""A request's JSON body, within limits."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from werkzeug.exceptions import LengthRequired, RequestEntityTooLarge
from werkzeug.wrappers import Request

from embedjwt.errors import RequestRefused
from embedjwt.strict_json import strict_loads
from embedjwt.web.guard import require_json


def json_object(request: Request, limit: int, fields: Collection[str]) -> dict[str, Any]:
    """The object in the body, empty where there is none; it may have these fields and no others.

    Raises ``RequestRefused``, and werkzeug's 411 and 413.
    """
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
    unknown = sorted(body.keys() - set(fields))
    if unknown:
        known = " and ".join(repr(name) for name in fields)
        raise RequestRefused(f"unknown field {unknown[0][:40]!r}; the body may hold {known}")
    return body


def optional_text(body: dict[str, Any], name: str, what: str) -> str | None:
    """A field that is a text where it is there; ``what`` it is, for the refusal."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestRefused(f"{name!r} must be {what}, as a string")
    return value


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
