"""What a hostile browser sends through a proxy to get further than it may."""

from __future__ import annotations

import socket
from contextlib import suppress
from http.client import HTTPConnection, HTTPException

import pytest

from gateway_proxies import PROXIES
from gateway_stack import (
    APP,
    FRAME,
    HEADER,
    PANEL,
    QUERY,
    SCRIPT,
    Field,
    Reply,
    Stack,
    Visitor,
    each_stack,
    request_bytes,
    send,
    value_of,
)
from hostile_requests import HOSTILE, assert_within, forged, on_the_wire, unsigned
from recording_grafana import Recorded

stack = pytest.fixture(scope="module", params=PROXIES)(each_stack)

BEYOND = "/api/admin/settings"
WITHIN = "/d-solo/abc/a-panel"
REFUSALS = (400, 401, 403)

FOREIGN: dict[str, tuple[Field, ...]] = {
    "origin": (("Origin", "https://evil.example"),),
    "null": (("Origin", "null"),),
    "host app": (("Origin", APP),),
    "cross-site": (("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")),
}


@pytest.fixture
def jane(stack: Stack) -> Visitor:
    return stack.visitor("jane")


class TestForwardedHeaders:
    """The proxy tells embedjwt what is asked for; a client that tells it too is not believed."""

    @staticmethod
    def lies(path: str, method: str = "GET") -> dict[str, str]:
        return {
            "X-Forwarded-Uri": path,
            "X-Forwarded-Method": method,
            "X-Forwarded-Host": "other.example",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-For": "127.0.0.1",
            "X-Forwarded-Prefix": WITHIN,
            "X-Original-URI": path,
            "X-Original-URL": path,
            "X-Original-Method": method,
            "X-Rewrite-URL": path,
            "X-HTTP-Method-Override": method,
            "X-Envoy-Original-Path": path,
            "X-Real-Ip": "127.0.0.1",
            "Forwarded": f'for=127.0.0.1;host=other.example;proto=https;path="{path}"',
        }

    @staticmethod
    def told(name: str, value: str) -> dict[str, tuple[Field, ...]]:
        """The ways to tell it."""
        twin = name.replace("-", "_")
        return {
            "plain": ((name, value),),
            "lower": ((name.lower(), value),),
            "twin": ((twin, value),),
            "half a twin": ((name.replace("-", "_", 1), value),),
            "both": ((twin, value), (name, value)),
            "twice": ((name, value), (name, value)),
            "hop by hop": ((name, value), ("Connection", f"close, {name}")),
            "only hop by hop": (("Connection", f"close, {name}"),),
        }

    @pytest.mark.parametrize("name", list(lies("", "")))
    def test_never_open_what_is_closed(self, jane: Visitor, name: str) -> None:
        with jane.stack.nothing_reaches_grafana():
            for way, fields in self.told(name, self.lies(WITHIN)[name]).items():
                for method, target in (("GET", BEYOND), ("DELETE", "/api/dashboards/uid/abc")):
                    answer = jane.ask(method, target, *SCRIPT, *fields)
                    assert answer.status in REFUSALS, (way, method, answer)

    @pytest.mark.parametrize("name", list(lies("", "")))
    def test_never_stand_for_a_session(self, stack: Stack, name: str) -> None:
        with stack.nothing_reaches_grafana():
            for way, fields in self.told(name, self.lies(WITHIN)[name]).items():
                answer = stack.ask("GET", PANEL, *SCRIPT, *fields)
                assert answer.status in REFUSALS, (way, answer)

    @pytest.mark.parametrize("name", list(lies("", "")))
    def test_change_nothing_that_is_open(self, jane: Visitor, name: str) -> None:
        """Or it is refused; but nothing else reaches Grafana than what was asked for."""
        for way, fields in self.told(name, self.lies(BEYOND, "DELETE")[name]).items():
            since = len(jane.stack.grafana.recorded)
            answer = jane.ask("GET", PANEL, *SCRIPT, *fields)
            came = [(r.method, r.target) for r in jane.stack.reached(since)]
            if answer.status == 200:
                assert came == [("GET", PANEL)], way
            else:
                assert (answer.status in REFUSALS, came) == (True, []), (way, answer)


