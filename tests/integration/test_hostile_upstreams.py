"""Nothing upstream can hang us, fill us, or send us where we must not go."""

from __future__ import annotations

import gzip
import ipaddress
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from embedjwt.config import Settings
from hostile_provider import DISCOVERY, STRANGE_KEY, jwk
from hostile_site import Browser, Site, hostile_site
from loopback_server import Answering, reply, running_server
from tests_support import FakeClock

TIMEOUT = 3
"""Seconds for one document: what is never answered is waited for as long, so not longer, and
what is answered at once has to be in time on a busy machine, so not shorter."""

LIMIT = 3 * TIMEOUT + 1
"""Seconds; a login asks for three documents."""

OTHER_HOST = "localhost"
"""A name of this machine that is not the issuer's host, 127.0.0.1."""


@pytest.fixture
def site(make_settings: Callable[..., Settings], clock: FakeClock) -> Iterator[Site]:
    with hostile_site(make_settings, clock, own={"timeout": f"{TIMEOUT}s"}) as site:
        yield site


@pytest.fixture
def browser(site: Site) -> Browser:
    return site.browser()


class Trap:
    """A socket on loopback that waits for anybody, and keeps what it is sent."""

    def __init__(self) -> None:
        self.received = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        # Not until whoever connected before has been heard to the end.
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.sendall(b"END")
        self._thread.join()
        self._socket.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection, suppress(OSError):
                connection.settimeout(2)
                sent = b"".join(iter(lambda: connection.recv(4096), b""))  # noqa: B023
                if sent == b"END":
                    return
                self.received += sent


@contextmanager
def trap() -> Iterator[Trap]:
    trap = Trap()
    try:
        yield trap
    finally:
        with suppress(OSError):
            trap.close()


