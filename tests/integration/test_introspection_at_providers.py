"""Opaque access tokens of real providers of two makes, looked up at the provider."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
import requests

from embedjwt.sources.remote import RETRY_AFTER
from openid_login import MAKES
from openid_person import Person
from openid_providers import ProviderKit, Setup
from running_service import embedjwt, free_port, running_service


@pytest.fixture(scope="module", params=MAKES, ids=[make.make for make in MAKES])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, ProviderKit]]:
    directory, port = tmp_path_factory.mktemp("introspection"), free_port()
    make: type[ProviderKit] = request.param
    with make(Setup(access_token_ttl=30)) as kit:
        (directory / "embedjwt.toml").write_text(
            f"""
            issuer = "http://localhost:{port}"
            [[source]]
            type = "introspection"
            issuer = "{kit.issuer}"
            client_id = "{kit.client_id}"
            client_secret = "{kit.client_secret}"
            api_url = "{kit.metadata["userinfo_endpoint"]}"
            audience = []
            timeout = "2s"
            [mapping]
            login_attribute_path = "sub"
            groups_attribute_path = "groups"
            [[grafana]]
            url = "https://grafana.example.com"
            """
        )
        embedjwt("init", cwd=directory)
        embedjwt("check", cwd=directory)
        with running_service(directory, port) as url:
            yield url, kit


@pytest.fixture
def access_token(site: tuple[str, ProviderKit]) -> str:
    _, kit = site
    with Person() as person:
        token: str = kit.redeem(kit.sign_in(person, "ada"))["access_token"]
        return token


def ask(url: str, access_token: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {access_token}"}
    return requests.post(f"{url}/v1/embed-token", headers=headers, timeout=30)


def claims(answer: requests.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    decoded: dict[str, Any] = jwt.decode(
        answer.json()["token"], options={"verify_signature": False}
    )
    return decoded


def test_a_live_token(site: tuple[str, ProviderKit], access_token: str) -> None:
    url, _ = site
    found = claims(ask(url, access_token))
    assert found["email"] == "ada@example.com"
    assert sorted(found["groups"]) == ["admins", "everyone"]
    assert found["exp"] <= time.time() + 31, "no longer than the access token"


def test_asked_once_a_worker(site: tuple[str, ProviderKit], access_token: str) -> None:
    url, kit = site
    asked = kit.asked("introspection_endpoint")
    for _ in range(12):
        assert ask(url, access_token).status_code == 200
    assert kit.asked("introspection_endpoint") - asked <= 2  # there are two workers


def test_revoked_is_refused(site: tuple[str, ProviderKit], access_token: str) -> None:
    url, kit = site
    kit.post("revocation_endpoint", token=access_token).raise_for_status()
    answer = ask(url, access_token)
    assert answer.status_code == 401
    assert answer.json()["code"] == "token_inactive"


@pytest.mark.parametrize("token", ["made-up", "a.b.c", "x" * 4000])
def test_made_up_is_refused(site: tuple[str, ProviderKit], token: str) -> None:
    assert ask(site[0], token).status_code == 401


def test_down_is_closed_and_quick(site: tuple[str, ProviderKit], access_token: str) -> None:
    url, kit = site
    kit.slow(20, "introspection_endpoint")
    try:
        started = time.monotonic()
        answer = ask(url, access_token)
        assert time.monotonic() - started < 6
        assert answer.status_code == 503
    finally:
        kit.normal()
    time.sleep(RETRY_AFTER + 0.5)  # a provider that has failed is left alone for a moment
    assert ask(url, access_token).status_code == 200
