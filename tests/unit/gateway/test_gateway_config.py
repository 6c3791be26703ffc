"""What ``embedjwt gateway-config`` prints, and that the real programs take it."""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result

from embedjwt.cli.gateway_config import command
from embedjwt.config import load_settings
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


def test_deploy_holds_what_is_printed() -> None:
    settings = load_settings(DEPLOY / "embedjwt.toml")
    site = site_for(settings, settings.grafana[0])
    for kind in KINDS:
        printed = render(kind, site)
        assert {file.name: file.read_text() for file in (DEPLOY / kind).iterdir()} == printed


def test_one_file_is_printed_as_it_is(run: Run) -> None:
    assert (
        run("nginx").stdout == (DEPLOY / "nginx" / f"embedjwt-gateway-{SITE.host}.conf").read_text()
    )


def test_several_files_are_told_apart(run: Run) -> None:
    lines = run("haproxy").stdout.splitlines()
    assert "# --- haproxy.cfg ---" in lines
    assert "-- --- embedjwt.lua ---" in lines


def files_in(directory: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in directory.iterdir()}


def test_output_writes_every_file_and_replaces_none_unasked(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("traefik", "--output", "out")
    assert files_in(out) == files_in(DEPLOY / "traefik")
    (out / "traefik.yml").write_text("of their own")
    refused = run("traefik", "--output", "out", status=1).stderr
    assert "traefik.yml is there already" in refused
    assert "--force" in refused
    assert (out / "traefik.yml").read_text() == "of their own"
    run("traefik", "--output", "out", "--force")
    assert files_in(out) == files_in(DEPLOY / "traefik")


@pytest.mark.parametrize("kind", ["nginx", "caddy", "traefik"])
def test_the_files_of_two_grafanas_go_into_one_directory(
    run: Run, tmp_path: Path, kind: Kind
) -> None:
    first = "[[grafana]]"
    second = '[[grafana]]\nname = "two"\nmode = "gateway"\nurl = "https://two.example.com"\n'
    for name in ("default", "two"):
        run(kind, "--grafana", name, "--output", "out", changes={first: second + first})
    written = set(files_in(tmp_path / "out"))
    assert {name for name in written if "two.example.com" in name}
    assert {name for name in written if "grafana.example.com" in name}


@pytest.mark.parametrize("force", [False, True])
def test_the_proxy_may_read_what_is_written(run: Run, tmp_path: Path, force: bool) -> None:
    """There is no secret in it; the umask has its say."""
    before = os.umask(0o027)
    try:
        if force:
            run("nginx", "--output", "out")
        run("nginx", "--output", "out", *(["--force"] if force else []))
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "out").iterdir()} == {0o640}


CERT, KEY = ("--tls-cert", "/certs/a.pem"), ("--tls-key", "/certs/a.key")


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("nginx", CERT, "--tls-cert needs --tls-key"),
        ("envoy", KEY, "--tls-key needs --tls-cert"),
        ("haproxy", (*CERT, *KEY), "from one file"),
    ],
    ids=["cert alone", "key alone", "haproxy key"],
)
def test_half_a_certificate_is_refused(
    run: Run, kind: Kind, options: tuple[str, ...], said: str
) -> None:
    assert said in run(kind, *options, status=2).stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_certificate_is_taken(run: Run, kind: Kind) -> None:
    assert CERT[1] in run(kind, *CERT, *(() if kind == "haproxy" else KEY)).stdout


def test_a_certificate_without_tls_is_warned_of(run: Run) -> None:
    plain = {"https://grafana.example.com": "http://localhost:8443"}
    assert "--tls-cert is not used" in run("nginx", *CERT, *KEY, changes=plain).stderr


def test_a_second_grafana_at_the_same_host_is_warned_of(run: Run) -> None:
    first = '[[grafana]]\nurl = "https://grafana.example.com"'
    second = (
        '[[grafana]]\nname = "two"\nmode = "gateway"\nurl = "https://grafana.example.com/two"\n'
    )
    elsewhere = second.replace("grafana.example.com", "other.example.com")
    for other, warned in ((second, True), (elsewhere, False)):
        said = run("nginx", "--grafana", "default", changes={first: other + first}).stderr
        assert ("'two' is at the same host" in said) is warned


def test_json(run: Run) -> None:
    printed = json.loads(run("caddy", "--json").stdout)
    assert printed["proxy"] == "caddy"
    assert set(printed["files"]) == {"Caddyfile", f"embedjwt-gateway-{SITE.host}.caddy"}
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
