"""One list of behaviours for every proxy: what passes, what is refused, and how it looks."""

from __future__ import annotations

import socket
from hashlib import sha256

import pytest

from gateway_proxies import PROXIES
from gateway_stack import (
    APP,
    FRAME,
    HEADER,
    OLD_FRAME,
    PANEL,
    QUERY,
    SCRIPT,
    Field,
    Reply,
    Stack,
    Visitor,
    cookie_of,
    each_stack,
    request_bytes,
    send,
)
from recording_grafana import OWN_COOKIE
from websocket_frames import TEXT, accept_key, read_frame, write_frame

stack = pytest.fixture(scope="module", params=PROXIES)(each_stack)

MEGABYTE = bytes(range(256)) * 4096


@pytest.fixture
def jane(stack: Stack) -> Visitor:
    return stack.visitor("jane")


class TestAllowed:
    @pytest.mark.parametrize(
        ("method", "target", "headers", "body"),
        [
            ("GET", PANEL, FRAME, None),
            ("GET", PANEL, OLD_FRAME, None),
            ("GET", "/public/build/app.3f2a.js", SCRIPT, None),
            ("HEAD", PANEL, SCRIPT, None),
            ("POST", QUERY, SCRIPT, b'{"queries":[]}'),
            ("GET", "/api/dashboards/uid/abc?a=b%2Fc&d=%20e", SCRIPT, None),
            ("GET", "/d-solo/abc/%C3%BCber-uns?var-x=%24__all", FRAME, None),
        ],
        ids=["frame", "old-frame", "asset", "head", "query", "dashboard", "utf8"],
    )
    def test_reaches_grafana_as_it_was_sent(
        self,
        jane: Visitor,
        method: str,
        target: str,
        headers: tuple[Field, ...],
        body: bytes | None,
    ) -> None:
        came = jane.reach(method, target, *headers, body=body)
        assert (came.method, came.target, came.body) == (method, target, body or b"")

    def test_host_and_origin_stay_cookies_and_credentials_go(self, jane: Visitor) -> None:
        origin = jane.stack.origin
        bearer = jane.stack.bearer("jane")
        came = jane.reach("POST", QUERY, *SCRIPT, ("Origin", origin), bearer, body=b"{}")
        assert came.values("Host") == [f"localhost:{jane.stack.port}"]
        assert came.values("Origin") == [origin]
        assert came.values("Cookie") == came.values("Authorization") == []

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
    def test_the_answer_may_be_framed_by_the_host_app_and_by_nobody_else(
        self, jane: Visitor, method: str
    ) -> None:
        target = QUERY if method == "POST" else PANEL
        answer = jane.ask(method, target, *SCRIPT, body=b"{}" if method == "POST" else None)
        assert answer.status == 200
        policies = answer.values("Content-Security-Policy")
        ancestors = [part for policy in policies for part in frame_ancestors(policy)]
        assert ancestors == [["'self'", APP]]
        assert answer.header("Referrer-Policy") == "no-referrer"
        assert answer.values("X-Frame-Options") == []

    @pytest.mark.parametrize("target", [PANEL, "/public/x.js", "/api/dashboards/uid/abc"])
    def test_grafana_sets_no_cookie_and_the_token_stays_inside(
        self, jane: Visitor, target: str
    ) -> None:
        answer = jane.get(target)
        assert answer.status == 200
        assert not [v for v in answer.values("Set-Cookie") if OWN_COOKIE in v]
        assert answer.values(HEADER) == []

    def test_not_modified(self, jane: Visitor) -> None:
        answer = jane.get("/public/x.js", *SCRIPT, ("If-None-Match", '"known"'))
        assert (answer.status, answer.body) == (304, b"")

    def test_an_editor_reaches_all_of_grafana(self, stack: Stack) -> None:
        editor = stack.visitor("ed", role="Editor")
        assert editor.reach("GET", "/d/abc/whole", *FRAME).verdict.role == "Editor"


