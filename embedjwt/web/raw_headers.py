"""Refuses identity headers that came twice, or came spelled with an underscore.

WSGI shows ``X_User`` and ``X-User`` as one variable, and granian lets the later of the two win, so
a WSGI application cannot tell who sent it (the lesson of CVE-2025-64484). ASGI shows names as they
came; ``embedjwt serve`` puts this in front when a ``proxy`` source is configured.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_CODE = "identity_header_ambiguous"
_log = structlog.get_logger("embedjwt.web")


class UnambiguousHeaders:
    """An ASGI layer that lets a request through when each identity header came at most once.

    ``names`` are lower-case header names with dashes.
    """

    def __init__(self, app: AsgiApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = frozenset(name.encode("ascii") for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_ambiguous(scope["headers"]):
            await _refuse(send)
        else:
            await self._app(scope, receive, send)

    def _is_ambiguous(self, headers: list[tuple[bytes, bytes]]) -> bool:
        seen: set[bytes] = set()
        for raw, _ in headers:
            name = raw.lower().replace(b"_", b"-")
            if name in self._names and (name in seen or b"_" in raw):
                return True
            seen.add(name)
        return False


async def _refuse(send: Send) -> None:
    _log.warning(
        "refused",
        code=_CODE,
        hint="an identity header came twice or with an underscore: the proxy in front must replace "
        "these headers, and drop names with an underscore",
    )
    body = {
        "type": f"urn:embedjwt:problem:{_CODE}",
        "title": "Bad Request",
        "status": 400,
        "code": _CODE,
        "detail": "An identity header came twice, or under a name with an underscore.",
    }
    headers = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
