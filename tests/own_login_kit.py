"""embedjwt with a login of its own at a real provider, and a person with a browser before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from openid_person import Arrival, Person
from openid_providers import ProviderKit, Setup
from running_service import embedjwt, free_port, running_service

HOST = "https://app.example.com"
"""The host application's origin; nobody listens there: journeys end at the redirect to it."""

GRAFANA = "https://grafana.example.com"

DASHBOARD = f"{HOST}/dashboard"


@dataclass(frozen=True)
class Embedding:
    """A running service, and the provider it signs people in at."""

    url: str
    kit: ProviderKit
    directory: Path

    def silent(self, person: Person, **query: str) -> Arrival:
        """The host page sends the browser here, and wants it back without any page."""
        return self.login(person, prompt="none", **query)

    def login(self, person: Person, *, until: str | None = HOST, **query: str) -> Arrival:
        """A navigation that no click has led to."""
        query = {"next": DASHBOARD} | query
        return person.follow(f"{self.url}/session/login?{_query(query)}", until)

    def click(self, person: Person, login: str | None, **form: str) -> Arrival:
        """The button of the sign-in page, and whatever the provider then shows."""
        answer = person.browser.post(
            f"{self.url}/session/login",
            data={"next": DASHBOARD} | form,
            headers={"Origin": self.url, "Sec-Fetch-Site": "same-origin"},
            allow_redirects=False,
            timeout=30,
        )
        assert answer.status_code == 303, answer.text
        return person.follow(answer.headers["Location"], HOST, log_in_as=login)

    def token(self, person: Person) -> requests.Response:
        """What the host page's script gets with this person's cookie."""
        return person.browser.post(
            f"{self.url}/v1/embed-token", json={}, headers={"Origin": HOST}, timeout=30
        )

    def me(self, person: Person) -> requests.Response:
        headers = {"Origin": HOST, "Accept": "application/json"}
        return person.browser.get(f"{self.url}/session/me", headers=headers, timeout=30)

    def logout(self, person: Person, **query: str) -> requests.Response:
        return person.browser.post(
            f"{self.url}/session/logout?{_query(query)}",
            headers={"Origin": HOST, "Accept": "application/json"},
            timeout=30,
        )


@contextmanager
def embedding(
    make: type[ProviderKit],
    directory: Path,
    *,
    host: str = HOST,
    grafana: str = GRAFANA,
    top: str = "",
    source: str = "",
    target: str = "",
    more: str = "",
    backchannel: bool = False,
    workers: int = 2,
    **setup: Any,
) -> Iterator[Embedding]:
    """``top`` are more keys above all tables, ``source`` of the source, ``target`` of the Grafana,
    ``more`` of ``[web]`` and more tables, ``setup`` the provider's. ``host`` is the one allowed
    origin."""
    port = free_port()
    url = f"http://localhost:{port}"
    with make(
        Setup(
            redirect_uris=[f"{url}/session/callback"],
            post_logout_redirect_uris=[f"{url}/session/logout"],
            backchannel_logout_uri=f"{url}/session/backchannel-logout" if backchannel else None,
            **setup,
        )
    ) as kit:
        directory.chmod(0o700)
        text = configuration(
            url, kit, host=host, grafana=grafana, top=top, source=source, target=target, more=more
        )
        (directory / "embedjwt.toml").write_text(text)
        embedjwt("init", cwd=directory)
        embedjwt("check", cwd=directory)
        with running_service(directory, port, "--workers", str(workers)) as service:
            yield Embedding(service, kit, directory)


def configuration(
    url: str,
    kit: ProviderKit,
    *,
    host: str,
    grafana: str,
    top: str,
    source: str,
    target: str,
    more: str,
) -> str:
    return f"""
        issuer = "{url}"
        {top}
        [[source]]
        type = "oidc"
        name = "Acme"
        issuer = "{kit.issuer}"
        client_id = "{kit.client_id}"
        client_secret = "{kit.client_secret}"
        scopes = "openid profile email groups"
        algorithms = ["{kit.algorithm}"]
        timeout = "2s"
        {source}
        [mapping]
        login_attribute_path = "sub"
        groups_attribute_path = "groups"
        role_attribute_path = "contains(groups || `[]`, 'admins') && 'Admin' || 'Viewer'"
        [[grafana]]
        url = "{grafana}"
        {target}
        [web]
        allowed_origins = ["{host}"]
        {more}
    """


def _query(values: dict[str, str]) -> str:
    request = requests.Request("GET", "http://x", params=values).prepare()
    return (request.url or "").partition("?")[2]