class TestBodies:
    def test_a_megabyte_arrives_whole(self, jane: Visitor) -> None:
        came = jane.reach("POST", QUERY, *SCRIPT, body=MEGABYTE)
        assert sha256(came.body).digest() == sha256(MEGABYTE).digest()

    def test_in_chunks(self, jane: Visitor) -> None:
        chunked = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
        framing = ("Transfer-Encoding", "chunked")
        assert jane.reach("POST", QUERY, *SCRIPT, framing, body=chunked).body == b"hello world"

    def test_none_of_it_goes_to_embedjwt(self, jane: Visitor) -> None:
        before = len(jane.stack.service.asked())
        chunked = (*SCRIPT, ("Transfer-Encoding", "chunked"))
        jane.reach("POST", QUERY, *SCRIPT, body=MEGABYTE)
        jane.reach("POST", QUERY, *chunked, body=b"2\r\n{}\r\n0\r\n\r\n")
        asked = jane.stack.service.asked()[before:]
        assert len(asked) == 2
        assert {tuple(each["body"].values()) for each in asked} <= {(), ("0",)}


class TestDenied:
    """Without a session, or beyond what a panel needs: nothing of it reaches Grafana."""

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE"])
    def test_scripts_without_a_session_get_a_problem(self, stack: Stack, method: str) -> None:
        with stack.nothing_reaches_grafana():
            answer = stack.ask(method, QUERY, *SCRIPT, body=b"{}" if method == "POST" else None)
        assert answer.status == 401
        assert method == "HEAD" or answer.code == "login_required"

    @pytest.mark.parametrize("headers", [FRAME, OLD_FRAME], ids=["chromium", "old-browser"])
    def test_frames_without_a_session_get_a_page_that_tells_the_host_page(
        self,
        stack: Stack,
        headers: tuple[Field, ...],
    ) -> None:
        with stack.nothing_reaches_grafana():
            answer = stack.ask("GET", PANEL, *headers)
        assert_page(answer, 401, "login_required")

    @pytest.mark.parametrize(
        "target",
        [
            "/",
            "/admin",
            "/api/admin/settings",
            "/d/abc/whole",
            "/logout",
            "/explore",
            "/api/users",
            "/api/org/users",
            "/gateway/auth",
            "/gateway/denied",
            "/gateway/auth/d-solo/abc/x",
            "/gateway/",
            "/gateway/session/x",
        ],
    )
    def test_viewers_do_not_leave_the_panel(self, jane: Visitor, target: str) -> None:
        with jane.stack.nothing_reaches_grafana():
            script, frame = jane.get(target), jane.get(target, *FRAME)
        assert (script.status, script.code) == (403, "path_not_allowed")
        assert_page(frame, 403, "path_not_allowed")

    def test_a_login_page_in_a_frame_becomes_ours(self, jane: Visitor) -> None:
        """Grafana redirects to it where it has not taken the token."""
        with jane.stack.nothing_reaches_grafana():
            assert_page(jane.get("/login", *FRAME), 403, "grafana_login")

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
    def test_nor_change_what_they_may_see(self, jane: Visitor, method: str) -> None:
        with jane.stack.nothing_reaches_grafana():
            answer = jane.ask(method, "/api/dashboards/uid/abc", *SCRIPT)
        assert answer.status in (400, 403, 405, 501)

    @pytest.mark.parametrize("value", ["", "x", "=;=;,\\", "\xff\xfe", "a" * 3000])
    def test_broken_cookies_are_no_session(self, stack: Stack, value: str) -> None:
        name = stack.visitor("jane").cookie.partition("=")[0]
        with stack.nothing_reaches_grafana():
            answer = stack.ask("GET", PANEL, *SCRIPT, ("Cookie", f"{name}={value}"))
        assert answer.status in (400, 401)


def frame_ancestors(policy: str) -> list[list[str]]:
    """The sources of each ``frame-ancestors`` in a policy."""
    directives = [part.split() for part in policy.replace(",", ";").split(";") if part.strip()]
    return [words[1:] for words in directives if words[0] == "frame-ancestors"]


