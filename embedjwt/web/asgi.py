"""From ASGI, which shows header fields as they came, to our WSGI application.

A WSGI server decides by itself what becomes of header fields that look alike: ``X_User`` and
``X-User`` are one variable, and with granian the later one wins; a field with a byte outside ASCII
comes out empty. Sessions travel in such fields, so ``embedjwt serve`` does this step here:

- a field name with an underscore is dropped (as gunicorn does it since CVE-2025-64484 and its kin);
- a field that came twice, or beside such a twin, is noted (``sources/ambiguity.py``), and whoever
  takes a session from it refuses;
- ``Cookie`` fields, which HTTP/2 may split, are put together again (RFC 9113 section 8.2.3);
- values are passed on as they came, byte for byte (PEP 3333's Latin-1 text).
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import structlog

from embedjwt.sources.ambiguity import AMBIGUOUS_HEADERS

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Fields = Sequence[tuple[bytes, bytes]]

BODY_TIMEOUT = 10
"""Seconds within which a whole request body has to arrive."""

_SAFE = [
    (b"content-length", b"0"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]
_log = structlog.get_logger("embedjwt.web")

_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
_NOT_HTTP = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})

_LONGEST_KNOWN = 64
"""Bytes of a field's name that is remembered: strangers choose names, and these are kept."""


class AsgiBridge:
    """An ASGI application that runs a WSGI one, in its own thread or in several.

    Bodies are read before the application runs, so that a slow client keeps nobody else waiting:
    within ``BODY_TIMEOUT`` seconds, and at most one byte more than ``max_body_size``, by which the
    application sees that there was too much. ``quick`` is asked before that, and waits for nothing:
    it has the header fields of a 200 without a body, or ``None`` for what is the application's.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        max_body_size: int,
        threads: int,
        quick: Callable[[WSGIEnvironment], Fields | None] | None = None,
    ) -> None:
        self._app = app
        self._quick = quick
        self._max_body_size = max_body_size
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        environ = make_environ(scope)
        fields = None if self._quick is None else self._quick(environ)
        if fields is not None:
            await send({"type": "http.response.start", "status": 200, "headers": fields})
            await send({"type": "http.response.body", "body": b""})
            return
        answer = await self._answer(environ, receive)
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, environ: WSGIEnvironment, receive: Receive) -> _Answer:
        announced = environ.get("CONTENT_LENGTH", "")
        too_large = announced.isdecimal() and int(announced) > self._max_body_size
        if announced != "0" and not too_large and _may_have_body(environ):
            try:
                async with asyncio.timeout(BODY_TIMEOUT):
                    body = await self._body(receive)
            except TimeoutError:
                return _Answer(408, _SAFE)
            if body is None:
                return _Answer(400, _SAFE)  # it broke off; whoever still listens learns it
            environ["wsgi.input"] = io.BytesIO(body)
            if "HTTP_TRANSFER_ENCODING" not in environ:
                environ["CONTENT_LENGTH"] = str(len(body))
        if self._pool is None:
            return self._run(environ)
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, environ)

    async def _body(self, receive: Receive) -> bytes | None:
        parts: list[bytes] = []
        size = 0
        while size <= self._max_body_size:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if not message.get("more_body", False):
                break
        return b"".join(parts)

    def _run(self, environ: WSGIEnvironment) -> _Answer:
        answer = _Answer()
        try:
            chunks: Iterable[bytes] = self._app(environ, answer.start)
            try:
                answer.body = b"".join(chunks)
            finally:
                close = getattr(chunks, "close", None)
                if close is not None:
                    close()
        except Exception as error:
            _log.error("failed", error=type(error).__name__, exc_info=error)
            return _Answer(500, _SAFE)
        return answer


@dataclass(slots=True)
class _Answer:
    """What goes back; on its own it is for requests that never reach the application."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    def start(
        self, status: str, headers: list[tuple[str, str]], _exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """PEP 3333's ``start_response``."""
        self.status = int(status[:3])
        self.headers = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers]
        return self._write

    def _write(self, data: bytes) -> None:
        self.body += data


def _may_have_body(environ: WSGIEnvironment) -> bool:
    """Without either field there is none (RFC 9112 section 6.3); HTTP/2 needs no field for one."""
    return (
        environ["REQUEST_METHOD"] not in _WITHOUT_BODY
        or "CONTENT_LENGTH" in environ
        or "HTTP_TRANSFER_ENCODING" in environ
    )


def make_environ(scope: Scope) -> WSGIEnvironment:
    """The WSGI environment (PEP 3333) of an ASGI request, as yet without a body."""
    server = scope.get("server") or ("", 0)
    client = scope.get("client") or ("",)
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "REQUEST_URI": _as_it_came(scope),
        "SERVER_NAME": server[0] or "localhost",
        "SERVER_PORT": str(server[1] or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    _add_headers(environ, scope["headers"])
    return environ


def _as_it_came(scope: Scope) -> str:
    """The path and query, not decoded; other servers have it under the same name."""
    query: bytes = scope["query_string"]
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return (raw + b"?" + query if query else raw).decode("latin-1")


def _add_headers(environ: WSGIEnvironment, headers: Iterable[tuple[bytes, bytes]]) -> None:
    ambiguous: set[str] = set()
    for raw_name, raw_value in headers:
        key = _known_variable(raw_name) if len(raw_name) <= _LONGEST_KNOWN else _variable(raw_name)
        if key is None:
            ambiguous.add(_name(raw_name).replace("_", "-"))
        elif key not in environ:
            environ[key] = raw_value.decode("latin-1")
        elif key == "HTTP_COOKIE":
            environ[key] += f"; {raw_value.decode('latin-1')}"
        else:
            environ[key] += f",{raw_value.decode('latin-1')}"
            ambiguous.add(_name(raw_name))
    environ[AMBIGUOUS_HEADERS] = ambiguous


def _variable(raw_name: bytes) -> str | None:
    """What a header field is called in the environment; ``None`` where it is dropped."""
    name = raw_name.decode("latin-1")
    if "_" in name:
        return None
    key = name.upper().replace("-", "_")
    return key if key in _NOT_HTTP else f"HTTP_{key}"


_known_variable = lru_cache(maxsize=512)(_variable)


def _name(raw_name: bytes) -> str:
    return raw_name.decode("latin-1").lower()
