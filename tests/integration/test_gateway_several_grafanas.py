"""Two Grafanas behind one proxy: the printed files stand side by side, and each gets its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import jwt
import pytest

from embedjwt.config import load_settings
from embedjwt.demo.judge import Judge
from embedjwt.gateway.proxies import Kind, site_for
from embedjwt.grafana.settings import grafana_config
from embedjwt.grafana.verifier import LATEST
from embedjwt.keys.build import key_store, operator
from gateway_proxies import need_proxy, running_proxy
from gateway_service import GatewayService
from gateway_stack import APP, QUERY, SCRIPT, Reply, cookie_of, send
from recording_grafana import RecordingGrafana, recording_grafana
from running_service import free_port

READ_SEVERAL_FILES: tuple[Kind, ...] = ("nginx", "caddy", "traefik")
HOSTS = {"one": "localhost", "two": "a-second-grafana.in-monitoring.localhost"}
HEADERS = {"one": "X-JWT-Assertion", "two": "X-Panel-Token"}
SECRET = "a secret of both that is long enough"


@dataclass(frozen=True)
class Two:
    """What is behind the proxy at ``port``."""

    port: int
    grafanas: dict[str, RecordingGrafana]

    def ask(self, name: str, method: str, target: str, **headers: str) -> Reply:
        """As a script of the Grafana's own page, with its cookie."""
        own = f"{HOSTS[name]}:{self.port}"
        told = {"Host": own, "Origin": f"http://{own}", **headers}
        return send(self.port, method, target, *SCRIPT, *told.items(), body=b"{}")

    def open(self, name: str) -> str:
        """The cookie of a new session at one of them."""
        bearer = jwt.encode(
            {
                "iss": "https://idp.example.com",
                "aud": "app",
                "sub": "j",
                "email": "j@example.com",
                "exp": 4102444800,
            },
            SECRET,
        )
        told = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        answer = self.ask(name, "POST", "/gateway/session", **told, Origin=APP)
        assert answer.status == 200, answer
        return cookie_of(answer)


@pytest.fixture(scope="module", params=READ_SEVERAL_FILES)
def two(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    need_proxy(request.param)
    directory = tmp_path_factory.mktemp(request.param)
    directory.chmod(0o700)
    port, service = free_port(), GatewayService(directory, free_port())
    (directory / "embedjwt.toml").write_text(configuration(request.param, port, service.port))
    settings = load_settings(directory / "embedjwt.toml", {})
    operator(settings, key_store(settings), "test").init()
    with ExitStack() as stack:
        sites, grafanas = [], {}
        for target in settings.grafana:
            grafana = stack.enter_context(recording_grafana(target.header_name))
            printed = grafana_config(settings, target, version=LATEST).text
            grafana.judge = Judge.under(printed, now=service.clock)
            grafanas[target.name] = grafana
            site = site_for(
                settings,
                target,
                grafana_upstream=grafana.url,
                embedjwt_upstream=f"http://127.0.0.1:{service.port}",
                listen=f"127.0.0.1:{port}",
            )
            sites.append(site)
        stack.callback(service.kill)
        service.start()
        stack.enter_context(running_proxy(request.param, directory / "proxy", *sites))
        yield Two(port, grafanas)


def configuration(kind: Kind, port: int, service: int) -> str:
    targets = "".join(
        f'[[grafana]]\nname = "{name}"\nmode = "gateway"\nurl = "http://{host}:{port}"\n'
        f'audience = "{name}"\nheader_name = "{HEADERS[name]}"\n'
        for name, host in HOSTS.items()
    )
    return f"""
        issuer = "http://localhost:{service}"
        [gateway]
        proxy = "{kind}"
        [web]
        allowed_origins = ["{APP}"]
        trusted_proxies = ["127.0.0.1"]
        [[source]]
        type = "jwt"
        issuer = "https://idp.example.com"
        audience = ["app"]
        secret = "{SECRET}"
        algorithms = ["HS256"]
        {targets}
    """


class TestSideBySide:
    def test_each_gets_tokens_for_itself(self, two: Two) -> None:
        for name, grafana in two.grafanas.items():
            assert two.ask(name, "POST", QUERY, Cookie=two.open(name)).status == 200
            came = grafana.recorded[-1]
            assert came.verdict.accepted, came.verdict.detail
            [token] = came.values(HEADERS[name])
            claims = jwt.decode(token, options={"verify_signature": False})
            assert claims["aud"] == name
            [other] = (each for each in two.grafanas if each != name)
            judge = two.grafanas[other].judge
            assert judge is not None
            assert not judge.verdict(token).accepted

    def test_a_session_of_one_is_none_of_the_other(self, two: Two) -> None:
        cookie, before = two.open("one"), len(two.grafanas["two"].recorded)
        assert two.ask("two", "POST", QUERY, Cookie=cookie).status == 401
        assert len(two.grafanas["two"].recorded) == before
