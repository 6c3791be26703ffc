"""A TCP connection that breaks at a certain word."""

from __future__ import annotations

import socket
import threading
from types import TracebackType


class BrokenLink:
    """Forwards to a port of this machine until a client has said ``word``, then breaks.

    ``deliver``: whether the server hears the word; the client hears nothing in either case.
    """

    def __init__(self, target: int, word: bytes, *, deliver: bool) -> None:
        self._target = target
        self._word = word
        self._deliver = deliver
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> BrokenLink:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed at the end
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._answers, args=(server, client), daemon=True).start()
            threading.Thread(target=self._requests, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        while data := _received(client):
            if self._word in data:
                client.shutdown(socket.SHUT_RDWR)  # first, so that no answer gets through
                if self._deliver:
                    server.sendall(data)
                break
            server.sendall(data)
        server.shutdown(socket.SHUT_WR)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with server, client:
            while data := _received(server):
                try:
                    client.sendall(data)
                except OSError:
                    continue  # the server may finish what it was told


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(65536)
    except OSError:
        return b""
