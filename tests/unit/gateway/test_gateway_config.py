"""What ``embedjwt gateway-config`` prints, and that the real programs take it."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner, Result

from embedjwt.cli.gateway_config import command
from embedjwt.config import load_settings
from embedjwt.errors import RequestRefused
from embedjwt.gateway.proxies import KINDS, GatewaySite, Kind, render, site_for
from gateway_proxies import need_proxy, running_proxy
from running_service import free_port
from tests_support import ROOT

DEPLOY = ROOT / "deploy" / "gateway"
SITE = GatewaySite("grafana.example.com", 443, True, frame_ancestors=("https://app.example.com",))

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command beside the example settings, with lines of them replaced."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EMBEDJWT_CONFIG", raising=False)

    def run(*arguments: str, status: int = 0, changes: dict[str, str] | None = None) -> Result:
        text = (DEPLOY / "embedjwt.toml").read_text()
        for line, other in (changes or {}).items():
            assert line in text
            text = text.replace(line, other)
        Path("embedjwt.toml").write_text(text)
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == status, result.output
        return result

    return run


def everything(kind: Kind, site: GatewaySite) -> str:
    return "".join(render(kind, site).values())


def test_deploy_holds_what_is_printed() -> None:
    settings = load_settings(DEPLOY / "embedjwt.toml")
    site = site_for(settings, settings.grafana[0])
    for kind in KINDS:
        printed = render(kind, site)
        assert {file.name: file.read_text() for file in (DEPLOY / kind).iterdir()} == printed


@pytest.mark.parametrize("kind", KINDS)
def test_the_settings_arrive(kind: Kind) -> None:
    site = GatewaySite(
        host="panels.example.org",
        port=8443,
        https=True,
        header_name="X-Panel-Token",
        frame_ancestors=("https://a.example.org", "http://localhost:5173"),
        grafana_upstream="http://10.0.0.7:3001",
        embedjwt_upstream="http://embed.internal:8081",
        tls_cert="/certs/panels.pem",
        tls_key="/certs/panels.key",
        identity_headers=("Remote-User",),
    )
    text = everything(kind, site)
    assert "X-JWT-Assertion" not in text.replace("X_JWT_Assertion", "")
    assert "'self' https://a.example.org http://localhost:5173\"" in text
    for wanted in ("panels.example.org", "8443", "x-panel-token", "remote-user", "/certs/panels"):
        assert wanted in text.lower()
    for host, port in (("10.0.0.7", 3001), ("embed.internal", 8081)):
        assert f"{host}:{port}" in text or f'"{host}", port_value: {port}' in text


@pytest.mark.parametrize("kind", KINDS)
def test_listen_is_where_it_listens(kind: Kind) -> None:
    text = everything(kind, replace(SITE, listen="127.0.0.2:9443"))
    assert "127.0.0.2" in text
    assert "9443" in text


REFUSED: dict[str, dict[str, Any]] = {
    "header with a quote": {"header_name": "X'Y"},
    "header with a dollar": {"header_name": "X-$host"},
    "header with a dot": {"header_name": "X.Y"},
    "header of many dashes": {"header_name": "A-b-c-d-e-f"},
    "host with a brace": {"host": "grafana{}.example.com"},
    "host with a space": {"host": "grafana example"},
    "host with a line": {"host": "grafana.example.com\n}"},
    "base path with a semicolon": {"base_path": "/a;b"},
    "origin with a quote": {"frame_ancestors": ("https://app.example.com'",)},
    "origin with a semicolon": {"frame_ancestors": ("https://a.example.com;script-src *",)},
    "origin with a path": {"frame_ancestors": ("https://a.example.com/x",)},
    "identity header with a line": {"identity_headers": ("X-User\n",)},
    "certificate with a space": {"tls_cert": "/certs/a b.pem"},
    "certificate with a quote": {"tls_key": '/certs/"a"'},
    "relative certificate": {"tls_cert": "a.pem"},
    "upstream with a path": {"grafana_upstream": "http://127.0.0.1:3000/grafana"},
    "upstream over https": {"embedjwt_upstream": "https://embed.example.com"},
    "upstream with a user": {"grafana_upstream": "http://me@127.0.0.1:3000"},
    "upstream with a wild port": {"grafana_upstream": "http://127.0.0.1:99999"},
    "upstream without a scheme": {"grafana_upstream": "127.0.0.1:3000"},
    "listening on a name": {"listen": "localhost:80"},
    "listening without a port": {"listen": "127.0.0.1"},
    "listening on port 0": {"listen": "127.0.0.1:0"},
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_written_safely_is_refused(case: str) -> None:
    for kind in KINDS:
        with pytest.raises(RequestRefused):
            render(kind, replace(SITE, **REFUSED[case]))


@pytest.mark.parametrize("host", ["::1", "2001:db8::1"])
def test_an_ipv6_host_is_bracketed(host: str) -> None:
    for kind in KINDS:
        assert host in everything(kind, replace(SITE, host=host, listen="[::1]:443"))
    assert replace(SITE, host=host).url == f"https://[{host}]"


def test_twins_are_every_underscore_for_a_dash() -> None:
    twins = replace(SITE, header_name="X-JWT-Assertion").header_twins
    assert set(twins) == {"X_JWT-Assertion", "X-JWT_Assertion", "X_JWT_Assertion"}


def test_one_file_is_printed_as_it_is(run: Run) -> None:
    assert run("nginx").stdout == (DEPLOY / "nginx" / "embedjwt-gateway.conf").read_text()


def test_several_files_are_told_apart(run: Run) -> None:
    lines = run("haproxy").stdout.splitlines()
    assert "# --- haproxy.cfg ---" in lines
    assert "-- --- embedjwt.lua ---" in lines


def test_output_writes_every_file_and_replaces_none(run: Run, tmp_path: Path) -> None:
    run("traefik", "--output", "out")
    written = {file.name: file.read_text() for file in (tmp_path / "out").iterdir()}
    expected = {file.name: file.read_text() for file in (DEPLOY / "traefik").iterdir()}
    assert written == expected
    assert "is there already" in run("traefik", "--output", "out", status=1).stderr


def test_json(run: Run) -> None:
    printed = json.loads(run("caddy", "--json").stdout)
    assert printed["proxy"] == "caddy"
    assert set(printed["files"]) == {"Caddyfile"}
    assert 'write proxy = "caddy"' in printed["warnings"][0]


WARNINGS = {
    "another proxy": ({'proxy = "nginx"': 'proxy = "envoy"'}, 'write proxy = "nginx"'),
    "no gateway": ({'[gateway]\nproxy = "nginx"': ""}, "the gateway is off"),
    "no trusted proxies": ({'trusted_proxies = ["127.0.0.1"]': ""}, "trusted_proxies is empty"),
    "url mode": ({'mode = "gateway"': 'mode = "url"'}, "does not serve the Grafana 'default'"),
    "no origins": ({'allowed_origins = ["https://app.example.com"]': ""}, "allowed_origins is"),
}


@pytest.mark.parametrize("case", WARNINGS)
def test_settings_that_would_refuse_everything_are_named(run: Run, case: str) -> None:
    changes, warning = WARNINGS[case]
    assert warning in run("nginx", changes=changes).stderr


def test_settings_that_fit_are_not_warned_of(run: Run) -> None:
    assert run("nginx").stderr == ""


def test_headers_of_a_proxy_source_may_come_from_no_client(run: Run) -> None:
    source = '[[source]]\ntype = "proxy"\npreset = "authelia"\nuser_header = "X-Our-User"\n'
    printed = run("envoy", changes={"[[source]]\n": source + "\n[[source]]\n"}).stdout
    assert 'remove: "remote-groups"' in printed
    assert 'remove: "x-our-user"' in printed


@pytest.mark.parametrize("kind", KINDS)
def test_the_real_program_serves_https_and_refuses_without_embedjwt(
    kind: Kind, tmp_path: Path
) -> None:
    need_proxy(kind)
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(chain)
    certificate.private_key_pem.write_to_path(key)
    port, nobody = free_port(), free_port()
    site = GatewaySite(
        host="localhost",
        port=port,
        https=True,
        listen=f"127.0.0.1:{port}",
        grafana_upstream=f"http://127.0.0.1:{nobody}",
        embedjwt_upstream=f"http://127.0.0.1:{nobody}",
        tls_cert=str(chain),
        tls_key=str(key),
        identity_headers=("Remote-User",),
    )
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with running_proxy(kind, tmp_path / kind, site):
        connection = http.client.HTTPSConnection("localhost", port, context=context)
        connection.request("GET", "/d-solo/x")
        assert connection.getresponse().status in (500, 502, 503)
        connection.close()