def raw(*chunks: bytes, again: bytes = b"", pace: float = 0.0) -> Answering:
    """Bytes as they are, then ``again`` and again until nobody listens."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        for chunk in chunks:
            handler.wfile.write(chunk)
        started = time.monotonic()
        while again and time.monotonic() - started < 10:
            handler.wfile.write(again)
            time.sleep(pace)

    return answer


def silent(handler: BaseHTTPRequestHandler) -> None:
    """Takes the question and says nothing."""
    handler.close_connection = True
    handler.connection.settimeout(10)
    with suppress(OSError):
        handler.connection.recv(1)


def document(value: Any, status: int = 200, **headers: str) -> Answering:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return lambda handler: reply(handler, body, status, named)


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

SLOW: dict[str, Answering] = {
    "silence": silent,
    "a drip of a body": raw(OK + b"\r\n", again=b" ", pace=0.05),
    "a drip of header fields": raw(OK, again=b"X-A: b\r\n", pace=0.05),
    "a drip of a status line": raw(b"HTTP/1.1 ", again=b"2", pace=0.05),
    "a drip of trailers": raw(CHUNKED + b"2\r\n{}\r\n0\r\n", again=b"X-A: b\r\n", pace=0.05),
    "100 Continue for ever": raw(again=b"HTTP/1.1 100 Continue\r\n\r\n", pace=0.01),
}
WIRE: dict[str, Answering] = {
    "no end of a body": raw(OK + b"\r\n", again=b" " * 65536),
    "no end of chunks": raw(CHUNKED, again=b"10000\r\n" + b" " * 65536 + b"\r\n"),
    "no end of a chunk's size": raw(CHUNKED, again=b"0" * 65536),
    "no end of header fields": raw(OK, again=b"X-A: b\r\n" * 1000),
    "no end of a header field": raw(OK + b"X-A: ", again=b"b" * 65536),
    "a length that is not kept": raw(OK + b"Content-Length: 100\r\n\r\n{}"),
    "a negative length": raw(OK + b"Content-Length: -1\r\n\r\n", again=b" " * 65536),
    "a broken chunk": raw(CHUNKED + b"zz\r\n{}\r\n"),
    "nothing at all": raw(b""),
    "another protocol": raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "HTTP/0.9": raw(b'{"issuer": "x"}'),
    "2 MiB": document(b'{"x": "' + b"a" * 2 * 1024 * 1024 + b'"}'),
    "gzip": document(gzip.compress(b" " * 10**8), Content_Encoding="gzip"),
    "gzip that says nothing of it": document(gzip.compress(b"{}")),
    "deflate, in chunks": raw(OK + b"Content-Encoding: deflate\r\n\r\n" + b"x" * 100),
    "a redirect here": document(b"", 302, Location="/elsewhere"),
    "500": document({"error": "server_error"}, 500),
    "204": document(b"", 204),
    "206": document({}, 206),
    "NaN": document(b'{"expires_in": NaN}'),
    "an endless number": document(b'{"expires_in": 1' + b"0" * 10000 + b"}"),
    "deep": document(b"[" * 500_000),
    "deep objects": document(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "a name twice": document(b'{"issuer": "a", "issuer": "b"}'),
    "a list": document([]),
    "null": document(None),
    "a page": document(b"<html>sign in</html>", Content_Type="text/html"),
    "not UTF-8": document(b'{"x": "\xff"}'),
    "UTF-16": document('{"x": 1}'.encode("utf-16")),
}
ONE_OF_EACH_KIND = ["no end of chunks", "2 MiB", "gzip", "a redirect here", "500", "deep", "a list"]


class TestAnswers:
    """Each in place of each document: refused in time, and all is well again afterwards."""

    def assert_refused(self, site: Site, browser: Browser, path: str, answer: Answering) -> None:
        site.provider.endpoints[path] = answer
        started = time.monotonic()
        got = browser.start()
        if path != DISCOVERY:
            got = browser.callback(site.provider.authorize(got.headers["Location"]))
        assert time.monotonic() - started < LIMIT
        assert (got.status_code, got.get_json()["code"]) == (503, "upstream_unavailable")
        site.assert_nothing_gained(browser, got)
        assert "/elsewhere" not in site.paths()
        del site.provider.endpoints[path]
        assert recovered(site, browser)

    @pytest.mark.parametrize("answer", WIRE.values(), ids=WIRE)
    def test_unusable(self, site: Site, browser: Browser, answer: Answering) -> None:
        self.assert_refused(site, browser, "/token", answer)

    @pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
    @pytest.mark.parametrize("path", [DISCOVERY, "/jwks"])
    def test_unusable_elsewhere(self, site: Site, browser: Browser, path: str, name: str) -> None:
        self.assert_refused(site, browser, path, WIRE[name])

    @pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW)
    def test_slow(self, site: Site, browser: Browser, answer: Answering) -> None:
        self.assert_refused(site, browser, "/token", answer)

    @pytest.mark.parametrize("path", [DISCOVERY, "/jwks"])
    def test_slow_elsewhere(self, site: Site, browser: Browser, path: str) -> None:
        self.assert_refused(site, browser, path, SLOW["a drip of a body"])

    @pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
    def test_unusable_userinfo(self, site: Site, browser: Browser, name: str) -> None:
        """As in Grafana it is left out, and what it should have said is missing."""
        site.provider.endpoints["/userinfo"] = WIRE[name]
        started = time.monotonic()
        answer = browser.log_in(site.provider, email=None)
        assert time.monotonic() - started < LIMIT
        assert (answer.status_code, answer.get_json()["code"]) == (403, "email_missing")
        site.assert_nothing_gained(browser, answer)

    def test_ten_thousand_keys(self, site: Site, browser: Browser) -> None:
        site.provider.keys = [jwk(STRANGE_KEY, f"k{number}") for number in range(10_000)]
        started = time.monotonic()
        answer = browser.log_in(site.provider)
        assert time.monotonic() - started < LIMIT
        assert (answer.status_code, answer.get_json()["code"]) == (503, "upstream_unavailable")
        site.assert_nothing_gained(browser, answer)


def recovered(site: Site, browser: Browser) -> bool:
    """Whether one of the next logins succeeds: the first finds out that the provider is back."""
    for _ in range(50):
        site.later(30)
        start = browser.start()
        if start.status_code == 303:
            browser.callback(site.provider.authorize(start.headers["Location"]))
        if browser.person() == "jane":
            return True
        time.sleep(0.02)
    return False


REDIRECTS = [301, 302, 303, 307, 308]


class TestRedirects:
    @pytest.mark.parametrize(
        ("path", "status"),
        [
            *[("/token", status) for status in REDIRECTS],
            (DISCOVERY, 302),
            ("/jwks", 302),
            ("/userinfo", 307),
        ],
    )
    def test_are_not_followed(self, site: Site, browser: Browser, path: str, status: int) -> None:
        """They would take the code, the client's secret or the access token along."""
        with trap() as trapped:
            elsewhere = f"http://{OTHER_HOST}:{trapped.port}/"
            site.provider.endpoints[path] = document(b"", status, Location=elsewhere)
            answer = browser.start()
            if path != DISCOVERY:
                answer = browser.log_in(site.provider, email=None)
            assert answer.status_code == (403 if path == "/userinfo" else 503)
            site.assert_nothing_gained(browser, answer)
        assert trapped.received == b""


PRIVATE: dict[str, str] = {
    "loopback by another name": "https://localhost:{port}/x",
    "loopback by another address": "https://127.0.0.2:{port}/x",
    "loopback as a number": "https://2130706433:{port}/x",
    "loopback in hexadecimal": "https://0x7f.1:{port}/x",
    "loopback in short": "https://127.1:{port}/x",
    "all addresses": "https://0.0.0.0:{port}/x",
    "loopback in IPv6": "https://[::ffff:127.0.0.1]:{port}/x",
}
UNSAFE: dict[str, str] = {
    "http on another host": "http://localhost:{port}/x",
    "http on another address": "http://127.0.0.2:{port}/x",
    "a user in front": "http://127.0.0.1@localhost:{port}/x",
    "a password": "http://user:password@127.0.0.1:{port}/x",
    "a backslash": "http://127.0.0.1:{port}\\@localhost:{port}/x",
    "no scheme": "//localhost:{port}/x",
    "a path": "/x",
    "a file": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1:{port}/x",
    "a socket": "http+unix://127.0.0.1:{port}/x",
    "a script": "javascript:alert(1)//127.0.0.1:{port}",
    "no host": "https://",
    "half an IPv6 address": "https://[::1/x",
    "no text": "",
}
ENDPOINTS = ["token_endpoint", "jwks_uri", "userinfo_endpoint"]