def assert_page(answer: Reply, status: int, code: str) -> None:
    """The small page of a refusal: framed by the host app, it names the code to it."""
    assert answer.status == status
    assert answer.header("Content-Type").startswith("text/html")
    text = answer.body.decode()
    assert "embedjwt/status" in text
    assert code in text
    assert APP in text
    found = [a for p in answer.values("Content-Security-Policy") for a in frame_ancestors(p)]
    assert found
    assert all(APP in sources for sources in found), "the browser would not show it"
    assert answer.values("X-Frame-Options") == []


class TestWebSocket:
    KEY = "dGhlIHNhbXBsZSBub25jZQ=="

    def fields(self, origin: str, cookie: str, also: str = "") -> tuple[Field, ...]:
        upgrade = (("Connection", f"Upgrade{also}"), ("Upgrade", "websocket"), ("Origin", origin))
        upgrade += (("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", self.KEY))
        return (*upgrade, ("Cookie", cookie)) if cookie else upgrade

    @pytest.mark.parametrize("also", ["", f", {HEADER}", ", X-Forwarded-Uri, X-Forwarded-Host"])
    def test_a_frame_comes_back(self, jane: Visitor, also: str) -> None:
        """Whatever else a client calls hop-by-hop."""
        port, since = jane.stack.port, len(jane.stack.grafana.recorded)
        fields = self.fields(jane.stack.origin, jane.cookie, also)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(request_bytes(port, "GET", "/api/live/ws", *fields))
            with connection.makefile("rwb") as stream:
                head = b"".join(iter(stream.readline, b"\r\n"))
                assert head.startswith(b"HTTP/1.1 101"), head
                assert accept_key(self.KEY) in head
                for text in (b"hello", b"again"):
                    write_frame(stream, TEXT, text, masked=True)
                    assert read_frame(stream) == (TEXT, text)
        [came] = jane.stack.reached(since)
        assert came.verdict.login == "jane@example.com"
        assert came.values("Cookie") == []

    @pytest.mark.parametrize("foreign", ["https://evil.example", "null", APP])
    def test_not_from_other_origins(self, jane: Visitor, foreign: str) -> None:
        with jane.stack.nothing_reaches_grafana():
            fields = self.fields(foreign, jane.cookie)
            answer = send(jane.stack.port, "GET", "/api/live/ws", *fields)
        assert (answer.status, answer.code) == (403, "origin_not_allowed")

    def test_not_without_a_session(self, stack: Stack) -> None:
        with stack.nothing_reaches_grafana():
            answer = stack.ask("GET", "/api/live/ws", *self.fields(stack.origin, ""))
        assert (answer.status, answer.code) == (401, "login_required")


class TestEnter:
    """A ticket from embedjwt's own host opens the session on Grafana's, once."""

    def ticket(self, stack: Stack) -> dict[str, str]:
        fields = (("Origin", APP), ("Content-Type", "application/json"), stack.bearer("jane"))
        port = stack.service.port
        body = b'{"panel":{"dashboard":"abc","panel":"3"}}'
        answer = send(port, "POST", "/gateway/session", *fields, body=body)
        assert answer.status == 200, answer
        given: dict[str, str] = answer.json()
        assert given["enter_url"].startswith(f"{stack.origin}/gateway/enter?ticket=")
        return given

    def test_once(self, stack: Stack) -> None:
        given = self.ticket(stack)
        enter = given["enter_url"].removeprefix(stack.origin)
        with stack.nothing_reaches_grafana():
            entered = stack.ask("GET", enter, *FRAME)
        assert entered.status in (302, 303)
        clean = entered.header("Location")
        assert given["ticket"] not in clean
        person = Visitor(stack, "jane", cookie_of(entered))
        person.reach("GET", clean.removeprefix(stack.origin), *FRAME)
        again = stack.ask("GET", enter, *FRAME)
        assert again.status in (400, 401, 403)
        assert again.values("Set-Cookie") == []
