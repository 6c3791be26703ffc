"""What the tests of the sources share: keys, tokens, requests, and a provider on loopback."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

NOW = 1_800_000_000
ISSUER = "https://idp.example.com"
AUDIENCE = "embed"

RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
P384_KEY = ec.generate_private_key(ec.SECP384R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def pem(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk(key: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    readers = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    reader = next((r for kind, r in readers.items() if isinstance(key, kind)), OKPAlgorithm)
    named = {} if kid is None else {"kid": kid}
    return {**reader.to_jwk(key.public_key(), as_dict=True), **named, **more}


def claims(**changes: Any) -> dict[str, Any]:
    """Claims that are accepted, with changes; ``None`` takes a claim away."""
    base = {"iss": ISSUER, "aud": AUDIENCE, "sub": "42", "exp": NOW + 300, "iat": NOW - 5}
    return {name: value for name, value in {**base, **changes}.items() if value is not None}


def token(
    content: dict[str, Any] | None = None,
    *,
    key: Any = RSA_KEY,
    alg: str = "RS256",
    kid: str | None = "rsa-1",
    **header: Any,
) -> str:
    named = {} if kid is None else {"kid": kid}
    body = json.dumps(claims() if content is None else content).encode()
    return jwt.api_jws.encode(body, key, algorithm=alg, headers={**named, **header})


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw_token(
    header: bytes, payload: bytes, *, sign: Callable[[bytes], bytes] | None = None
) -> str:
    """A token of exactly these bytes, by default signed as RS256."""
    signing_input = f"{b64(header)}.{b64(payload)}"
    algorithm = RSAAlgorithm(RSAAlgorithm.SHA256)
    signature = (
        algorithm.sign(signing_input.encode(), RSA_KEY)
        if sign is None
        else sign(signing_input.encode())
    )
    return f"{signing_input}.{b64(signature)}"


def request(
    headers: dict[str, str] | list[tuple[str, str]] | None = None, *, peer: str = "203.0.113.9"
) -> Request:
    """A request as a WSGI server hands it over: repeated fields joined by a comma."""
    joined: dict[str, str] = {}
    for name, value in headers.items() if isinstance(headers, dict) else headers or []:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    environ = EnvironBuilder(method="POST", path="/v1/embed-token").get_environ()
    for name, value in joined.items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    return Request({**environ, "REMOTE_ADDR": peer})


def bearer(text: str) -> Request:
    return request({"Authorization": f"Bearer {text}"})


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Provider:
    """An identity provider: answers by path, and counts who asks."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []
        self.url = ""

    def count(self, path: str = "/jwks") -> int:
        return self.asked.count(path)

    def publishes(self, *keys: dict[str, Any], path: str = "/jwks") -> None:
        self.answers_json({"keys": list(keys)}, path=path)

    def answers_json(
        self,
        document: Any,
        *,
        path: str = "/jwks",
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        body = json.dumps(document).encode()
        self.answers[path] = lambda handler: reply(handler, body, status, headers or {})


def reply(
    handler: BaseHTTPRequestHandler, body: bytes, status: int, headers: dict[str, str]
) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def running_provider(tls: ssl.SSLContext | None = None) -> Iterator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked.append(self.path)
            try:
                provider.answers[self.path](self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # refused handshakes
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    provider.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.socket.close()
