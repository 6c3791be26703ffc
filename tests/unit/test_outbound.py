"""Requests to other servers: what is sent, how long they may take, and where they may lead."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import trustme

from embedjwt.errors import UpstreamUnavailable
from embedjwt.outbound import Answer, Outbound, as_safe_as, is_public
from loopback_server import LoopbackServer, running_server

SOON = 3
"""Seconds: far less than what the hostile servers here take."""


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def outbound() -> Outbound:
    return Outbound(verify=True, total=0.5)


def refusal(call: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(UpstreamUnavailable) as refused:
        call(*args, **options)
    return refused.value.hint


def test_a_document_is_asked_for_with_an_access_token(outbound, server):
    server.answers_json("/userinfo", {"sub": "42"})
    assert outbound.get_json(f"{server.url}/userinfo?a=b", bearer="opaque") == {"sub": "42"}
    (asked,) = server.asked
    assert (asked.method, asked.target) == ("GET", "/userinfo?a=b")
    assert asked.headers["authorization"] == "Bearer opaque"
    assert asked.headers["accept"] == "application/json"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["user-agent"] == "embedjwt"


def test_bytes_come_as_they_are(outbound, server):
    server.answers_bytes("/key", b"-----BEGIN PUBLIC KEY-----\n")
    assert outbound.get_bytes(f"{server.url}/key") == b"-----BEGIN PUBLIC KEY-----\n"
    server.answers_bytes("/key", b"-----BEGIN PUBLIC KEY-----\n", 404)
    assert "404" in refusal(outbound.get_bytes, f"{server.url}/key")


def test_a_form_and_its_answer(outbound, server):
    server.answers_json("/token", {"error": "invalid_grant"}, 400)
    answer = outbound.post_form(
        f"{server.url}/token", {"code": "a&b=ü"}, basic=("id:colon", "s3cret")
    )
    assert answer == Answer(400, {"error": "invalid_grant"})
    (asked,) = server.asked
    assert asked.method == "POST"
    assert asked.form == {"code": "a&b=ü"}
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    scheme, credentials = asked.headers["authorization"].split()
    assert (scheme, base64.b64decode(credentials)) == ("Basic", b"id:colon:s3cret")


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"a": 1, "a": 2}', b"\xff"], ids=repr)
def test_an_answer_that_is_no_plain_json_has_no_document(outbound, server, body):
    server.answers_bytes("/token", body, 502)
    assert outbound.post_form(f"{server.url}/token", {}) == Answer(502, None)
    server.answers_bytes("/json", body)
    assert "refused" in refusal(outbound.get_json, f"{server.url}/json")


def test_passwords_of_netrc_stay_at_home(outbound, server, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.answers_json("/", {})
    outbound.get_json(f"{server.url}/")
    outbound.post_form(f"{server.url}/", {})
    assert ["authorization" in asked.headers for asked in server.asked] == [False, False]


def test_redirects_are_not_followed(outbound, server):
    server.answers_bytes("/token", b"{}", 307, Location="/other")
    assert outbound.post_form(f"{server.url}/token", {"code": "c"}) == Answer(307, {})
    assert "307" in refusal(outbound.get_json, f"{server.url}/token")
    assert server.paths() == ["/token", "/token"]


def drip_head(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(100):
        handler.wfile.write(f"X-{number}: 1\r\n".encode())
        time.sleep(0.1)


def drip_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def endless(status: int) -> Any:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", "/other")
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 65536)

    return answer


@pytest.mark.parametrize("answer", [drip_head, drip_body], ids=["head", "body"])
def test_a_server_that_drips_is_cut_off(outbound, server, answer):
    server.answers["/"] = answer
    begun = time.monotonic()
    assert "too long" in refusal(outbound.post_form, f"{server.url}/", {})
    assert time.monotonic() - begun < SOON
    assert server.cut.wait(SOON)


@pytest.mark.parametrize("status", [200, 302, 500])
def test_an_endless_answer_is_cut_off(server, status):
    server.answers["/"] = endless(status)
    outbound = Outbound(verify=True, total=30)
    assert "larger" in refusal(outbound.post_form, f"{server.url}/", {})
    assert server.cut.wait(SOON)


def test_a_slow_name_server_holds_up_nobody(outbound, monkeypatch):
    hold = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: hold.wait(10) and [])
    begun = time.monotonic()
    try:
        assert "too long" in refusal(outbound.get_json, "https://slow.example.com/")
    finally:
        hold.set()
    assert time.monotonic() - begun < SOON


def test_a_given_deadline_counts(server):
    server.answers["/"] = drip_body
    outbound = Outbound(verify=True, total=60)
    begun = time.monotonic()
    assert "too long" in refusal(outbound.get_json, f"{server.url}/", time.monotonic() + 0.3)
    assert time.monotonic() - begun < SOON


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://127.0.0.1/_GET",
        "ftp://127.0.0.1/",
        "data:application/json,{}",
        "http:///nowhere",
        "//127.0.0.1/",
        "https://[::1",
        "",
    ],
)
def test_only_http_is_spoken(outbound, url):
    assert refusal(outbound.get_json, url)
    assert refusal(outbound.post_form, url, {})


@pytest.mark.parametrize(
    ("issuer", "url", "safe"),
    [
        ("https://idp.example.com", "https://idp.example.com/token", True),
        ("https://idp.example.com", "https://login.example.net/token", True),
        ("https://idp.example.com", "http://idp.example.com/token", False),
        ("http://127.0.0.1:8080", "http://127.0.0.1:9090/token", True),
        ("http://127.0.0.1:8080", "http://localhost:8080/token", False),
        ("http://127.0.0.1:8080", "https://idp.example.com/token", True),
        ("https://idp.example.com", "https://user@idp.example.com/token", False),
        ("https://idp.example.com", "https://:pw@idp.example.com/token", False),
        ("https://idp.example.com", "https://@idp.example.com/token", False),
        ("https://idp.example.com", "https://idp.example.com\\@10.0.0.1/", False),
        ("https://idp.example.com", "file:///etc/passwd", False),
        ("https://idp.example.com", "gopher://idp.example.com/", False),
        ("https://idp.example.com", "javascript:alert(1)", False),
        ("https://idp.example.com", "https:///token", False),
        ("https://idp.example.com", "https://[::1/token", False),
        ("https://idp.example.com", "/token", False),
    ],
)
def test_how_safe_a_url_in_data_must_be(outbound, issuer, url, safe):
    assert as_safe_as(issuer, url) is safe
    if not safe:
        hint = refusal(outbound.get_json, url, from_data_of=issuer)
        assert "not as safe as the issuer" in hint
        assert "pw" not in hint


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::5db8:d70e", True),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address, public):
    assert is_public(address) is public


class Listener:
    """A port on loopback, and whatever bytes came to it."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.received: list[bytes] = []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        while True:
            connection, _ = self.socket.accept()
            with connection:
                connection.settimeout(SOON)
                data = connection.recv(4096)
            if data == b"over":
                return
            self.received.append(data)

    def heard(self) -> list[bytes]:
        """What came, once everything before has been taken in."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"over")
        self.thread.join()
        self.socket.close()
        return self.received


@pytest.fixture
def inside(monkeypatch) -> Listener:
    """A service of our own network, which every name leads to."""
    listener = Listener()
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        return real("127.0.0.1", port, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return listener


def test_a_name_in_data_cannot_lead_into_our_network(inside):
    outbound = Outbound(verify=True, total=SOON)
    url = f"https://keys.example.com:{inside.port}/jwks"
    hint = refusal(outbound.get_json, url, from_data_of="https://idp.example.com")
    assert "its address is not public" in hint
    hint = refusal(outbound.post_form, url, {"code": "c"}, from_data_of="https://idp.example.com")
    assert "its address is not public" in hint
    assert inside.heard() == [b"", b""]


@pytest.mark.parametrize("issuer", [None, "https://keys.example.com"])
def test_a_url_of_the_operator_or_on_the_issuers_host_may_lead_there(inside, issuer):
    outbound = Outbound(verify=True, total=SOON)
    url = f"https://Keys.example.com:{inside.port}/jwks"
    assert "public" not in refusal(outbound.get_json, url, from_data_of=issuer)
    (hello,) = inside.heard()
    assert b"keys.example.com" in hello


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "localhost"])
def test_an_address_in_data_cannot_either(inside, host):
    outbound = Outbound(verify=True, total=SOON)
    url = f"https://{host}:{inside.port}/"
    assert "not public" in refusal(outbound.get_json, url, from_data_of="https://idp.example.com")
    assert inside.heard() == [b""]


def test_a_proxy_decides_by_itself_where_names_lead(monkeypatch):
    proxy = Listener()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    outbound = Outbound(verify=True, total=SOON)
    issuer = "https://idp.example.com"
    assert refusal(outbound.get_json, "https://keys.example.com/", from_data_of=issuer)
    hint = refusal(outbound.get_json, "https://10.0.0.1/", from_data_of=issuer)
    assert "not public" in hint
    (asked,) = proxy.heard()
    assert asked.startswith(b"CONNECT keys.example.com:443")


def test_a_client_certificate_is_shown(tmp_path: Path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = authority.issue_cert("embedjwt.example.com")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    ca, files = str(tmp_path / "ca.pem"), (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    with running_server(context) as server:
        server.answers_json("/", {"hello": "you"})
        shown = Outbound(verify=ca, certificate=files)
        assert shown.get_json(f"{server.url}/") == {"hello": "you"}
        assert refusal(Outbound(verify=ca).get_json, f"{server.url}/")
