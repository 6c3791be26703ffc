"""embedjwt's own login at real providers of two makes, from the first visit to the last logout."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
import requests

from canaille_provider import CanailleProvider
from node_provider import NodeProvider
from openid_login import MAKES
from openid_person import LoginFormShown, Person
from openid_providers import ProviderKit
from own_login_kit import DASHBOARD, HOST, Embedding, embedding


@pytest.fixture(scope="module", params=MAKES, ids=[make.make for make in MAKES])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Embedding]:
    make: type[ProviderKit] = request.param
    # One worker: what it knows of the provider does not depend on which one was asked before.
    with embedding(make, tmp_path_factory.mktemp(make.make), workers=1) as site:
        yield site


@pytest.fixture
def person() -> Iterator[Person]:
    with Person() as person:
        yield person


def claims_of(site: Embedding, person: Person) -> dict[str, object]:
    answer = site.token(person)
    assert answer.status_code == 200, answer.text
    return jwt.decode(answer.json()["token"], options={"verify_signature": False})


def test_the_first_login(site: Embedding, person: Person) -> None:
    """Nobody is signed in: a page with a button, then the provider's form, then the token."""
    assert site.token(person).json()["code"] == "login_required"
    page = site.login(person, until=None)
    assert page.url.startswith(f"{site.url}/session/callback")
    assert 'action="/session/login"' in page.answer.text
    with pytest.raises(LoginFormShown):
        site.click(person, None)
    arrival = site.click(person, "ada")
    assert arrival.url == DASHBOARD
    claims = claims_of(site, person)
    assert claims["email"] == "ada@example.com"
    assert claims["role"] == "Admin"
    assert set(claims["groups"]) == {"everyone", "admins"}
    me = site.me(person).json()
    assert me["source"] == "Acme"
    assert me["identity"]["email"] == "ada@example.com"
    assert claims["exp"] <= me["expires_at"]


def test_a_person_signed_in_at_the_provider_sees_no_form(site: Embedding, person: Person) -> None:
    site.kit.sign_in(person, "vera")
    arrival = site.silent(person)
    assert arrival.url == DASHBOARD
    assert claims_of(site, person)["role"] == "Viewer"


def test_nobody_signed_in_comes_back_with_an_error(site: Embedding, person: Person) -> None:
    arrival = site.silent(person, next=f"{DASHBOARD}?tab=1#top")
    assert arrival.url == f"{DASHBOARD}?tab=1&error=login_required#top"
    assert site.token(person).status_code == 401


def test_three_hundred_groups(site: Embedding, person: Person) -> None:
    site.kit.sign_in(person, "greta")
    site.silent(person)
    groups = claims_of(site, person)["groups"]
    assert isinstance(groups, list)
    assert len(groups) == 301


def test_a_new_login_ends_the_session_before(site: Embedding, person: Person) -> None:
    """Session fixation: whoever knew the cookie of before has nothing in hand."""
    site.kit.sign_in(person, "vera")
    site.silent(person)
    before = person.cookie("embedjwt_session")
    site.silent(person)
    assert person.cookie("embedjwt_session") != before
    with Person() as thief:
        thief.browser.cookies.set("embedjwt_session", before)
        assert site.token(thief).status_code == 401
    assert site.token(person).status_code == 200


def test_logout_here_and_there(site: Embedding, person: Person) -> None:
    site.kit.sign_in(person, "vera")
    site.silent(person)
    cookie = person.cookie("embedjwt_session")
    answer = site.logout(person, next=DASHBOARD).json()
    assert answer["signed_out"] is True
    assert person.cookie("embedjwt_session") is None
    with Person() as thief:
        thief.browser.cookies.set("embedjwt_session", cookie)
        assert site.token(thief).status_code == 401
    # The provider still knows the person, until it is asked to forget them.
    end = answer["end_session_url"]
    assert end.startswith(site.kit.metadata["end_session_endpoint"])
    assert "id_token" not in end
    assert person.follow(end, HOST, log_out=True).url == DASHBOARD
    assert "login_required" in site.silent(person).url


def test_another_sites_page_signs_nobody_out(site: Embedding, person: Person) -> None:
    site.kit.sign_in(person, "vera")
    site.silent(person)
    answer = person.browser.post(
        f"{site.url}/session/logout", headers={"Origin": "https://evil.example.com"}, timeout=30
    )
    assert answer.status_code == 403
    assert site.token(person).status_code == 200


def test_keys_rotated_at_the_provider(site: Embedding, person: Person) -> None:
    site.kit.sign_in(person, "vera")
    site.silent(person)
    site.kit.rotate_keys()
    with Person() as other:
        site.kit.sign_in(other, "ada")
        assert site.silent(other).url == DASHBOARD
        assert claims_of(site, other)["role"] == "Admin"
    assert site.token(person).status_code == 200


