"""``embedjwt demo``: everything in one process, and nothing left behind."""

from __future__ import annotations

import logging
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import click
import structlog

from embedjwt import create_app
from embedjwt.config import Settings
from embedjwt.demo.host import Explain, Surroundings, create_host
from embedjwt.demo.judge import Judge
from embedjwt.demo.people import demo_settings
from embedjwt.demo.real_grafana import (
    DemoFailed,
    grafana_version,
    running_grafana,
)
from embedjwt.demo.servers import NAME, free_port, listener, serving, url_of
from embedjwt.demo.standin import create_standin
from embedjwt.explain import explain
from embedjwt.grafana.settings import grafana_config
from embedjwt.grafana.versions import HTTP_KEYS_SINCE, LATEST
from embedjwt.identity import Documents, VerifiedClaims
from embedjwt.keys.build import key_store, operator
from embedjwt.log import configure_logging

_STANDIN = "a stand-in that verifies tokens as Grafana does"
_NAMED = "the Grafana you named"
_STARTED = "a real Grafana, started for this demo"

__all__ = ["DemoFailed", "DemoUrls", "banner", "run_demo"]


@dataclass(frozen=True, slots=True)
class DemoUrls:
    """Where to look, as base URLs, and what Grafana has to be told.

    ``port_taken`` is the port that was asked for and belongs to somebody else, or ``None``.
    """

    host: str
    service: str
    grafana: str
    grafana_is: str
    grafana_ini: str
    port_taken: int | None

    def as_json(self) -> dict[str, Any]:
        """For ``embedjwt demo --json``."""
        return asdict(self)


def run_demo(
    *,
    port: int = 8080,
    grafana_url: str | None = None,
    grafana_home: Path | None = None,
    ready: Callable[[DemoUrls], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Runs until ``stop`` is set, or a signal asks to end; then everything is gone again.

    The host application takes ``port``, the service the next one, the stand-in the one after;
    free ones where those are taken. ``ready`` is told where everything is; without it a banner is
    printed. Raises :class:`EmbedJWTError` where the demo cannot run.
    """
    stop = stop or threading.Event()
    version = LATEST if grafana_home is None else grafana_version(grafana_home)
    with ExitStack() as stack:
        stack.enter_context(_stopped_by_signals(stop))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="embedjwt-demo-")))
        sockets = [stack.enter_context(listener(port and port + offset)) for offset in range(3)]
        host, service, standin = map(url_of, sockets)
        grafana = standin
        if grafana_home is not None:
            grafana = f"http://{NAME}:{free_port()}"
        elif grafana_url is not None:
            grafana = grafana_url.rstrip("/")
        secret_key = secrets.token_urlsafe(32)
        settings = demo_settings(
            host=host,
            service=service,
            grafana=grafana,
            secret_key=secret_key,
            keys=directory / "jwks",
        )
        jwks: Literal["url", "file"] = "url" if version >= HTTP_KEYS_SINCE else "file"
        printed = grafana_config(settings, settings.grafana[0], version=version, jwks=jwks).text
        where = Surroundings(host, service, grafana, standin, printed)
        _be_quiet()
        _make_keys(settings)
        jwks_url = f"{service}/.well-known/jwks.json"
        judge = Judge.under(printed, version=version, now=time.time, jwks_url=jwks_url)
        apps = (
            create_host(where, secret_key=secret_key, explain=_explainer(settings)),
            create_app(settings),
            create_standin(judge, host_origin=host),
        )
        for app, listening in zip(apps, sockets, strict=True):
            stack.enter_context(serving(app, listening))
        if grafana_home is not None:
            runs = running_grafana(
                grafana_home,
                version=version,
                url=grafana,
                printed=printed,
                directory=directory,
                stop=stop,
            )
            stack.enter_context(runs)
        if not stop.is_set():
            kind = _STARTED if grafana_home else _NAMED if grafana_url else _STANDIN
            moved = bool(port) and not host.endswith(f":{port}")
            urls = DemoUrls(host, service, grafana, kind, printed, port if moved else None)
            (ready or _print_banner)(urls)
            stop.wait()


def banner(urls: DemoUrls) -> str:
    """What a person at the terminal needs: where to click, and how to end it."""
    mark = click.style("embedjwt demo", bold=True)
    rows = [
        ("host app", urls.host, "a customer portal with somebody signed in"),
        ("embedjwt", urls.service, "the service itself; /.well-known/jwks.json has its keys"),
        ("grafana", urls.grafana, urls.grafana_is),
    ]
    lines = ["", f"  {mark}   open  {click.style(urls.host, fg='green', bold=True)}", ""]
    lines += [f"  {name:<10}{url:<26}{click.style(text, dim=True)}" for name, url, text in rows]
    lines += ["", "  Switch between Vera, Ed and Nora at the top; watch the token being renewed;"]
    lines += ["  try to get around it at the bottom. Ctrl-C ends it and leaves nothing behind."]
    if urls.port_taken is not None:
        lines += ["", f"  Port {urls.port_taken} is in use, so a free one was taken instead."]
    if urls.grafana_is == _NAMED:
        lines += ["", "  That Grafana needs these settings, app_mode = development (the keys come"]
        lines += [f"  over http here), and the dashboard at {urls.host}/dashboard.json:", ""]
        lines += [f"    {line}".rstrip() for line in urls.grafana_ini.splitlines()]
    return "\n".join([*lines, ""])


def _print_banner(urls: DemoUrls) -> None:
    click.echo(banner(urls))


def _make_keys(settings: Settings) -> None:
    operator(settings, key_store(settings), "demo").init()


def _explainer(settings: Settings) -> Explain:
    def explained(claims: dict[str, Any]) -> dict[str, Any]:
        documents = Documents(id_token=VerifiedClaims(claims))
        return explain(settings, documents, settings.grafana[0]).as_json()

    return explained


def _be_quiet() -> None:
    """Refusals are part of the show; only failures belong on the terminal."""
    configure_logging()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the demo in good order (signals reach the main thread only)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(name, lambda *_: stop.set()) for name in names]
    try:
        yield
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)
