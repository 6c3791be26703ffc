"""A stand-in for Grafana that records every request, byte for byte, and judges its token.

It stands in for a real one because tests must see what reached it. Tokens are judged by the model
of Grafana's own verification (``embedjwt/grafana/verifier.py``). Requests are read by hand, for
Python's HTTP server folds a leading ``//`` and hides odd header names.
"""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import IO

from embedjwt.demo.judge import Judge
from embedjwt.grafana.verifier import Verdict
from websocket_frames import TEXT, accept_key, read_frame, write_frame

Pairs = tuple[tuple[str, str], ...]

OWN_COOKIE = "grafana_session_expiry"
OWN_POLICY = "script-src 'self'"
"""What a Grafana with ``content_security_policy`` sends, so far as tests look at it."""


@dataclass(frozen=True)
class Recorded:
    """One request as it came; ``at`` is :func:`time.monotonic` of its arrival."""

    method: str
    target: str
    headers: Pairs
    body: bytes
    verdict: Verdict
    at: float

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def values(self, name: str) -> list[str]:
        """Every value under this name, ``_`` and ``-`` taken for the same."""
        wanted = name.lower().replace("_", "-")
        return [v for n, v in self.headers if n.lower().replace("_", "-") == wanted]


class RecordingGrafana:
    """What came, and the settings it judges by; ``judge`` may be set once embedjwt has keys."""

    def __init__(self, header_name: str) -> None:
        self.header_name = header_name
        self.judge: Judge | None = None
        self.port = 0
        self.recorded: list[Recorded] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def record(self, method: str, target: str, headers: Pairs, body: bytes) -> Recorded:
        assert self.judge is not None
        # Go's Header.Get takes the first (pkg/services/authn/clients/jwt.go).
        token = next((v for n, v in headers if n.lower() == self.header_name.lower()), "")
        verdict = self.judge.verdict(token)
        recorded = Recorded(method, target, headers, body, verdict, time.monotonic())
        self.recorded.append(recorded)
        return recorded


@contextmanager
def recording_grafana(header_name: str = "X-JWT-Assertion") -> Iterator[RecordingGrafana]:
    """Listens on a free port of the loopback until the block ends."""
    grafana = RecordingGrafana(header_name)

    class Handler(socketserver.StreamRequestHandler):
        timeout = 30

        def handle(self) -> None:
            with suppress(OSError, _Unreadable):
                while _exchange(grafana, self.rfile, self.wfile):
                    pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        grafana.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield grafana
        finally:
            server.shutdown()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128


class _Unreadable(Exception):
    """No HTTP/1.1 request."""


@dataclass
class _Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def _exchange(grafana: RecordingGrafana, incoming: IO[bytes], outgoing: IO[bytes]) -> bool:
    """One request and its answer; whether the connection is open for another."""
    line = incoming.readline(65536)
    if not line:
        return False
    try:
        method, target, _ = line.decode("latin-1").rstrip("\r\n").split(" ")
    except ValueError:
        raise _Unreadable from None
    headers = tuple(_headers(incoming))
    fields = {name.lower(): value for name, value in headers}
    recorded = grafana.record(method, target, headers, _body(incoming, fields))
    if recorded.path == "/api/live/ws" and recorded.verdict.accepted:
        _websocket(fields, incoming, outgoing)
        return False
    answer = _answer(recorded, fields)
    _send(answer, outgoing, bodiless=method == "HEAD" or answer.status == 304)
    return "close" not in fields.get("connection", "").lower()


def _headers(incoming: IO[bytes]) -> Iterator[tuple[str, str]]:
    while (line := incoming.readline(65536)) not in (b"\r\n", b"\n", b""):
        name, colon, value = line.decode("latin-1").rstrip("\r\n").partition(":")
        if not colon:
            raise _Unreadable
        yield name, value.strip(" \t")


def _body(incoming: IO[bytes], fields: dict[str, str]) -> bytes:
    if "chunked" in fields.get("transfer-encoding", "").lower():
        parts = []
        while size := int(incoming.readline().partition(b";")[0], 16):
            parts.append(incoming.read(size))
            incoming.readline()
        while incoming.readline() not in (b"\r\n", b"\n", b""):
            pass
        return b"".join(parts)
    return incoming.read(int(fields.get("content-length", "0")))


def _answer(recorded: Recorded, fields: dict[str, str]) -> _Answer:
    if not recorded.verdict.accepted:
        if recorded.path.startswith(("/api/", "/apis/")) or recorded.method != "GET":
            return _Answer(401, b'{"message":"Unauthorized"}')
        return _Answer(302, headers={"Location": "/login"})
    if fields.get("if-none-match") == '"known"':
        return _Answer(304, headers={"ETag": '"known"'})
    seen = {
        "login": recorded.verdict.login,
        "role": recorded.verdict.role,
        "method": recorded.method,
        "length": len(recorded.body),
        "sha256": sha256(recorded.body).hexdigest(),
    }
    return _Answer(200, json.dumps(seen).encode())


def _send(answer: _Answer, outgoing: IO[bytes], *, bodiless: bool) -> None:
    headers = {
        "Content-Type": "application/json",
        "X-Frame-Options": "deny",
        "Content-Security-Policy": OWN_POLICY,
        "Set-Cookie": f"{OWN_COOKIE}=1; Path=/",
        **answer.headers,
    }
    if answer.status != 304:
        headers["Content-Length"] = str(len(answer.body))
    lines = [f"HTTP/1.1 {answer.status} -", *(f"{n}: {v}" for n, v in headers.items())]
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    outgoing.write(head if bodiless else head + answer.body)
    outgoing.flush()


def _websocket(fields: dict[str, str], incoming: IO[bytes], outgoing: IO[bytes]) -> None:
    """The server's side of RFC 6455: the handshake, then an echo of every text frame."""
    key = fields.get("sec-websocket-key", "")
    if fields.get("upgrade", "").lower() != "websocket" or not key:
        _send(_Answer(400, b'{"message":"Bad Request"}'), outgoing, bodiless=False)
        return
    outgoing.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key) + b"\r\n\r\n"
    )
    outgoing.flush()
    while (frame := read_frame(incoming)) is not None and frame[0] == TEXT:
        write_frame(outgoing, *frame, masked=False)
