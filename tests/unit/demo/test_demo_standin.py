"""The stand-in Grafana: refuses what Grafana refuses, says why, and never claims to be Grafana."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests_support import FakeClock

if TYPE_CHECKING:
    from conftest import Stage

PANEL = "/d-solo/acme-line-3/line-3?panelId=1"
NAMED = "stand-in Grafana"


def test_shows_the_panel_at_the_embed_url(stage: Stage) -> None:
    answer = stage.standin.get(stage.answer("vera")["embed_url"])
    assert answer.status_code == 200
    for text in ("Controller CPU", "vera", "Viewer", NAMED):
        assert text in answer.text


@pytest.mark.parametrize(("person", "edits"), [("vera", False), ("ed", True)])
def test_only_editors_see_edit(stage: Stage, person: str, edits: bool) -> None:
    answer = stage.standin.get(PANEL, headers={"X-JWT-Assertion": stage.token(person)})
    assert ("<summary>Edit</summary>" in answer.text) is edits


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lambda token: "", "no_token", id="none"),
        pytest.param(lambda token: "nonsense", "not_a_jwt", id="nonsense"),
        pytest.param(lambda token: token[:-8] + "AAAAAAAA", "signature_invalid", id="tampered"),
    ],
)
def test_sends_a_bad_token_to_login_and_says_why(
    stage: Stage, spoil: Callable[[str], str], reason: str
) -> None:
    token = spoil(stage.token("vera"))
    answer = stage.standin.get(f"{PANEL}&auth_token={token}")
    assert answer.status_code == 302
    assert urlsplit(answer.location).path == "/login"
    assert parse_qs(urlsplit(answer.location).query)["reason"] == [reason]
    login = stage.standin.get(answer.location).text
    assert reason in login
    assert NAMED in login


def test_refuses_a_token_after_its_end_and_the_leeway(stage: Stage, clock: FakeClock) -> None:
    answer = stage.answer("vera")
    clock.now = answer["expires_at"] + 60
    assert stage.standin.get(answer["embed_url"]).status_code == 200
    clock.now += 1
    assert stage.standin.get(answer["embed_url"]).status_code == 302


def test_the_header_wins_over_the_url(stage: Stage) -> None:
    good = stage.token("vera")
    bad_header = {"X-JWT-Assertion": "nonsense"}
    assert stage.standin.get(f"{PANEL}&auth_token={good}", headers=bad_header).status_code == 302
    good_header = {"X-JWT-Assertion": good}
    assert stage.standin.get(f"{PANEL}&auth_token=nonsense", headers=good_header).status_code == 200


@pytest.mark.parametrize("panel_id", ["9", "panel-9", "", "²", "x", "1" * 5000])
def test_an_unknown_panel_is_named_so(stage: Stage, panel_id: str) -> None:
    token = stage.token("vera")
    answer = stage.standin.get(
        "/d-solo/acme-line-3/line-3", query_string={"panelId": panel_id, "auth_token": token}
    )
    assert "Panel not found" in answer.text
    assert NAMED in answer.text


def test_every_query_needs_its_own_token(stage: Stage) -> None:
    body = {"panelId": 1, "from": 1_800_000_000_000, "to": 1_800_000_300_000}
    refused = stage.standin.post("/api/ds/query", json=body)
    assert refused.status_code == 401
    assert refused.get_json()["login"].startswith("/login?reason=no_token")
    headers = {"X-JWT-Assertion": stage.token("vera")}
    answer = stage.standin.post("/api/ds/query", json=body, headers=headers).get_json()
    frame = answer["results"]["A"]["frames"][0]
    names = [field["name"] for field in frame["schema"]["fields"]]
    assert names == ["time", "mill-01", "mill-02", "lathe-07"]
    assert len({len(column) for column in frame["data"]["values"]}) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"panelId": 9, "from": 1, "to": 2},
        {"panelId": 1, "from": "now-5m", "to": "now"},
        {"panelId": 1, "from": 2, "to": 1},
        {"panelId": 1, "from": 0, "to": 10**12},
        {"panelId": 1, "from": 10**400, "to": 10**400 + 1000},
        {"panelId": 1, "from": -(10**400), "to": 1000 - 10**400},
        {"panelId": "1" * 5000, "from": 1, "to": 2},
        [],
        "now",
    ],
    ids=[
        "panel",
        "words",
        "backwards",
        "years",
        "huge",
        "huge-negative",
        "panel-huge",
        "list",
        "text",
    ],
)
def test_an_odd_query_is_a_client_error(stage: Stage, body: object) -> None:
    headers = {"X-JWT-Assertion": stage.token("vera")}
    assert stage.standin.post("/api/ds/query", json=body, headers=headers).status_code == 400


def test_tells_the_host_page_what_grafana_made_of_a_token(stage: Stage) -> None:
    headers = {"X-JWT-Assertion": stage.token("ed"), "Origin": "http://localhost:9000"}
    answer = stage.standin.post("/standin/verdict", headers=headers)
    verdict = answer.get_json()["verdict"]
    assert verdict["accepted"]
    assert (verdict["login"], verdict["role"]) == ("ed", "Editor")
    assert all(step["ok"] for step in verdict["steps"])
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:9000"


def test_keeps_the_keys_as_long_as_they_may_be_kept(stage: Stage, clock: FakeClock) -> None:
    def ask() -> int:
        headers = {"X-JWT-Assertion": stage.token("vera")}
        assert stage.standin.get(PANEL, headers=headers).status_code == 200
        return stage.jwks.fetches

    assert [ask(), ask()] == [1, 1]
    clock.now += 300
    assert ask() == 2


@pytest.mark.parametrize("path", [PANEL, "/login", "/"])
def test_only_the_host_page_may_frame_it_and_no_address_leaks(stage: Stage, path: str) -> None:
    headers = stage.standin.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors http://localhost:9000" in policy
    assert "script-src 'self';" in policy
    assert headers["Referrer-Policy"] == "no-referrer"
