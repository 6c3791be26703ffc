"""The gateway session behind every proxy, over time: it ends, is renewed, revoked and lost."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway_proxies import ACCESS_LOG, PROXIES
from gateway_service import WORKERS
from gateway_stack import (
    APP,
    FRAME,
    PANEL,
    QUERY,
    SCRIPT,
    Field,
    Stack,
    Visitor,
    cookie_of,
    each_stack,
    send,
    value_of,
)

stack = pytest.fixture(scope="module", params=PROXIES)(each_stack)

HOUR = 3600
LIFE = 300
"""Seconds of a token's, as is the default; half of it is over when the next one is due."""
STREAMS = 6
"""Connections at once, so that both workers are asked."""


def assert_login_required(visitor: Visitor) -> None:
    with visitor.stack.nothing_reaches_grafana():
        answer = visitor.get()
    assert (answer.status, answer.code) == (401, "login_required")


class TestOpening:
    def test_answer_and_cookie(self, stack: Stack) -> None:
        with stack.nothing_reaches_grafana():
            answer = stack.session("POST", stack.bearer("jane"))
        assert answer.status == 200
        body = answer.json()
        assert body["expires_in"] == pytest.approx(8 * HOUR, abs=30)
        assert 0 < body["refresh_in"] < body["expires_in"]
        assert answer.header("Access-Control-Allow-Origin") == APP
        attributes = {part.strip().lower() for part in answer.header("Set-Cookie").split(";")[1:]}
        assert {"httponly", "path=/", "samesite=lax"} <= attributes
        assert not any(each.startswith("domain") for each in attributes)
        assert len(cookie_of(answer)) < 4096

    def test_a_preflight_is_answered(self, stack: Stack) -> None:
        fields = (("Origin", APP), ("Access-Control-Request-Method", "POST"))
        asked = ("Access-Control-Request-Headers", "authorization,content-type")
        with stack.nothing_reaches_grafana():
            answer = stack.ask("OPTIONS", "/gateway/session", *fields, asked)
        assert answer.status in (200, 204)
        assert answer.header("Access-Control-Allow-Origin") == APP
        assert answer.header("Access-Control-Allow-Credentials") == "true"

    @pytest.mark.parametrize("bearer", [None, ("Authorization", "Bearer x.y.z")])
    def test_nobody_opens_one_without_an_upstream_session(
        self, stack: Stack, bearer: Field | None
    ) -> None:
        answer = stack.session("POST", *((bearer,) if bearer else ()))
        assert answer.status == 401
        assert answer.values("Set-Cookie") == []


class TestTime:
    def test_ends_with_the_upstream_session_and_is_renewed(self, stack: Stack) -> None:
        jane = stack.visitor("jane", lives=HOUR)
        jane.reach("GET", PANEL, *SCRIPT)
        stack.service.clock.step(HOUR + 120)
        assert_login_required(jane)
        jane.open()
        jane.reach("GET", PANEL, *SCRIPT)

    def test_renewed_before_it_ends_it_goes_on(self, stack: Stack) -> None:
        jane = stack.visitor("jane", lives=HOUR)
        stack.service.clock.step(HOUR - 300)
        jane.reach("GET", PANEL, *SCRIPT)
        jane.open()
        stack.service.clock.step(HOUR)
        jane.reach("GET", PANEL, *SCRIPT)

    def test_an_idle_tab_wakes_up_after_five_hours(self, stack: Stack) -> None:
        """Its first request gets a token of now, not the one that was fresh at noon."""
        jane = stack.visitor("jane", lives=8 * HOUR)
        before = value_of(jane.reach("GET", PANEL, *SCRIPT))
        stack.service.clock.step(5 * HOUR)
        assert value_of(jane.reach("POST", QUERY, *SCRIPT, body=b"{}")) != before

    def test_an_idle_tab_whose_session_has_ended_meanwhile(self, stack: Stack) -> None:
        jane = stack.visitor("jane", lives=4 * HOUR)
        jane.reach("GET", PANEL, *SCRIPT)
        stack.service.clock.step(5 * HOUR)
        assert_login_required(jane)
        jane.open()
        jane.reach("POST", QUERY, *SCRIPT, body=b"{}")

    def test_every_request_over_ten_token_lifetimes_has_a_token_that_grafana_takes(
        self, stack: Stack
    ) -> None:
        """Which of the workers a request reaches is chance, and each has a token of its own."""
        jane = stack.visitor("jane")
        step, requests = 50, 10 * LIFE // 50
        tokens = set()
        for _ in range(requests):
            stack.service.clock.step(step)
            tokens.add(value_of(jane.reach("GET", PANEL, *SCRIPT)))
        renewed_by_a_worker = requests * step // (LIFE // 2) + 1
        assert 10 <= len(tokens) <= WORKERS * renewed_by_a_worker < requests


@dataclass(frozen=True)
class Streamed:
    """One request of a stream: when it was sent, and how it ended."""

    sent: float
    status: int