class TestDiscovery:
    """Its URLs are data: what it names is asked only where that cannot be our own network."""

    @pytest.mark.parametrize(
        ("endpoint", "place"),
        [
            *[("token_endpoint", place) for place in PRIVATE.values()],
            *[(endpoint, PRIVATE["loopback by another name"]) for endpoint in ENDPOINTS[1:]],
        ],
    )
    def test_endpoints_in_our_network(
        self, site: Site, browser: Browser, endpoint: str, place: str
    ) -> None:
        with trap() as trapped:
            site.provider.metadata = {endpoint: place.format(port=trapped.port)}
            got = browser.log_in(site.provider, email=None)
            # Without UserInfo all is well but for the e-mail address that only it has.
            assert got.status_code == (403 if endpoint == "userinfo_endpoint" else 503)
            site.assert_nothing_gained(browser, got)
        assert trapped.received == b""

    @pytest.mark.parametrize(
        ("endpoint", "place"),
        [
            *[("token_endpoint", place) for place in UNSAFE.values()],
            *[(endpoint, UNSAFE["http on another host"]) for endpoint in ENDPOINTS[1:]],
        ],
    )
    def test_endpoints_that_are_not_as_safe_as_the_issuer(
        self, site: Site, browser: Browser, endpoint: str, place: str
    ) -> None:
        with trap() as trapped:
            site.provider.metadata = {endpoint: place.format(port=trapped.port)}
            got = browser.start()
            assert (got.status_code, got.get_json()["code"]) == (503, "upstream_unavailable")
        assert trapped.received == b""
        assert "password" not in repr(site.log)

    @pytest.mark.parametrize(
        "url",
        [
            "javascript:alert(document.domain)",
            "data:text/html,x",
            "http://evil.example.com/authorize",
            "//evil.example.com/authorize",
            "https://user@evil.example.com/",
            "/authorize",
            "",
            None,
            1,
            ["https://idp.example.org/"],
        ],
    )
    def test_authorization_endpoints_no_browser_is_sent_to(
        self, site: Site, browser: Browser, url: Any
    ) -> None:
        site.provider.metadata = {"authorization_endpoint": url}
        answer = browser.start()
        assert (answer.status_code, answer.get_json()["code"]) == (503, "upstream_unavailable")
        assert "Location" not in answer.headers
        assert "evil" not in answer.text

    @pytest.mark.parametrize(
        "issuer",
        ["https://idp.example.org", "{url}/", "{url}#", "HTTP://127.0.0.1", None, "", 1, []],
    )
    def test_of_another_issuer(self, site: Site, browser: Browser, issuer: Any) -> None:
        """OpenID Connect Discovery 1.0 section 4.3."""
        if isinstance(issuer, str):
            issuer = issuer.format(url=site.provider.url)
        site.provider.metadata = {"issuer": issuer}
        answer = browser.start()
        assert (answer.status_code, answer.get_json()["code"]) == (503, "upstream_unavailable")
        site.assert_nothing_gained(browser, answer)

    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    @pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"])
    def test_a_public_name_with_a_private_address(
        self,
        site: Site,
        browser: Browser,
        monkeypatch: pytest.MonkeyPatch,
        endpoint: str,
        address: str,
    ) -> None:
        """DNS rebinding: what counts is the address that was connected to."""
        real = socket.getaddrinfo
        asked: list[str] = []

        def resolve(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
            if host != "public.example.com":
                return real(host, port, *rest, **more)
            asked.append(host)
            version = ipaddress.ip_address(address).version
            family = socket.AF_INET6 if version == 6 else socket.AF_INET
            return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        with trap() as trapped:
            site.provider.metadata = {endpoint: f"https://public.example.com:{trapped.port}/x"}
            browser.log_in(site.provider, email=None)
            assert browser.person() is None
        assert asked, "the name was looked up"
        assert trapped.received == b""


def test_what_the_operator_named_may_be_in_our_network(
    make_settings: Callable[..., Settings], clock: FakeClock
) -> None:
    """The guard is for what a document says, not for the settings."""
    with running_server() as api:
        user = f"{api.url}/user".replace("127.0.0.1", OTHER_HOST)
        api.answers_json("/user", {"sub": "jane"})
        api.answers_json("/user/emails", [{"email": "jane@example.com", "primary": True}])
        with hostile_site(make_settings, clock, own={"api_url": user}) as site:
            browser = site.browser()
            browser.log_in(site.provider, email=None)
            assert browser.person() == "jane"


def test_a_provider_that_is_gone(site: Site, browser: Browser) -> None:
    """Known to be gone, it is not asked again by everybody who comes."""
    site.provider.endpoints[DISCOVERY] = document(b"", 500)
    for _ in range(20):
        assert browser.start().status_code == 503
    assert site.paths().count(DISCOVERY) == 1
