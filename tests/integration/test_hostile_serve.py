"""Hostile logins at ``embedjwt serve``: several processes, and requests byte by byte."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode, urlsplit

import pytest
import requests

from hostile_provider import CLIENT, SECRET, StandIn
from hostile_site import DASHBOARD, HOST
from loopback_server import running_server
from raw_http import exchange
from running_service import embedjwt, free_port, running_service

SESSION = "embedjwt_session"
"""Without its prefix, for the issuer is http."""


@pytest.fixture(scope="module")
def provider() -> Iterator[StandIn]:
    with running_server() as server:
        yield StandIn(server, time.time)


@pytest.fixture(scope="module")
def service(provider: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory, port = tmp_path_factory.mktemp("hostile"), free_port()
    directory.chmod(0o700)
    (directory / "embedjwt.toml").write_text(f"""
        issuer = "http://localhost:{port}"
        [[source]]
        type = "oidc"
        name = "idp"
        issuer = "{provider.url}"
        client_id = "{CLIENT}"
        client_secret = "{SECRET}"
        timeout = "2s"
        [[grafana]]
        url = "https://grafana.example.com"
        [web]
        allowed_origins = ["{HOST}"]
    """)
    embedjwt("init", cwd=directory)
    with running_service(directory, port) as url:
        yield url
    log = (directory / "serve.log").read_text()
    assert not [secret for secret in provider.secrets if secret in log]
    assert "Traceback" not in log


def begin(service: str) -> requests.Response:
    return requests.get(
        f"{service}/session/login",
        {"prompt": "none"},
        allow_redirects=False,
        timeout=10,
    )


def answered(service: str, start: requests.Response, params: dict[str, str]) -> requests.Response:
    return requests.get(
        f"{service}/session/callback",
        params,
        cookies=start.cookies,
        allow_redirects=False,
        timeout=60,
    )


def token(service: str, session: str) -> requests.Response:
    return requests.post(
        f"{service}/v1/embed-token",
        json={},
        cookies={SESSION: session},
        headers={"Origin": HOST},
        timeout=60,
    )


def test_one_callback_by_eight_at_once(service: str, provider: StandIn) -> None:
    """Two processes, one session."""
    start = begin(service)
    params = provider.authorize(start.headers["Location"])
    asked = len(provider.forms())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: answered(service, start, params), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200, *[400] * 7]
    (session,) = [found for found in (a.cookies.get(SESSION) for a in answers) if found]
    assert len(provider.forms()) == asked + 1
    got = token(service, session)
    assert got.status_code == 200
    provider.secrets += [session, got.json()["token"]]


SMUGGLED: dict[str, list[bytes]] = {
    "an underscore": [b"Origin: https://evil.example.com", b"Sec_Fetch_Site: same-origin"],
    "both": [b"Sec-Fetch-Site: cross-site", b"Sec_Fetch_Site: same-origin"],
    "twice": [b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Site: same-origin"],
    "the other way round": [b"Sec-Fetch-Site: same-origin", b"Sec-Fetch-Site: cross-site"],
    "two origins": [b"Origin: http://localhost", b"Origin: https://evil.example.com"],
    "a tab": [b"Sec-Fetch-Site: cross-site\t, same-origin"],
    "not ASCII": [b"Origin: https://evil.example.com", b"Sec-Fetch-Site: same-origin\xff"],
}


@pytest.mark.parametrize("fields", SMUGGLED.values(), ids=SMUGGLED)
@pytest.mark.parametrize("path", [b"login", b"logout"])
def test_header_fields_that_two_readers_understand_differently(
    service: str, path: bytes, fields: list[bytes]
) -> None:
    body = urlencode({"next": DASHBOARD}).encode()
    status, answer = exchange(
        urlsplit(service).port or 0,
        b"POST /session/%s HTTP/1.1" % path,
        b"Content-Type: application/x-www-form-urlencoded",
        b"Content-Length: %d" % len(body),
        *fields,
        body=body,
    )
    if path == b"login":
        assert (status, "prompt=none" in answer) == (303, True), "silently"
    else:
        assert (status, answer["code"]) == (403, "origin_not_allowed")


def test_logins_that_hang_keep_nobody_else_waiting(service: str, provider: StandIn) -> None:
    """Anybody can begin a login and make up its answer, and so often as they like."""
    begun = [begin(service) for _ in range(81)]
    started = [(start, provider.authorize(start.headers["Location"])) for start in begun]
    good = answered(service, *started.pop()).cookies[SESSION]
    provider.endpoints["/token"] = lambda _handler: time.sleep(3)  # the source waits for two
    try:
        before, deadline = len(provider.forms()), time.monotonic() + 1.5
        with ThreadPoolExecutor(len(started)) as pool:
            answers = [pool.submit(answered, service, *login) for login in started]
            while len(provider.forms()) < before + 32 and time.monotonic() < deadline:
                time.sleep(0.01)
            asked = time.monotonic()
            assert token(service, good).status_code == 200
            assert time.monotonic() - asked < 1
            assert {answer.result().status_code for answer in answers} == {503}
    finally:
        del provider.endpoints["/token"]
