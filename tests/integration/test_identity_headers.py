"""Identity headers through the production server, byte by byte: no twin gets past it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from raw_http import EMBED_TOKEN, JSON_BODY, exchange
from running_service import embedjwt, free_port, running_service

ORIGIN = b"Origin: https://app.example.com"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    directory = tmp_path_factory.mktemp("proxy")
    port = free_port()
    (directory / "embedjwt.toml").write_text(
        f"""
        issuer = "http://localhost:{port}"
        [[source]]
        type = "proxy"
        preset = "oauth2-proxy"
        name_header = "X-Name"
        [[grafana]]
        url = "https://grafana.example.com"
        [web]
        trusted_proxies = ["127.0.0.1"]
        allowed_origins = ["https://app.example.com"]
        """
    )
    embedjwt("init", cwd=directory)
    with running_service(directory, port, "--host", "127.0.0.1"):
        yield port


def ask(port: int, *fields: bytes) -> tuple[int, dict[str, Any]]:
    """An embed-token request with exactly these header fields beside the usual ones."""
    return exchange(port, EMBED_TOKEN, *JSON_BODY, ORIGIN, *fields, body=b"{}")


GOOD = (b"X-Auth-Request-User: u1", b"X-Auth-Request-Email: jane@example.com")


def test_a_person_the_proxy_signed_in(port: int) -> None:
    status, body = ask(port, *GOOD, "X-Name: Jäne Müller".encode())
    assert status == 200, body
    payload = str(body["token"]).split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["sub"] == "u1"
    assert claims["name"] == "Jäne Müller"


@pytest.mark.parametrize(
    "twin",
    [
        b"X_Auth_Request_User: admin",
        b"X-Auth_Request-User: admin",
        b"x_auth_request_user: admin",
        b"X-Auth-Request-User: admin",
        b"x-auth-request-user: u1",
        b"X_Auth_Request_Email: admin@example.com",
        b"X_Auth_Request_Groups: admins",
        b"X_Name: Admin",
    ],
)
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_a_twin_is_refused(port: int, twin: bytes, first: bool) -> None:
    status, body = ask(port, *((twin, *GOOD) if first else (*GOOD, twin)))
    assert (status, body["code"]) == (401, "identity_header_ambiguous")
    assert "token" not in body


def test_other_odd_names_are_nobodys_business(port: int) -> None:
    status, _ = ask(port, *GOOD, b"X_Something_Else: 1", b"X-Twice: 1", b"X-Twice: 2")
    assert status == 200
