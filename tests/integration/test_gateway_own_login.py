"""The gateway for people whom embedjwt's own login has signed in, at a real provider."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests

from node_provider import NodeProvider
from openid_person import Person
from own_login_kit import DASHBOARD, HOST, Embedding, embedding
from postgres import PostgresServer
from running_service import free_port, running_service

GRAFANA = "http://grafana.localhost:3999"
PANEL = "/d-solo/cpu/_?panelId=3"
COOKIE = "embedjwt_gateway"
BEHIND_GATEWAY = {
    "grafana": GRAFANA,
    "target": 'mode = "gateway"',
    "more": 'trusted_proxies = ["127.0.0.1"]\n[gateway]\nproxy = "caddy"',
}
LIFE = {"id_token_ttl": 63, "access_token_ttl": 63}


class Tab:
    """A browser at Grafana's host, behind a stand-in for the proxy, which only says so."""

    def __init__(self, site: Embedding) -> None:
        self.url = site.url
        self.browser = requests.Session()
        self.browser.trust_env = False
        self.told = {"X-Forwarded-Host": GRAFANA.removeprefix("http://")}

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, *_: object) -> None:
        self.browser.close()

    def ask(self, uri: str = PANEL, **headers: str) -> requests.Response:
        told = {**self.told, "X-Forwarded-Method": "GET", "X-Forwarded-Uri": uri, **headers}
        return self._get("/gateway/auth", told)

    def enter(self, url: str) -> requests.Response:
        return self._get(url.removeprefix(GRAFANA), self.told)

    def navigate(self) -> requests.Response:
        """A person opens Grafana's address in a tab."""
        fetch = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}
        return self.ask(**fetch)

    def _get(self, path: str, headers: dict[str, str]) -> requests.Response:
        return self.browser.get(
            f"{self.url}{path}", headers=headers, allow_redirects=False, timeout=30
        )


def open_tab(site: Embedding, person: Person) -> Tab:
    """The host page gets a ticket with the person's cookie at embedjwt; a frame redeems it."""
    answer = person.browser.post(
        f"{site.url}/gateway/session", json={}, headers={"Origin": HOST}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    tab = Tab(site)
    assert tab.enter(answer.json()["enter_url"]).headers["Location"] == f"{GRAFANA}/"
    assert tab.ask().status_code == 200
    return tab


def until_refused(tab: Tab, within: float) -> float:
    """Seconds until nothing passes any more; every request counts, whichever worker it meets."""
    started = time.monotonic()
    while time.monotonic() - started < within + 1:
        if all(tab.ask().status_code == 401 for _ in range(8)):
            return time.monotonic() - started
    raise AssertionError("it still passes")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedding]:
    directory = tmp_path_factory.mktemp("gateway")
    with embedding(NodeProvider, directory, backchannel=True, **BEHIND_GATEWAY, **LIFE) as site:
        yield site


@pytest.fixture
def person(site: Embedding) -> Iterator[Person]:
    with Person() as person:
        site.kit.sign_in(person, "ada")
        assert site.silent(person).url == DASHBOARD
        yield person


def test_panels_outlive_what_the_provider_vouched_for(site: Embedding, person: Person) -> None:
    """The gateway's traffic alone renews the session that its cookie stands on, once."""
    with open_tab(site, person) as tab:
        time.sleep(4)  # a minute before its end it is time
        asked = site.kit.asked("token_endpoint")
        # What is remembered of a token is used up sooner, but no other request renews here.
        deadline = time.monotonic() + 45
        while site.kit.asked("token_endpoint") == asked and time.monotonic() < deadline:
            with ThreadPoolExecutor(8) as pool:
                assert {a.status_code for a in pool.map(lambda _: tab.ask(), range(16))} == {200}
            time.sleep(0.5)
        assert site.kit.asked("token_endpoint") == asked + 1
        token = tab.ask().headers["X-JWT-Assertion"]
        assert jwt.decode(token, options={"verify_signature": False})["role"] == "Admin"


