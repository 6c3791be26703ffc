"""HTTP/1.1 byte by byte, for what no client library would send."""

from __future__ import annotations

import json
import socket
from typing import Any

EMBED_TOKEN = b"POST /v1/embed-token HTTP/1.1"
JSON_BODY = (b"Content-Type: application/json", b"Content-Length: 2")


def exchange(port: int, request_line: bytes, *fields: bytes, body: bytes = b"") -> tuple[int, Any]:
    """The status, and the body as JSON where it is JSON, else as text."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = (request_line, b"Host: localhost", b"Connection: close", *fields)
        connection.sendall(b"\r\n".join(head) + b"\r\n\r\n" + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    status, _, rest = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in status.lower():
        rest = rest.split(b"\r\n", 2)[1]
    try:
        return int(status.split()[1]), json.loads(rest)
    except ValueError:
        return int(status.split()[1]), rest.decode("latin-1")
