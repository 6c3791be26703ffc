"""``embedjwt gateway-config``: the configuration of a reverse proxy in front of Grafana."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedjwt.cli.common import (
    config_option,
    grafana_option,
    json_option,
    print_json,
    refusals_shown,
    settings_and_target,
    warn,
)

if TYPE_CHECKING:
    from embedjwt.config import GrafanaTarget, Settings
    from embedjwt.gateway.proxies import Kind

_KINDS = ("nginx", "caddy", "traefik", "haproxy", "envoy")
_GRAFANA = "http://127.0.0.1:3000"
_EMBEDJWT = "http://127.0.0.1:8080"


@click.command()
@click.argument("proxy", type=click.Choice(_KINDS))
@config_option
@grafana_option
@click.option(
    "--grafana-upstream",
    metavar="URL",
    default=_GRAFANA,
    show_default=True,
    help="Grafana, as the proxy reaches it.",
)
@click.option(
    "--embedjwt-upstream",
    metavar="URL",
    default=_EMBEDJWT,
    show_default=True,
    help="embedjwt, as the proxy reaches it.",
)
@click.option("--tls-cert", metavar="PATH", help="The certificate, on the proxy's machine.")
@click.option("--tls-key", metavar="PATH", help="Its key.")
@click.option(
    "--listen", metavar="ADDR", help="Where the proxy listens  [default: the port of the url]"
)
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the files there; none is replaced.",
)
@json_option
@refusals_shown
def command(
    *,
    proxy: Kind,
    config: Path | None,
    grafana: str | None,
    grafana_upstream: str,
    embedjwt_upstream: str,
    tls_cert: str | None,
    tls_key: str | None,
    listen: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Print the configuration of a proxy that asks embedjwt on each request to Grafana."""
    from embedjwt.cli.new_files import new_files
    from embedjwt.gateway.proxies import comment, render, site_for

    settings, target = settings_and_target(config, grafana)
    site = site_for(
        settings,
        target,
        grafana_upstream=grafana_upstream,
        embedjwt_upstream=embedjwt_upstream,
        tls_cert=tls_cert,
        tls_key=tls_key,
        listen=listen,
    )
    files = render(proxy, site)
    warnings = list(_warnings(proxy, settings, target))
    if output is not None:
        with new_files() as write:
            for name, text in files.items():
                write(output / name, text)
    if as_json:
        print_json({"proxy": proxy, "files": files, "warnings": warnings})
        return
    for name, text in files.items():
        if output is not None:
            click.echo(str(output / name))
            continue
        if len(files) > 1:
            click.echo(comment(proxy, name, f"--- {name} ---"))
        click.echo(text, nl=False)
    for warning in warnings:
        warn(warning)


def _warnings(proxy: Kind, settings: Settings, target: GrafanaTarget) -> Iterator[str]:
    configured = settings.gateway.proxy
    if configured is None:
        yield f'the gateway is off: write [gateway] proxy = "{proxy}"'
    elif configured != proxy:
        yield (
            f'[gateway] proxy = "{configured}", so what {proxy} says of a request is not believed '
            f'and everything is refused: write proxy = "{proxy}"'
        )
    if not settings.web.trusted_proxies:
        yield (
            "[web] trusted_proxies is empty, so everything is refused: write the address that "
            'the proxy connects from, such as trusted_proxies = ["127.0.0.1"]'
        )
    if target.mode != "gateway":
        yield (
            f"the gateway does not serve the Grafana {target.name!r}: write "
            f'mode = "gateway" in its [[grafana]]'
        )
    if not settings.web.allowed_origins:
        yield (
            "[web] allowed_origins is empty: only Grafana's own pages may frame Grafana; write "
            'allowed_origins = ["https://app.example.com"]'
        )
