"""What is remembered of cookies: bounded, dropped with its sessions, found out once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from structlog.testing import capture_logs

from embedjwt.gateway.decisions import Decision, Decisions, Turns
from embedjwt.gateway.rules import PathRules, Visitor
from embedjwt.tokens import EmbedToken
from gateway_visitor import BEHIND_GATEWAY
from gateway_visitor import Visitor as Browser

REACH = PathRules(()).reach_of(Visitor(frozenset({"Viewer"}), frozenset(), "", "default"))


def decision(*sessions: str) -> Decision:
    token = EmbedToken("token", {}, issued_at=1000, expires_at=1300, kid="k1")
    return Decision(token, (b"X-JWT-Assertion", b"token"), REACH, sessions)


def yes() -> bool:
    return True


def test_the_oldest_go() -> None:
    kept = Decisions(size=3)
    for cookie in "abc":
        kept.put(cookie, "g", decision(), still=yes)
    kept.put("a", "g", decision(), still=yes)  # a fresh token: newer than the others now
    kept.put("d", "g", decision(), still=yes)
    assert len(kept) == 3
    assert [cookie for cookie in "abcd" if kept.get(cookie, "g")] == ["a", "c", "d"]
    assert kept.get("a", "other") is None


def test_forgets_what_stands_on_an_ended_session() -> None:
    kept = Decisions()
    kept.put("a", "g", decision("own", "gateway"), still=yes)
    kept.put("b", "g", decision("other"), still=yes)
    kept.forget({"own", "unknown"})
    assert (kept.get("a", "g"), kept.get("b", "g") is None) == (None, False)
    kept.forget(None)
    assert len(kept) == 0


def test_what_ended_while_it_was_found_out_is_not_kept() -> None:
    kept = Decisions()
    kept.put("a", "g", decision("s"), still=lambda: False)
    assert len(kept) == 0


@pytest.mark.parametrize(
    ("now", "kid", "holds"),
    [(999, "k1", False), (1000, "k1", True), (1149, "k1", True), (1150, "k1", False),
     (1000, "k2", False)],
)  # fmt: skip
def test_holds_while_the_token_is_fresh_and_its_key_signs(now, kid, holds) -> None:
    assert decision().holds(now, kid) is holds


def test_turns_are_one_at_a_time_and_leave_nothing_behind() -> None:
    turns, inside, most = Turns(), [], []

    def take(name: str) -> None:
        with turns.of(name):
            inside.append(name)
            most.append(inside.count(name))
            threading.Event().wait(0.002)
            inside.remove(name)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(take, "aabbaabbaabb"))
    assert set(most) == {1}
    assert turns._turns == {}


def test_a_turn_that_takes_long_is_not_waited_for() -> None:
    turns, go_on = Turns(), threading.Event()

    def hold() -> None:
        with turns.of("a"):
            go_on.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    started = time.monotonic()
    with turns.of("a"):
        waited = time.monotonic() - started
    go_on.set()
    holder.join()
    assert 0.5 < waited < 5
    assert turns._turns == {}


@pytest.fixture
def browser(make_app: Callable[..., Flask], bearer: Callable[..., dict[str, str]]) -> Browser:
    browser = Browser(make_app(**BEHIND_GATEWAY))
    assert browser.open(bearer()).status_code == 200
    return browser


def test_a_burst_with_a_new_cookie_mints_one_token(browser: Browser) -> None:
    barrier = threading.Barrier(50)

    def ask(_: int) -> str:
        barrier.wait()
        return browser.ask().headers["X-JWT-Assertion"]

    with capture_logs() as logs, ThreadPoolExecutor(50) as pool:
        tokens = set(pool.map(ask, range(50)))
    assert len(tokens) == 1
    assert [line["event"] for line in logs].count("token_issued") == 1