class TestSmuggledTokens:
    """Grafana sees our token, and no other."""

    @pytest.fixture(params=["forged", "replayed", "unsigned", "empty"])
    def token(self, request: pytest.FixtureRequest, stack: Stack) -> str:
        genuine = value_of(stack.visitor("mallory").reach("GET", PANEL, *SCRIPT))
        made = {"forged": forged(genuine), "replayed": genuine, "unsigned": unsigned(genuine)}
        return made.get(request.param, "")

    @staticmethod
    def ways(token: str) -> dict[str, tuple[Field, ...]]:
        return TestForwardedHeaders.told(HEADER, token) | {
            "all twins": (("X_JWT_Assertion", token), ("X-JWT_Assertion", token)),
            "authorization": (("Authorization", f"Bearer {token}"),),
            "space": ((f"{HEADER} ", token),),
            "folded": (("X-Other", f"a\r\n {HEADER}: {token}"),),
        }

    def test_beside_a_session(self, jane: Visitor, token: str) -> None:
        for way, fields in self.ways(token).items():
            since = len(jane.stack.grafana.recorded)
            answer = jane.ask("GET", PANEL, *SCRIPT, *fields)
            came = jane.stack.reached(since)
            if answer.status == 200:
                assert [only_token(each) for each in came] == ["jane@example.com"], way
            else:
                assert (answer.status in REFUSALS, came) == (True, []), (way, answer)

    def test_without_one(self, stack: Stack, token: str) -> None:
        with stack.nothing_reaches_grafana():
            for way, fields in self.ways(token).items():
                answer = stack.ask("GET", PANEL, *SCRIPT, *fields)
                assert answer.status in REFUSALS, (way, answer)

    @pytest.mark.parametrize(
        "name", ["auth_token", "%61uth_token", "auth%5Ftoken", "x=1&auth_token"]
    )
    def test_not_in_the_address(self, jane: Visitor, name: str) -> None:
        target = f"{WITHIN}?panelId=3&{name}=eyJhbGciOiJub25lIn0.e30.&to=now"
        with jane.stack.nothing_reaches_grafana():
            script, frame = jane.get(target), jane.get(target, *FRAME)
        assert (script.status, script.code) == (403, "token_in_url")
        clean = frame.header("Location").removeprefix(jane.stack.origin)
        assert (frame.status, "oken" in clean) == (302, False)
        assert jane.reach("GET", clean, *FRAME).path == WITHIN


def only_token(came: Recorded) -> str:
    """Whose the one token is that came."""
    assert came.values(HEADER) == [value_of(came)]
    assert came.verdict.accepted
    assert came.values("Authorization") == came.values("Cookie") == []
    return came.verdict.login


class TestPaths:
    def test_hostile_ones_get_no_further(self, jane: Visitor) -> None:
        assert len(HOSTILE) > 10
        since = len(jane.stack.grafana.recorded)
        for hostile in HOSTILE:
            method, _, target = hostile.partition(" ")
            with suppress(HTTPException):  # hung up on, without an answer
                jane.ask(method, on_the_wire(target), *SCRIPT)
        assert_within(jane.stack.reached(since))

    @pytest.mark.parametrize("path", ["/api/admin/settings", "/admin/users", "/d/abc/x", "/login"])
    def test_no_way_of_writing_a_closed_path_opens_it(self, jane: Visitor, path: str) -> None:
        first, rest = path[1], path[2:]
        spelled = [f"/%{ord(first):02x}{rest}", f"/%25{ord(first):02x}{rest}", f"/{path}"]
        spelled += [f"/public/..{path}", f"/public/%2e%2e{path}", f"/public/..%2f{path[1:]}"]
        spelled += [f"/public/..\\{path[1:]}", f"/d-solo/../..{path}", f"/.{path}", f"{path}/."]
        spelled += [f"/public/x/..;{path}", f"{path};/public/", f"{path}%00/public", f"{path}%3f"]
        spelled += [f"{path}#/public/x", f"http://localhost{path}", f"/public/.%2e{path}"]
        spelled += [path.upper(), f"/gateway/session/..{path}", f"/gateway/session/%2e%2e/..{path}"]
        since = len(jane.stack.grafana.recorded)
        answers = {each: jane.ask("GET", each, *SCRIPT).status for each in spelled}
        assert_within(jane.stack.reached(since))
        assert all(300 <= status < 500 for each, status in answers.items() if each[:7] != "/public")