def test_provider_down(site: Embedding, person: Person) -> None:
    """Who is signed in stays so; others can sign in as soon as it is back."""
    site.kit.sign_in(person, "vera")
    site.silent(person)
    with Person() as other:
        site.kit.sign_in(other, "ada")
        site.kit.stop()
        try:
            assert site.token(person).status_code == 200
            # What is known of the provider serves on; the browser finds out that it is down.
            with pytest.raises(requests.ConnectionError):
                site.silent(other)
        finally:
            site.kit.start()
        assert site.silent(other).url == DASHBOARD


@pytest.mark.parametrize("fault", ["slow", "drip", "fail"])
def test_provider_that_does_not_answer_usably(site: Embedding, person: Person, fault: str) -> None:
    """The code cannot be redeemed: a page that says so within the limits, and no session."""
    site.kit.sign_in(person, "vera")
    with Person() as other:
        site.kit.sign_in(other, "ada")
        site.silent(other)
        if fault == "slow":
            site.kit.slow(20, "token_endpoint")
        elif fault == "drip":
            site.kit.drip(1, "token_endpoint")
        else:
            site.kit.fail(500, "token_endpoint")
        try:
            started = time.monotonic()
            page = site.login(person, until=None)
            assert time.monotonic() - started < 8
            assert page.answer.status_code == 503
            assert "text/html" in page.answer.headers["Content-Type"]
            assert site.token(person).status_code == 401
            # Meanwhile nobody else waits.
            started = time.monotonic()
            assert site.token(other).status_code == 200
            assert time.monotonic() - started < 2
        finally:
            site.kit.normal()


class TestRefresh:
    @pytest.mark.parametrize("make", MAKES, ids=[make.make for make in MAKES])
    def test_renewed_without_anybody_noticing(
        self, make: type[ProviderKit], tmp_path: Path, person: Person
    ) -> None:
        life = {"id_token_ttl": 63, "access_token_ttl": 63}
        with embedding(make, tmp_path, **life) as site:
            site.kit.sign_in(person, "ada")
            site.silent(person)
            first = site.me(person).json()
            assert first["renewable"] is True
            time.sleep(4)  # a minute before its end it is time
            asked = site.kit.asked("token_endpoint")
            assert claims_of(site, person)["role"] == "Admin"
            second = site.me(person).json()
            assert site.kit.asked("token_endpoint") == asked + 1
            assert second["expires_at"] > first["expires_at"]
            assert second["ends_at"] == first["ends_at"]

    def test_ended_at_the_provider_is_ended_here(self, tmp_path: Path, person: Person) -> None:
        with embedding(NodeProvider, tmp_path, id_token_ttl=63, access_token_ttl=63) as site:
            site.kit.sign_in(person, "ada")
            site.silent(person)
            assert site.token(person).status_code == 200
            site.kit.sign_out(person)
            time.sleep(4)
            assert site.token(person).json()["code"] == "login_required"

    def test_switched_off(self, tmp_path: Path, person: Person) -> None:
        with embedding(
            CanailleProvider, tmp_path, source="use_refresh_token = false", id_token_ttl=63
        ) as site:
            site.kit.sign_in(person, "ada")
            site.silent(person)
            assert site.me(person).json()["renewable"] is False
            # Its session is renewed by asking the provider again, silently.
            time.sleep(2)
            before = site.me(person).json()["expires_at"]
            assert site.silent(person).url == DASHBOARD
            assert site.me(person).json()["expires_at"] > before


class TestBackChannelLogout:
    def test_ends_the_session_and_its_tokens_at_once(self, tmp_path: Path, person: Person) -> None:
        with embedding(NodeProvider, tmp_path, backchannel=True) as site:
            site.kit.sign_in(person, "ada")
            site.silent(person)
            token = site.token(person).json()["token"]
            assert site.token(person).json()["token"] == token, "reused while it is fresh"
            with Person() as other:
                site.kit.sign_in(other, "ada")
                site.silent(other)
                site.kit.sign_out(person)
                assert site.token(person).json()["code"] == "login_required"
                # sid names one session of hers; the other goes on.
                assert site.token(other).status_code == 200
            site.kit.sign_in(person, "ada")
            site.silent(person)
            assert site.token(person).json()["token"] != token

    def test_by_sub_all_of_them_end(self, tmp_path: Path, person: Person) -> None:
        with (
            embedding(
                NodeProvider, tmp_path, backchannel=True, backchannel_logout_session_required=False
            ) as site,
            Person() as other,
        ):
            for browser in (person, other):
                site.kit.sign_in(browser, "ada")
                site.silent(browser)
            site.kit.sign_out(other)
            assert site.token(other).status_code == 401
            assert site.token(person).status_code == 401
