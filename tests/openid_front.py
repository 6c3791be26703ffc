"""A reverse proxy on loopback in front of a real server, which a test can make misbehave."""

from __future__ import annotations

import http.client
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Fault:
    """What is wrong with the answers to requests whose path begins with ``path``."""

    path: str = "/"
    delay: float = 0.0  # seconds from the server's answer to the first byte of ours
    pace: float = 0.0  # seconds between two bytes
    status: int | None = None  # answered in place of the server's
    over: Event = field(default_factory=Event)


class Front:
    """Listens on ``port``; once ``serve`` was called it passes requests on, ``Host`` included."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        """How often each path was asked for since the start, or since a test cleared it."""
        self._backend = 0
        self._fault = Fault()
        self._server: ThreadingHTTPServer | None = self._listen(0)
        self.port = int(self._server.server_address[1])

    def serve(self, backend: int) -> None:
        """Starts to answer, from the server on port ``backend``."""
        self._backend = backend
        self._accept()

    def misbehave(self, fault: Fault) -> None:
        """Replaces the fault before; whoever waits because of that one is let go."""
        previous, self._fault = self._fault, fault
        previous.over.set()

    def stop(self) -> None:
        """Ends the fault and refuses connections until ``start``; the server behind runs on."""
        self.misbehave(Fault())
        if self._server is not None:
            if self._backend:
                self._server.shutdown()
            self._server.server_close()
            self._server = None

    def start(self) -> None:
        """Listens again, on the same port."""
        if self._server is None:
            self._server = self._listen(self.port)
            self._accept()

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> tuple[Fault, bytes]:
        """The raw answer to a request, and how it is to be sent."""
        path = urlsplit(target).path
        self.asked[path] += 1
        fault = self._fault if path.startswith(self._fault.path) else Fault()
        if fault.status is not None:
            return fault, _raw(fault.status, [("Content-Type", "text/plain")], b"on purpose")
        backend = http.client.HTTPConnection("127.0.0.1", self._backend, timeout=30)
        try:
            backend.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                if name.lower() not in HOP_BY_HOP:
                    backend.putheader(name, value)
            backend.putheader("Content-Length", str(len(body)))
            backend.endheaders(body)
            answer = backend.getresponse()
            return fault, _raw(answer.status, answer.getheaders(), answer.read())
        except OSError:
            return fault, _raw(502, [], b"the provider is gone")
        finally:
            backend.close()

    def _listen(self, port: int) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"front": self})
        return ThreadingHTTPServer(("127.0.0.1", port), handler)

    def _accept(self) -> None:
        assert self._server is not None
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: Front

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault, raw = self.front.answer(self.command, self.path, self.headers, body)
        self.close_connection = True
        fault.over.wait(fault.delay)
        try:
            while fault.pace and raw and not fault.over.wait(fault.pace):
                self.wfile.write(raw[:1])
                raw = raw[1:]
            self.wfile.write(raw)
        except OSError:
            pass  # the client did not wait

    do_POST = do_OPTIONS = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _raw(status: int, headers: list[tuple[str, str]], body: bytes) -> bytes:
    kept = [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP]
    kept += [("Content-Length", str(len(body))), ("Connection", "close")]
    reason = http.client.responses.get(status, "")
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in kept)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
