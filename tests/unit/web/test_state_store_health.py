"""What ``/readyz`` and ``/metrics`` say of the store of sessions and the gateway."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from flask import Flask

from gateway_visitor import BEHIND_GATEWAY, Visitor


def test_a_store_that_fails_is_told(
    make_app: Callable[..., Flask], bearer: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    app = make_app(**BEHIND_GATEWAY)
    client, visitor = app.test_client(), Visitor(app)
    visitor.open(bearer())
    assert visitor.ask().status_code == 200
    assert client.get("/readyz").json["status"] == "ready"
    assert "embedjwt_state_store_up 1.0" in client.get("/metrics").text
    (tmp_path / "state.db").chmod(0o666)  # others could have changed it
    assert client.get("/readyz").json["status"] == "degraded"
    assert "embedjwt_state_store_up 0.0" in client.get("/metrics").text


def test_without_sessions_there_is_none(make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()
    assert client.get("/readyz").json["status"] == "ready"
    assert "state_store" not in client.get("/metrics").text


def test_the_gateway_fails_closed(
    make_app: Callable[..., Flask], bearer: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    """After a second nobody can say whether a session has ended."""

    visitor = Visitor(make_app(**BEHIND_GATEWAY))
    visitor.open(bearer())
    assert visitor.ask().status_code == 200
    (tmp_path / "state.db").chmod(0o666)
    time.sleep(1.1)
    answer = visitor.ask()
    assert (answer.status_code, "X-JWT-Assertion" in answer.headers) == (503, False)
    (tmp_path / "state.db").chmod(0o600)
    assert visitor.ask().status_code == 200
