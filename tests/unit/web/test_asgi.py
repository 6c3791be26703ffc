"""The step from ASGI to WSGI: nothing about a request is lost or made up on the way."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from embedjwt.sources.ambiguity import AMBIGUOUS_HEADERS
from embedjwt.web.asgi import AsgiBridge, make_environ

Header = tuple[bytes, bytes]


def scope(*headers: Header, **more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": "/v1/ü",
        "query_string": b"a=\xff",
        "server": ("127.0.0.1", 8080),
        "client": ("192.0.2.7", 4711),
        "headers": list(headers),
        **more,
    }


class TestEnviron:
    def test_of_a_whole_request(self) -> None:
        environ = make_environ(
            scope((b"host", b"x"), (b"content-type", b"text/x"), (b"x-a", b"J\xc3\xbc"))
        )
        assert environ["REQUEST_METHOD"] == "POST"
        assert environ["PATH_INFO"] == "/v1/Ã¼"  # UTF-8 as Latin-1 (PEP 3333)
        assert environ["QUERY_STRING"] == "a=ÿ"
        assert environ["REMOTE_ADDR"] == "192.0.2.7"
        assert environ["wsgi.url_scheme"] == "https"
        assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        assert environ["HTTP_HOST"] == "x"
        assert environ["CONTENT_TYPE"] == "text/x"
        assert environ["HTTP_X_A"] == "JÃ¼"
        assert environ[AMBIGUOUS_HEADERS] == set()

    @pytest.mark.parametrize(
        ("headers", "value", "ambiguous"),
        [
            ([(b"x-user", b"a")], "a", set()),
            ([(b"x-user", b"a"), (b"x_user", b"b")], "a", {"x-user"}),
            ([(b"x_user", b"b"), (b"x-user", b"a")], "a", {"x-user"}),
            ([(b"X_User", b"b")], None, {"x-user"}),
            ([(b"x-user", b"a"), (b"x-user", b"a")], "a,a", {"x-user"}),
            ([(b"x-user", b"a"), (b"X-USER", b"b")], "a,b", {"x-user"}),
        ],
    )
    def test_names_that_look_alike(
        self, headers: list[Header], value: str | None, ambiguous: set[str]
    ) -> None:
        environ = make_environ(scope(*headers))
        assert environ.get("HTTP_X_USER") == value
        assert environ[AMBIGUOUS_HEADERS] == ambiguous

    def test_cookies_in_several_fields_are_one(self) -> None:
        environ = make_environ(scope((b"cookie", b"a=1"), (b"cookie", b"b=2")))
        assert environ["HTTP_COOKIE"] == "a=1; b=2"
        assert environ[AMBIGUOUS_HEADERS] == set()

    def test_names_that_strangers_make_up_are_not_kept(self) -> None:
        made_up = [f"x-{'y' * 2000}-{number}".encode() for number in range(1000)]
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for name in made_up:
                make_environ(scope((name, b"1"), (name.replace(b"-", b"_"), b"2")))
                make_environ(scope((name[-40:], b"1")))
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert after - before < 300 * 1024  # long ones alone would take 4 MB

    def test_over_a_unix_socket(self) -> None:
        environ = make_environ(scope(client=None, server=None))
        assert environ["REMOTE_ADDR"] == ""


class Application:
    """A WSGI application that notes what it got, and in which thread."""

    def __init__(self) -> None:
        self.closed = False
        self.bodies: list[bytes] = []
        self.threads: set[int] = set()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        self.bodies.append(environ["wsgi.input"].read())
        self.threads.add(threading.get_ident())
        start("201 Created", [("X-Answer", "ü")])
        return Chunks(self)


class Chunks:
    def __init__(self, app: Application) -> None:
        self._app = app
        self._left = [b"one ", b"two"]

    def __iter__(self) -> Iterable[bytes]:
        return iter(self._left)

    def close(self) -> None:
        self._app.closed = True


def ask(
    bridge: AsgiBridge, *messages: dict[str, Any], headers: Iterable[Header] = ()
) -> list[dict[str, Any]]:
    """What the bridge sends in answer to a request whose body comes in these messages."""
    incoming, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        if not incoming:
            await asyncio.sleep(60)
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(bridge(scope(*headers), receive, send))
    return sent


def part(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_what_is_known_needs_no_application(threads: int, known: bool) -> None:
    app, asked = Application(), []

    def quick(environ: dict[str, Any]) -> list[Header] | None:
        asked.append((threading.get_ident(), environ["REQUEST_METHOD"]))
        return [(b"x-jwt-assertion", b"a.b.c")] if known else None

    bridge = AsgiBridge(app, max_body_size=100, threads=threads, quick=quick)
    start, body = ask(bridge, part(b"abc"))
    assert asked == [(threading.get_ident(), "POST")]
    assert start["status"] == (200 if known else 201)
    assert ((b"x-jwt-assertion", b"a.b.c") in start["headers"]) is known
    assert body["body"] == (b"" if known else b"one two")
    assert app.bodies == ([] if known else [b"abc"])


@pytest.mark.parametrize("threads", [1, 3])
def test_an_answer_arrives_whole(threads: int) -> None:
    app = Application()
    bridge = AsgiBridge(app, max_body_size=100, threads=threads)
    start, body = ask(bridge, part(b"ab", more=True), part(b"c"))
    assert start == {
        "type": "http.response.start",
        "status": 201,
        "headers": [(b"x-answer", b"\xfc")],
    }
    assert body == {"type": "http.response.body", "body": b"one two"}
    assert app.bodies == [b"abc"]
    assert app.closed
    assert (threading.get_ident() in app.threads) is (threads == 1)


def test_a_large_body_is_not_read_to_its_end() -> None:
    app = Application()
    bridge = AsgiBridge(app, max_body_size=10, threads=1)
    ask(bridge, part(b"x" * 8, more=True), part(b"x" * 8, more=True), part(b"never asked for"))
    assert app.bodies == [b"x" * 16]  # more than the limit: the application sees that and refuses


def test_a_body_that_breaks_off_is_not_acted_on() -> None:
    app = Application()
    bridge = AsgiBridge(app, max_body_size=10, threads=1)
    start, _ = ask(bridge, part(b"{", more=True), {"type": "http.disconnect"})
    assert start["status"] == 400
    assert app.bodies == []


def test_an_announced_body_that_is_too_large_is_not_read_at_all() -> None:
    app = Application()
    bridge = AsgiBridge(app, max_body_size=10, threads=1)
    ask(bridge, headers=[(b"content-length", b"99999999999")])
    assert app.bodies == [b""]


def test_a_body_that_never_comes_ends_in_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedjwt.web.asgi.BODY_TIMEOUT", 0.05)
    app = Application()
    bridge = AsgiBridge(app, max_body_size=10, threads=1)
    start, _ = ask(bridge, part(b"{", more=True))
    assert start["status"] == 408
    assert app.bodies == []


def test_an_application_that_fails_is_answered_for() -> None:
    def broken(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        raise ValueError("inner")

    start, body = ask(AsgiBridge(broken, max_body_size=10, threads=1), part(b""))
    assert start["status"] == 500
    assert (b"cache-control", b"no-store") in start["headers"]
    assert body["body"] == b""