class Streams:
    """Requests one after the other, on several connections, until the block ends."""

    def __init__(self, visitor: Visitor) -> None:
        self.done: list[Streamed] = []
        self._visitor = visitor
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(STREAMS)

    def __enter__(self) -> Streams:
        """Once all goes well."""
        self._running = [self._pool.submit(self._ask) for _ in range(STREAMS)]
        deadline = time.monotonic() + 10
        while len(self.done) < 5 * STREAMS and time.monotonic() < deadline:
            time.sleep(0.01)
        if {each.status for each in list(self.done)} != {200}:
            self.__exit__()
            raise AssertionError(self.done[:STREAMS])
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        for each in self._running:
            each.result()

    def _ask(self) -> None:
        visitor = Visitor(self._visitor.stack, self._visitor.person, self._visitor.cookie)
        while not self._stop.is_set():
            sent = time.monotonic()
            self.done.append(Streamed(sent, visitor.get().status))


class TestRevokedMidStream:
    @staticmethod
    def assert_refused_within_a_second(streams: Streams, ended: float) -> None:
        """And never passed again, by whichever worker."""
        late = [each for each in streams.done if each.sent > ended + 1]
        assert len(late) > STREAMS
        assert {each.status for each in late} == {401}
        # In between, one worker knows of it and the other does not: nginx, which asks twice, is
        # told to try again.
        assert {each.status for each in streams.done} <= {200, 401, 503}

    def test_by_the_host_page(self, stack: Stack) -> None:
        """Which ends the session of this browser, and of no other."""
        jane, phone = stack.visitor("jane"), stack.visitor("jane")
        with Streams(jane) as streams:
            stack.session("DELETE", stack.bearer("jane"))
            answer = stack.session("DELETE", ("Cookie", jane.cookie))
            ended = time.monotonic()
            assert answer.status in (200, 204), answer
            time.sleep(1.6)
        self.assert_refused_within_a_second(streams, ended)
        phone.reach("GET", PANEL, *SCRIPT)
        assert "Max-Age=0" in answer.header("Set-Cookie")

    def test_by_another_person_in_the_same_browser(self, stack: Stack) -> None:
        ann, bob = stack.visitor("ann"), Visitor(stack, "bob")
        with Streams(ann) as streams:
            bob.cookie = ann.cookie
            bob.open()
            ended = time.monotonic()
            time.sleep(1.6)
        self.assert_refused_within_a_second(streams, ended)
        assert bob.cookie != ann.cookie
        bob.reach("GET", PANEL, *SCRIPT)


class TestWithoutEmbedjwt:
    def test_nothing_passes_until_it_is_back(self, stack: Stack) -> None:
        jane = stack.visitor("jane")
        jane.reach("GET", PANEL, *SCRIPT)
        stack.service.kill()
        try:
            with stack.nothing_reaches_grafana(), ThreadPoolExecutor() as pool:
                asked = [
                    pool.submit(jane.get),
                    pool.submit(jane.get, PANEL, *FRAME),
                    pool.submit(jane.ask, "POST", QUERY, *SCRIPT, body=b"{}"),
                    pool.submit(stack.ask, "GET", PANEL, *SCRIPT),
                    pool.submit(stack.session, "POST", stack.bearer("jane")),
                ]
                answers = [each.result() for each in asked]
        finally:
            stack.service.start()
        assert all(500 <= answer.status < 600 for answer in answers), answers
        deadline = time.monotonic() + 10  # proxies may wait before they try a failed server again
        while jane.get().status != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        jane.reach("GET", PANEL, *SCRIPT)


def test_no_secret_is_in_any_log(stack: Stack) -> None:
    """Tokens, tickets and cookies, when all goes well and when it does not."""
    jane = stack.visitor("jane")
    bearer = stack.bearer("jane")[1]
    token = value_of(jane.reach("GET", PANEL, *SCRIPT))
    fields = (("Origin", APP), ("Content-Type", "application/json"), stack.bearer("jane"))
    given = send(stack.service.port, "POST", "/gateway/session", *fields, body=b"{}").json()
    enter = given["enter_url"].removeprefix(stack.origin)
    cookies = [jane.cookie, cookie_of(stack.ask("GET", enter, *FRAME))]
    assert all(cookies)
    stack.ask("GET", enter, *FRAME)
    jane.get("/api/admin/settings")
    jane.get(f"{PANEL}&auth_token={token}", *FRAME)
    secrets = [token, given["ticket"], bearer.split()[-1]]
    secrets += [cookie.partition("=")[2] for cookie in cookies]
    logs = {file: file.read_text(errors="replace") for file in log_files(stack.directory)}
    assert logs[stack.directory / "proxy" / ACCESS_LOG]
    for file, text in logs.items():
        assert not [secret for secret in secrets if secret in text], file


def log_files(directory: Path) -> list[Path]:
    return [file for file in directory.rglob("*") if file.is_file() and ".log" in file.name]
