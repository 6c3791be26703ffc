"""Ports and quiet HTTP servers in threads, for several applications in one process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ADDRESS = "127.0.0.1"
NAME = "localhost"
"""Cookies are shared among the ports of one name, and all its ports are the same site."""


@contextmanager
def listener(port: int) -> Iterator[socket.socket]:
    """A listening socket on this port of the loopback, or on a free one where it is taken."""
    listening = _listen(port) or _listen(0)
    if listening is None:
        raise OSError("no port of the loopback can be listened on")
    with listening:
        yield listening


def url_of(listening: socket.socket) -> str:
    """The base URL that leads to a socket."""
    return f"http://{NAME}:{listening.getsockname()[1]}"


def free_port() -> int:
    """A port that was free a moment ago, for a program that opens its own."""
    with listener(0) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def serving(app: Flask, listening: socket.socket) -> Iterator[None]:
    """Serves an application on a socket until the block ends."""
    server = make_server(
        ADDRESS, 0, _in_one_piece(app), threaded=True, request_handler=_Quiet, fd=listening.fileno()
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _in_one_piece(app: Flask) -> WSGIApplication:
    """Browsers drop frames half-way, and Werkzeug's server leaves open the file it was sending."""

    def answered(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = app(environ, start_response)
        try:
            return [b"".join(body)]
        finally:
            if hasattr(body, "close"):
                body.close()

    return answered


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log(self, type: str, message: str, *args: object) -> None:
        """No line a request: the terminal belongs to the banner, and URLs hold tokens."""


def _listen(port: int) -> socket.socket | None:
    if port and _taken_on_ipv6(port):
        return None
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((ADDRESS, port))
        listening.listen(128)
    except OSError:
        listening.close()
        return None
    return listening


def _taken_on_ipv6(port: int) -> bool:
    """Browsers ask ``::1`` first, so that somebody else there would answer for us."""
    with socket.socket(socket.AF_INET6) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("::1", port)) == 0
