"""What a proxy's configuration is made of: all of it arrives; what is not safe is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from embedjwt.errors import RequestRefused
from embedjwt.gateway.proxies import KINDS, GatewaySite, Kind, render, unavailable

SITE = GatewaySite("grafana.example.com", 443, True, frame_ancestors=("https://app.example.com",))


def everything(kind: Kind, site: GatewaySite) -> str:
    return "".join(render(kind, site).values())


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


CIRCLES: dict[str, dict[str, Any]] = {
    "the url": {"grafana_upstream": "http://grafana.example.com:443"},
    "the url, in capitals": {"grafana_upstream": "http://GRAFANA.example.com:443"},
    "the proxy's port": {"grafana_upstream": "http://localhost:443"},
    "embedjwt at the proxy's port": {"embedjwt_upstream": "http://127.0.0.1:443"},
    "where the proxy listens": {
        "grafana_upstream": "http://10.0.0.1:8443",
        "listen": "10.0.0.1:8443",
    },
    "behind a port mapping": {
        "grafana_upstream": "http://grafana.example.com:8443",
        "listen": "8443",
    },
}


@pytest.mark.parametrize("case", CIRCLES)
def test_requests_never_go_in_a_circle(case: str) -> None:
    with pytest.raises(RequestRefused, match="is the proxy itself"):
        render("nginx", replace(SITE, **CIRCLES[case]))


@pytest.mark.parametrize(
    "changes",
    [
        {"grafana_upstream": "http://grafana.example.com:3000"},
        {"grafana_upstream": "http://127.0.0.1:3000", "listen": "10.0.0.1:3000"},
        {"grafana_upstream": "http://10.0.0.2:443"},
    ],
    ids=["same name, other port", "same port, other address", "another machine"],
)
def test_an_upstream_beside_the_proxy_is_none(changes: dict[str, Any]) -> None:
    render("nginx", replace(SITE, **changes))


@pytest.mark.parametrize("kind", KINDS)
def test_two_grafanas_share_no_name_of_a_part(kind: Kind) -> None:
    """Dashes, dots and ports that a word of letters would not tell apart, are."""
    sites = [replace(SITE, host="a-b.example"), replace(SITE, host="a.b.example")]
    sites.append(replace(SITE, host="a-b.example", port=8443))
    names = [site.name for site in sites]
    assert names == ["a-b.example", "a.b.example", "a-b.example_8443"]
    shared = set.intersection(*(set(render(kind, site)) for site in sites))
    assert shared == SHARED[kind]
    for site in sites:
        assert f"grafana-{site.name}" in everything(kind, site) or kind == "caddy"


SHARED = {
    "nginx": set(),
    "caddy": {"Caddyfile"},
    "traefik": {"traefik.yml"},
    "haproxy": {"haproxy.cfg", "embedjwt.lua"},
    "envoy": {"envoy.yaml"},
}


@pytest.mark.parametrize("host", ["::1", "2001:db8::1"])
def test_an_ipv6_host_is_bracketed(host: str) -> None:
    for kind in KINDS:
        assert host in everything(kind, replace(SITE, host=host, listen="[::1]:443"))
    assert replace(SITE, host=host).url == f"https://[{host}]"


def test_twins_are_every_underscore_for_a_dash() -> None:
    twins = replace(SITE, header_name="X-JWT-Assertion").header_twins
    assert set(twins) == {"X_JWT-Assertion", "X-JWT_Assertion", "X_JWT_Assertion"}


@pytest.mark.parametrize("text", [unavailable.PAGE, unavailable.PROBLEM], ids=["page", "problem"])
def test_what_a_proxy_says_by_itself_needs_no_quoting(text: str) -> None:
    assert not set("'`$\\\n") & set(text)
