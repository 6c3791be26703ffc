"""Requests as no client library sends them, to ``embedjwt serve`` itself."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from raw_http import EMBED_TOKEN, JSON_BODY, exchange
from running_service import embedjwt, free_port, running_service

SECRET = "a secret of the tests, long enough for HS256"
ORIGIN = b"Origin: https://app.example.com"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    directory = tmp_path_factory.mktemp("raw")
    port = free_port()
    (directory / "embedjwt.toml").write_text(
        f"""
        issuer = "http://localhost:{port}"
        [[source]]
        type = "jwt"
        issuer = "https://idp.example.com"
        audience = ["app"]
        secret = "{SECRET}"
        algorithms = ["HS256"]
        subject_prefix = "idp:"
        [[source]]
        type = "cookie"
        secret_keys = ["{SECRET}"]
        claims_path = "user"
        subject_prefix = "app:"
        [[grafana]]
        name = "first"
        url = "https://one.example.com"
        [[grafana]]
        name = "second"
        url = "https://two.example.com"
        [web]
        allowed_origins = ["https://app.example.com"]
        """
    )
    embedjwt("init", cwd=directory)
    with running_service(directory, port, "--workers", "1"):
        yield port


def bearer() -> bytes:
    claims = {"sub": "1", "email": "a@example.com", "iss": "https://idp.example.com", "aud": "app"}
    token = jwt.encode({**claims, "exp": int(time.time()) + 600}, SECRET, "HS256")
    return b"Authorization: Bearer " + token.encode()


def session() -> bytes:
    host = Flask("host")
    host.secret_key = SECRET
    serializer = SecureCookieSessionInterface().get_signing_serializer(host)
    assert serializer is not None
    return (
        b"session="
        + str(serializer.dumps({"user": {"sub": "7", "email": "b@example.com"}})).encode()
    )


def subject(answer: Any) -> str:
    payload = answer["token"].split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])


def ask(port: int, *fields: bytes, body: bytes = b"{}") -> tuple[int, Any]:
    return exchange(port, EMBED_TOKEN, *JSON_BODY, ORIGIN, *fields, body=body)


class TestCookies:
    """HTTP/2 browsers send one field per cookie, and neighbours may hold any byte."""

    @pytest.mark.parametrize("first", [True, False])
    def test_in_several_fields(self, port: int, first: bool) -> None:
        ours, other = b"Cookie: " + session(), b"Cookie: theme=dark"
        status, answer = ask(port, *((ours, other) if first else (other, ours)))
        assert (status, subject(answer)) == (200, "app:7")

    def test_beside_a_cookie_that_is_not_ascii(self, port: int) -> None:
        status, answer = ask(port, b"Cookie: name=J\xc3\xbcrgen; " + session() + b"; x=\xff")
        assert (status, subject(answer)) == (200, "app:7")

    def test_two_of_ours_are_ambiguous(self, port: int) -> None:
        status, answer = ask(port, b"Cookie: " + session(), b"Cookie: session=planted")
        assert (status, answer["code"]) == (401, "credential_ambiguous")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ((b"Authorization: Bearer forged\xff",), "token_malformed"),
        ((b"Authorization: Bearer",), "token_malformed"),
        ((b"Authorization: Bearer a.b.c", b"Authorization: Bearer a.b.c"), "credential_ambiguous"),
    ],
    ids=["not-ascii", "empty", "twice"],
)
def test_a_forged_token_is_not_rescued_by_a_cookie(
    port: int, fields: tuple[bytes, ...], code: str
) -> None:
    status, answer = ask(port, *fields, b"Cookie: " + session())
    assert (status, answer["code"]) == (401, code)


class TestBodies:
    """A body that is not read whole must not become "no body": it names the Grafana."""

    CHUNKED = b'14\r\n{"grafana":"second"}\r\n0\r\n\r\n'

    def test_in_chunks(self, port: int) -> None:
        status, answer = exchange(
            port,
            EMBED_TOKEN,
            b"Content-Type: application/json",
            bearer(),
            b"Transfer-Encoding: chunked",
            body=self.CHUNKED,
        )
        assert (status, answer["grafana"]["name"]) == (200, "second")

    @pytest.mark.parametrize("body", [b"zz", b"5\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\nzz\r\n\r\n"])
    def test_broken_chunks_are_no_body(self, port: int, body: bytes) -> None:
        status, _ = exchange(port, EMBED_TOKEN, bearer(), b"Transfer-Encoding: chunked", body=body)
        assert status in (400, 411)

    def test_an_underscore_field_changes_nothing(self, port: int) -> None:
        body = b'{"grafana":"second"}'
        fields = (b"Transfer_Encoding: chunked", b"Content_Length: 2", b"Content_Type: text/html")
        status, answer = exchange(
            port,
            EMBED_TOKEN,
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(body),
            bearer(),
            *fields,
            body=body,
        )
        assert (status, answer["grafana"]["name"]) == (200, "second")

    def test_too_large(self, port: int) -> None:
        body = b" " * 70_000
        status, answer = exchange(
            port,
            EMBED_TOKEN,
            b"Content-Type: application/json",
            b"Content-Length: 70000",
            bearer(),
            body=body,
        )
        assert (status, answer["code"]) == (413, "request_entity_too_large")

    def test_none_at_all(self, port: int) -> None:
        status, answer = exchange(port, EMBED_TOKEN, bearer())
        assert (status, subject(answer)) == (200, "idp:1")


@pytest.mark.parametrize(
    "target", [b"/healthz?\xe6\xbc\xa2", b"/healthz?%", b"/%e6%bc%a2", b"/%ff%fe", b"/a%00b"]
)
def test_odd_addresses_are_no_errors(port: int, target: bytes) -> None:
    status, _ = exchange(port, b"GET " + target + b" HTTP/1.1")
    assert status in (200, 400, 404)


def test_errors_on_the_key_sets_path_are_not_json(port: int) -> None:
    twice = (b"X-Auth-Request-User: a", b"X-Auth-Request-User: b")
    status, answer = exchange(port, b"GET /.well-known/jwks.json HTTP/1.1", *twice)
    assert (status, len(answer["keys"])) == (200, 2)
    status, answer = exchange(port, b"POST /.well-known/jwks.json HTTP/1.1")
    assert status == 405
    assert isinstance(answer, str)


def test_slow_bodies_keep_nobody_waiting(port: int) -> None:
    """Each of these has begun a request and does not end it; the one worker serves on."""
    slow = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(20)]
    try:
        for connection in slow:
            head = (EMBED_TOKEN, b"Host: localhost", bearer(), b"Content-Length: 20")
            connection.sendall(b"\r\n".join(head) + b"\r\n\r\n{")
        status, _ = exchange(port, b"GET /healthz HTTP/1.1")
        assert status == 200
        status, answer = ask(port, bearer())
        assert (status, subject(answer)) == (200, "idp:1")
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.parametrize("address", [b"/static//x", b"//static/x", b"/v1//embed-token"])
def test_no_redirect_to_a_host_that_the_client_names(port: int, address: bytes) -> None:
    status, _ = exchange(port, b"GET " + address + b" HTTP/1.1", b"X: y")
    assert status == 404