class TestHiddenRequests:
    """A body that looks like a request must stay a body (RFC 9112 section 11.2)."""

    @pytest.mark.parametrize(
        ("framing", "prefix"),
        [
            ((("Content-Length", "{length}"), ("Transfer-Encoding", "chunked")), b"0\r\n\r\n"),
            ((("Content-Length", "0"), ("Content-Length", "{length}")), b""),
            ((("Transfer-Encoding", "xchunked"), ("Content-Length", "{length}")), b""),
            ((("Transfer_Encoding", "chunked"), ("Content-Length", "{length}")), b"0\r\n\r\n"),
            ((("Content-Length", "{length}"), ("Connection", "Content-Length")), b""),
        ],
        ids=["cl-te", "two-lengths", "unknown-te", "twin-te", "hop-by-hop"],
    )
    def test_in_a_body(self, jane: Visitor, framing: tuple[Field, ...], prefix: bytes) -> None:
        hidden = request_bytes(jane.stack.port, "GET", BEYOND, *SCRIPT, ("Cookie", jane.cookie))
        body = prefix + hidden
        fields = [(name, value.format(length=len(body))) for name, value in framing]
        since, asked = len(jane.stack.grafana.recorded), len(jane.stack.service.asked())
        jane.ask("POST", QUERY, *SCRIPT, *fields, body=body)
        jane.reach("GET", PANEL, *SCRIPT)
        assert {r.path for r in jane.stack.reached(since)} <= {QUERY, WITHIN}
        assert len(jane.stack.service.asked()) - asked <= 3

    def test_after_an_upgrade_that_was_refused(self, jane: Visitor) -> None:
        """The connection must not have become a tunnel."""
        stack, cookie = jane.stack, ("Cookie", jane.cookie)
        upgrade = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Origin", stack.origin))
        first = request_bytes(stack.port, "GET", "/api/live/ws", *upgrade, cookie)
        second = request_bytes(stack.port, "GET", BEYOND, *SCRIPT, cookie)
        since = len(stack.grafana.recorded)
        with socket.create_connection(("127.0.0.1", stack.port), timeout=10) as connection:
            connection.sendall(first)
            assert connection.recv(65536).startswith(b"HTTP/1.1 400")
            with suppress(ConnectionError):
                connection.sendall(second)
                while connection.recv(65536):
                    pass
        assert {each.path for each in stack.reached(since)} <= {"/api/live/ws"}

    def test_only_websockets_are_upgraded(self, jane: Visitor) -> None:
        settings = ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
        fields = (("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), settings)
        since = len(jane.stack.grafana.recorded)
        answer = jane.get(PANEL, *SCRIPT, *fields, ("Origin", jane.stack.origin))
        assert answer.status != 101
        assert [each.values("Upgrade") for each in jane.stack.reached(since)] in ([], [[]])

    def test_each_request_of_a_connection_is_judged(self, jane: Visitor) -> None:
        stack, cookie = jane.stack, ("Cookie", jane.cookie)
        kept = ("Connection", "keep-alive")
        asked = [
            ((PANEL, *SCRIPT, cookie), 200),
            ((PANEL, *SCRIPT), 401),
            ((BEYOND, *SCRIPT, cookie), 403),
            ((PANEL, *SCRIPT, cookie), 200),
        ]
        since = len(stack.grafana.recorded)
        client = HTTPConnection("127.0.0.1", stack.port, timeout=10)
        for (target, *fields), status in asked:
            client.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
            for name, value in (("Host", f"localhost:{stack.port}"), kept, *fields):
                client.putheader(name, value)
            client.endheaders()
            answer = client.getresponse()
            answer.read()
            assert answer.status == status, (target, fields)
        client.close()
        assert [only_token(each) for each in stack.reached(since)] == ["jane@example.com"] * 2


class TestForeignPages:
    """Cross-site request forgery: the cookie alone is not enough."""

    @pytest.mark.parametrize("case", list(FOREIGN))
    def test_cannot_write(self, jane: Visitor, case: str) -> None:
        with jane.stack.nothing_reaches_grafana():
            cookie = ("Cookie", jane.cookie)
            answer = jane.stack.ask("POST", QUERY, cookie, *FOREIGN[case], body=b"{}")
        assert (answer.status, answer.code) == (403, "origin_not_allowed")

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://app.example.com"])
    def test_cannot_touch_the_session(self, jane: Visitor, method: str, origin: str) -> None:
        answer = refused_session(jane, method, origin)
        assert (answer.status, answer.code) == (403, "origin_not_allowed")
        assert answer.values("Set-Cookie") == []
        jane.reach("GET", PANEL, *SCRIPT)


def refused_session(visitor: Visitor, method: str, origin: str) -> Reply:
    fields = (("Origin", origin), ("Content-Type", "application/json"))
    bearer = visitor.stack.bearer("jane")
    port, cookie = visitor.stack.port, ("Cookie", visitor.cookie)
    return send(port, method, "/gateway/session", *fields, cookie, bearer, body=b"{}")
