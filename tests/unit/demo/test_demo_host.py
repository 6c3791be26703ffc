"""The host application: its page, its people, and a session cookie that embedjwt can read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import jwt
import pytest

from embedjwt.assets import static_dir
from embedjwt.demo.people import PEOPLE

if TYPE_CHECKING:
    from conftest import Stage

ORIGIN = {"Origin": "http://localhost:9000"}


def test_somebody_is_signed_in_from_the_start(stage: Stage) -> None:
    page = stage.host.get("/")
    assert page.status_code == 200
    assert "Hello Vera" in page.text
    assert stage.host.get("/explain").get_json()["of"]["email"] == "vera@acme.example"


@pytest.mark.parametrize("key", PEOPLE)
def test_switches_to_everybody(stage: Stage, key: str) -> None:
    answer = stage.host.post("/person", data={"person": key}, headers=ORIGIN)
    assert (answer.status_code, answer.location) == (303, "/")
    assert f"Hello {PEOPLE[key].name.split()[0]}" in stage.host.get("/").text
    assert stage.host.get("/explain").get_json() == {"of": PEOPLE[key].claims}


@pytest.mark.parametrize(
    ("person", "headers"),
    [("mallory", ORIGIN), ("ed", {"Origin": "http://evil.example"}), ("ed", {"Origin": "null"})],
    ids=["nobody", "another-site", "opaque-origin"],
)
def test_switches_for_nobody_else(stage: Stage, person: str, headers: dict[str, str]) -> None:
    answer = stage.host.post("/person", data={"person": person}, headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize(("person", "role"), [("vera", "Viewer"), ("ed", "Editor")])
def test_its_cookie_becomes_a_token(stage: Stage, person: str, role: str) -> None:
    claims = jwt.decode(stage.token(person), options={"verify_signature": False})
    assert (claims["login"], claims["role"]) == (person, role)
    assert claims["exp"] - claims["iat"] == 60


def test_the_contractor_is_not_admitted(stage: Stage) -> None:
    answer = stage.answer("nora")
    assert (answer["status"], answer["code"]) == (403, "domain_not_allowed")


def test_other_names_of_this_machine_lead_to_the_one_that_shares_cookies(stage: Stage) -> None:
    answer = stage.host.get("/", base_url="http://127.0.0.1:9000")
    assert (answer.status_code, answer.location) == (302, "http://localhost:9000")


def test_its_policy_allows_what_it_needs_and_no_inline_code(stage: Stage) -> None:
    page = stage.host.get("/")
    policy = dict(
        directive.split(" ", 1) for directive in page.headers["Content-Security-Policy"].split("; ")
    )
    assert policy["script-src"] == f"'self' {stage.settings.issuer}"
    assert policy["style-src"] == "'self'"
    assert policy["frame-src"] == "http://localhost:9002/"
    assert set(policy["connect-src"].split()) == {
        "'self'",
        stage.settings.issuer,
        "http://localhost:9002",
    }
    assert not re.search(r"\sstyle=|\son\w+=|<style", page.text)


@pytest.mark.parametrize("name", sorted(path.name for path in (static_dir() / "demo").iterdir()))
def test_no_asset_fetches_anything_from_outside(name: str) -> None:
    text = (static_dir() / "demo" / name).read_text("utf-8")
    outside = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
    assert outside == set()


def test_every_asset_the_page_names_is_there(stage: Stage) -> None:
    named = re.findall(r'"(/assets/[^"]+)"', stage.host.get("/").text)
    assert named
    for path in named:
        with stage.host.get(path) as answer:
            assert answer.status_code == 200
