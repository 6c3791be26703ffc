"""``embedjwt serve``: the service on granian."""

from __future__ import annotations

import multiprocessing
import os
import socket
import ssl
from pathlib import Path
from socket import SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET

import click

from embedjwt.cli.common import config_option, refusals_shown, warn
from embedjwt.config import load_settings
from embedjwt.config.environment import CONFIG_FILE, SERVE_THREADS
from embedjwt.errors import EmbedJWTError

_PEM = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@config_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=2,
    show_default=True,
    help="Processes; one per core.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    help="Threads per process; more of them cost throughput.  [default: 1, or 32 where a request "
    "may have to wait: for a provider (oidc, introspection), or for the gateway's state store]",
)
@click.option("--tls-cert", type=_PEM, help="Certificate chain, PEM.")
@click.option("--tls-key", type=_PEM, help="Its private key, PEM.")
@refusals_shown
def command(
    *,
    config: Path | None,
    host: str,
    port: int,
    workers: int,
    threads: int | None,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> None:
    """Run the service until it is told to stop (SIGTERM, SIGINT: requests under way finish)."""
    from granian.constants import Interfaces
    from granian.server import Server

    from embedjwt.log import configure_logging
    from embedjwt.service import build_service
    from embedjwt.sources import build_sources

    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    settings = load_settings(config)
    # What would fail in a worker fails here first, once, with a text for a person.
    service = build_service(settings)
    service.keys.signing_key()
    build_sources(settings)
    for concern in service.concerns():
        warn(concern)
    _check_address(host, port)
    if tls_cert is not None and tls_key is not None:
        _check_certificate(tls_cert, tls_key)
    if config is not None:
        os.environ[CONFIG_FILE] = str(config.absolute())  # the workers read it again
    if threads is None:  # a request that waits must not keep all others waiting
        threads = 32 if settings.asks_providers or settings.behind_gateway else 1
    os.environ[SERVE_THREADS] = str(threads)
    configure_logging()
    # A forked worker would inherit the parent's signal handlers, and lose a stop that comes early.
    multiprocessing.set_start_method("spawn", force=True)
    scheme = "https" if tls_cert else "http"
    click.echo(f"embedjwt listens on {scheme}://{host}:{port}, issuer {settings.issuer}", err=True)
    Server(
        "embedjwt.cli.worker:load",
        factory=True,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        workers=workers,
        websockets=False,
        ssl_cert=tls_cert,
        ssl_key=tls_key,
        log_enabled=False,
        respawn_failed_workers=True,
        workers_kill_timeout=30,
    ).serve()


def _check_certificate(certificate: Path, key: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise EmbedJWTError(
            f"{certificate} and {key} cannot be used for TLS",
            hint=f"they must be PEM, belong together, and the key unencrypted ({error})",
            code="certificate_unusable",
        ) from error


def _check_address(host: str, port: int) -> None:
    """Tells of an address that cannot be used, before workers fail at it one by one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise EmbedJWTError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            hint="stop what listens there, or choose another --host or --port",
            code="address_unusable",
        ) from error
