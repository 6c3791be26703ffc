"""The demo's three applications, the service behind a real port for its keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from embedjwt import create_app
from embedjwt.config import Settings
from embedjwt.demo.host import Surroundings, create_host
from embedjwt.demo.judge import Judge, JwksCache
from embedjwt.demo.people import COOKIE_NAME, demo_settings
from embedjwt.demo.servers import listener, serving, url_of
from embedjwt.demo.standin import create_standin
from embedjwt.grafana.settings import grafana_config
from embedjwt.grafana.verifier import LATEST
from embedjwt.keys.build import key_store, operator
from tests_support import FakeClock

HOST = "http://localhost:9000"
STANDIN = "http://localhost:9002"
SECRET_KEY = "a secret key of the host application"


@dataclass(frozen=True)
class Stage:
    """Everything the demo runs, on a clock that stands still."""

    settings: Settings
    service: Flask
    jwks: JwksCache
    standin: FlaskClient
    host: FlaskClient

    def answer(self, person: str, panel: int = 1) -> dict[str, Any]:
        """What embedjwt answers to the host page, for somebody signed in at the host."""
        response = self.host.post("/person", data={"person": person}, headers={"Origin": HOST})
        assert response.status_code == 303
        session = self.host.get_cookie(COOKIE_NAME)
        assert session is not None
        browser = self.service.test_client()
        browser.set_cookie(COOKIE_NAME, session.value)
        body = {"panel": {"dashboard": "acme-line-3", "slug": "line-3", "panel": panel}}
        answer = browser.post("/v1/embed-token", json=body, headers={"Origin": HOST}).get_json()
        assert isinstance(answer, dict)
        return answer

    def token(self, person: str) -> str:
        """The token alone."""
        return str(self.answer(person)["token"])


@pytest.fixture
def stage(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr("time.time", clock)  # the host's cookie is stamped by itsdangerous
    with listener(0) as listening:
        settings = demo_settings(
            host=HOST,
            service=url_of(listening),
            grafana=STANDIN,
            secret_key=SECRET_KEY,
            keys=tmp_path / "jwks",
        )
        operator(settings, key_store(settings), "test", clock).init()
        printed = grafana_config(settings, settings.grafana[0], version=LATEST).text
        judge = Judge.under(printed, now=clock)
        where = Surroundings(HOST, settings.issuer, STANDIN, STANDIN, printed)
        service = create_app(settings, clock=clock)
        host = create_host(where, secret_key=SECRET_KEY, explain=lambda claims: {"of": claims})
        standin = create_standin(judge, host_origin=HOST, now=clock)
        for app, url in ((host, HOST), (standin, STANDIN)):
            app.config.update(TESTING=True, SERVER_NAME=url.partition("://")[2])
        with serving(service, listening):
            yield Stage(settings, service, judge.jwks, standin.test_client(), host.test_client())
