"""``embedjwt gateway-config``: the configuration of a reverse proxy in front of Grafana."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from embedjwt.cli.common import (
    config_option,
    grafana_option,
    json_option,
    print_json,
    refusals_shown,
    settings_and_target,
    usage_error,
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
@click.option("--tls-key", metavar="PATH", help="Its key; not for haproxy.")
@click.option(
    "--listen", metavar="ADDR", help="Where the proxy listens  [default: the port of the url]"
)
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the files there.",
)
@click.option("--force", is_flag=True, help="With --output: replace files that are there.")
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
    force: bool,
    as_json: bool,
) -> None:
    """Print the configuration of a proxy that asks embedjwt on each request to Grafana."""
    from embedjwt.gateway.proxies import comment, render, site_for

    _check_certificate(proxy, tls_cert, tls_key)
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
    if tls_cert is not None and not site.https:
        warnings.append(f"--tls-cert is not used: browsers reach {target.url} without TLS")
    if output is not None:
        _write(output, files, force=force)
    if as_json:
        print_json({"proxy": proxy, "files": files, "warnings": warnings})
        return
    for name, text in files.items():
        if output is not None:
            click.echo(str(output / name))
            continue
        if len(files) > 1:
            click.echo(comment(name, f"--- {name} ---"))
        click.echo(text, nl=False)
    for warning in warnings:
        warn(warning)


def _check_certificate(proxy: Kind, cert: str | None, key: str | None) -> None:
    if proxy == "haproxy":
        if key is not None:
            usage_error("haproxy reads certificate and key from one file: name it as --tls-cert")
    elif (cert is None) != (key is None):
        given, missing = ("--tls-cert", "--tls-key") if key is None else ("--tls-key", "--tls-cert")
        usage_error(f"{given} needs {missing} beside it")


def _write(directory: Path, files: dict[str, str], *, force: bool) -> None:
    """Readable by the proxy: there is nothing secret in them."""
    from embedjwt.cli.new_files import already_there, new_files
    from embedjwt.keys.files import PUBLIC

    new = {directory / name: text for name, text in files.items()}
    new = {path: text for path, text in new.items() if not _holds(path, text)}
    there = [path for path in new if path.exists()]
    if there and not force:
        raise already_there(there[0], remedy="replace it with --force, or ")
    with new_files(PUBLIC, replace=force) as write:
        for path, text in new.items():
            write(path, text)


def _holds(path: Path, text: str) -> bool:
    """As a file that the configurations of two Grafanas share, when the second is written."""
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


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
    for other in settings.behind_gateway:
        if other != target and urlsplit(other.url).netloc == urlsplit(target.url).netloc:
            yield (
                f"the Grafana {other.name!r} is at the same host: put its lines for Grafana into "
                "this configuration by hand, by path, for a proxy takes one site a host"
            )
    if not settings.web.allowed_origins:
        yield (
            "[web] allowed_origins is empty: only Grafana's own pages may frame Grafana; write "
            'allowed_origins = ["https://app.example.com"]'
        )
