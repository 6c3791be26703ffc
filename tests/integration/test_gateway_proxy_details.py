"""What the printed configurations do beside asking embedjwt, with the real programs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from gateway_proxies import PROXIES, Kind
from gateway_stack import FRAME, OLD_FRAME, PANEL, QUERY, SCRIPT, Field, Stack, each_stack, send

stack = pytest.fixture(scope="module", params=PROXIES)(each_stack)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"

WITH_A_PAGE: tuple[Kind, ...] = ("nginx", "caddy", "haproxy")
"""Those that say themselves that embedjwt does not answer."""


class TestDataSources:
    """Grafana's data source proxy sends ``X-DS-Authorization`` on as ``Authorization``."""

    @pytest.mark.parametrize("name", ["X-DS-Authorization", "x-ds-authorization"])
    @pytest.mark.parametrize("also", ["", ", X-DS-Authorization"])
    def test_get_no_credentials_of_a_client(self, stack: Stack, name: str, also: str) -> None:
        hop = ("Connection", f"close{also}")
        came = stack.visitor("jane").reach("POST", QUERY, *SCRIPT, hop, (name, "Bearer x"))
        assert came.values("X-DS-Authorization") == []


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_the_method_that_was_judged_counts(stack: Stack, name: str) -> None:
    came = stack.visitor("jane").reach("POST", QUERY, *SCRIPT, (name, "DELETE"))
    assert came.values(name) == []


@pytest.mark.parametrize("host", ["elsewhere.example.com", "localhost.example.com", "x"])
def test_a_host_of_another_grafana_is_not_served(stack: Stack, host: str) -> None:
    """Its rules, and its tokens, are others; nginx would take any host that comes to its port."""
    jane = stack.visitor("jane")
    target = urlsplit(stack.origin)
    with stack.nothing_reaches_grafana():
        for field in (("Host", host), ("Host", f"{host}:{target.port}")):
            send(target.port or 0, "GET", PANEL, *SCRIPT, ("Cookie", jane.cookie), field)


class TestRefusals:
    def test_say_once_how_to_sign_in(self, stack: Stack) -> None:
        assert len(stack.ask("GET", PANEL, *SCRIPT).values("WWW-Authenticate")) == 1

    @pytest.mark.parametrize(
        "sent", [None, TRACEPARENT, "00-x", TRACEPARENT.replace(TRACE, "0" * 32)]
    )
    def test_are_one_trace_in_the_page_and_in_the_log(self, stack: Stack, sent: str | None) -> None:
        log = stack.service.log
        before = log.stat().st_size
        told: tuple[Field, ...] = () if sent is None else (("traceparent", sent),)
        shown = stack.ask("GET", PANEL, *SCRIPT, *told).json()["trace_id"]
        assert (shown == TRACE) is (sent == TRACEPARENT)
        said = log.read_bytes()[before:].decode()
        logged = re.findall(r"trace_id[\"'=: ]+([0-9a-f]{32})", said)
        assert set(logged) == {shown}


class TestWithoutEmbedjwt:
    def test_people_get_a_page_and_scripts_a_problem(self, stack: Stack) -> None:
        jane = stack.visitor("jane")
        with embedjwt_stopped(stack), stack.nothing_reaches_grafana():
            people = [jane.get(PANEL, *FRAME), jane.get(PANEL, *OLD_FRAME)]
            scripts = [jane.get(PANEL, *SCRIPT), jane.ask("POST", QUERY, *OLD_FRAME)]
        if stack.kind not in WITH_A_PAGE:
            assert {answer.status for answer in (*people, *scripts)} <= {500, 503}
            return
        for answer in people:
            assert answer.header("Content-Type").startswith("text/html")
            assert b"<!doctype html>" in answer.body
        for answer in scripts:
            assert answer.code == "gateway_unavailable"
        for answer in (*people, *scripts):
            assert answer.status == 503
            assert answer.header("Cache-Control") == "no-store"
            assert answer.header("Retry-After") == "5"

    def test_nobody_waits_for_long(self, stack: Stack) -> None:
        """HAProxy alone takes a while to see it, and then knows."""
        with embedjwt_stopped(stack):
            time.sleep(4 if stack.kind == "haproxy" else 0)
            before = time.monotonic()
            assert stack.ask("GET", PANEL, *SCRIPT).status in (500, 503)
            assert time.monotonic() - before < 1


@contextmanager
def embedjwt_stopped(stack: Stack) -> Iterator[None]:
    """In the end it is back, and the proxy knows."""
    stack.service.kill()
    try:
        yield
    finally:
        stack.service.start()
    deadline = time.monotonic() + 10
    while stack.ask("GET", PANEL, *SCRIPT).status != 401 and time.monotonic() < deadline:
        time.sleep(0.1)