def test_it_ends_with_a_logout(site: Embedding, person: Person) -> None:
    with open_tab(site, person) as tab:
        assert site.logout(person).status_code == 200
        assert until_refused(tab, within=1.0) < 1.5


def test_it_ends_when_the_provider_says_so(site: Embedding, person: Person) -> None:
    with open_tab(site, person) as tab:
        site.kit.sign_out(person)
        assert until_refused(tab, within=1.0) < 1.5


def test_it_ends_with_a_new_login_of_somebody(site: Embedding, person: Person) -> None:
    with open_tab(site, person) as tab:
        site.silent(person)
        assert until_refused(tab, within=1.0) < 1.5


def test_a_ticket_of_an_ended_login_opens_nothing(site: Embedding, person: Person) -> None:
    answer = person.browser.post(
        f"{site.url}/gateway/session", json={}, headers={"Origin": HOST}, timeout=30
    )
    site.logout(person)
    with Tab(site) as tab:
        tab.enter(answer.json()["enter_url"])
        assert tab.ask().status_code == 401


def test_other_sites_pages_get_no_ticket(site: Embedding, person: Person) -> None:
    for headers in ({}, {"Origin": "https://evil.example.com"}):
        answer = person.browser.post(
            f"{site.url}/gateway/session", json={}, headers=headers, timeout=30
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")


def test_who_opens_grafana_in_a_tab_comes_back_signed_in(site: Embedding, person: Person) -> None:
    """401 → the login → a ticket → Grafana, at the address that was asked for."""
    with Tab(site) as tab:
        to_login = tab.navigate()
        assert to_login.status_code == 302
        login = to_login.headers["Location"]
        assert login.startswith(f"{site.url}/session/login?next=")
        assert "token" not in login
        arrival = person.follow(login, GRAFANA)
        assert arrival.url.startswith(f"{GRAFANA}/gateway/enter?ticket=")
        entered = tab.enter(arrival.url)
        assert entered.headers["Location"] == f"{GRAFANA}{PANEL}"
        assert tab.ask().status_code == 200


def test_scripts_and_frames_are_not_sent_to_a_login(site: Embedding) -> None:
    frame = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Accept": "text/html"}
    with Tab(site) as tab:
        for headers in (frame, {"Sec-Fetch-Mode": "cors"}, {"Accept": "*/*"}):
            answer = tab.ask(**headers)
            assert (answer.status_code, answer.headers.get("Location")) == (401, None)


def test_every_replica_learns_of_the_end_within_a_second(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    file = tmp_path / "database-url"
    file.write_text(postgres.database())
    file.chmod(0o600)
    settings = BEHIND_GATEWAY | {"top": 'database_file = "database-url"'}
    settings["more"] += '\n[keys]\nstore = "directory"'
    with (
        embedding(NodeProvider, tmp_path, **settings) as first,
        running_service(tmp_path, free_port()) as url,
        Person() as person,
    ):
        second = replace(first, url=url)
        first.kit.sign_in(person, "ada")
        first.silent(person)
        with open_tab(first, person) as tab, Tab(second) as other:
            other.browser.cookies.update(tab.browser.cookies)
            for _ in range(20):  # remembered by every worker of both
                assert {tab.ask().status_code, other.ask().status_code} == {200}
            first.logout(person)
            with ThreadPoolExecutor(2) as pool:
                times = pool.map(lambda one: until_refused(one, within=1.0), (tab, other))
                assert max(times) < 1.5


def test_tickets_are_redeemed_once_of_many_at_once(site: Embedding, person: Person) -> None:
    answer = person.browser.post(
        f"{site.url}/gateway/session", json={}, headers={"Origin": HOST}, timeout=30
    )
    url = answer.json()["enter_url"]
    assert set(parse_qs(urlsplit(url).query)) == {"ticket", "to"}

    def enter(_: int) -> int:
        with Tab(site) as tab:
            return tab.enter(url).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(enter, range(8))) == [302] + [401] * 7
