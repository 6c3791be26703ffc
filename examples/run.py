"""Runs one of the examples, with an embedjwt and a Grafana for it, until Ctrl-C.

By hand: ``embedjwt init`` and ``embedjwt serve`` beside the example's ``embedjwt.toml``, and what
``embedjwt grafana-config`` prints in your Grafana. The demo's stand-in takes the place of a Grafana
that you do not name.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import requests
import structlog

from embedjwt.config import Settings, load_settings
from embedjwt.demo.judge import Judge
from embedjwt.demo.servers import NAME, listener, serving
from embedjwt.demo.standin import create_standin
from embedjwt.grafana.settings import grafana_config
from embedjwt.grafana.versions import LATEST
from embedjwt.keys.build import key_store, operator

EXAMPLES = Path(__file__).resolve().parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
PROGRAMS = {
    "html": [sys.executable, "serve.py"],
    "flask": [sys.executable, "app.py"],
    "node": ["node", "server.mjs"],
    "react": ["npm", "start", "--silent"],
}
"""What serves an example's page, in its directory."""

SECRET_FILE = "host-secret"
PATIENCE = 60  # seconds until everything answers
SHUTDOWN = 15  # seconds until a program that was told to has ended


@click.command()
@click.argument("example", type=click.Choice(list(PROGRAMS)))
@click.option(
    "--port",
    envvar="PORT",
    type=click.IntRange(0, 65532),
    default=8000,
    show_default=True,
    help="The page's; embedjwt and others take the next three. Free ones where they are in use.",
)
@click.option("--grafana-url", envvar="GRAFANA_URL", help="Show this Grafana, not the stand-in.")
def main(*, example: str, port: int, grafana_url: str | None) -> None:
    """Run EXAMPLE and say where to look."""
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    page_port, service_port, grafana_port, backend_port = free_ports(port)
    page, service, standin = (f"http://{NAME}:{n}" for n in (page_port, service_port, grafana_port))
    grafana = grafana_url.rstrip("/") if grafana_url else standin
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="embedjwt-example-")))
        settings = set_up(directory, example, page=page, service=service, grafana=grafana)
        printed = grafana_config(settings, settings.grafana[0], version=LATEST).text
        if not grafana_url:
            listening = stack.enter_context(listener(grafana_port))
            grafana_app = create_standin(Judge.under(printed, now=time.time), host_origin=page)
            stack.enter_context(serving(grafana_app, listening))

        def start(command: list[str], place: Path, **more: object) -> subprocess.Popen[bytes]:
            told = {"SERVICE": service, "SECRET_FILE": directory / SECRET_FILE, **more}
            return stack.enter_context(running(command, place, told))

        serve = [sys.executable, "-m", "embedjwt", "serve", "--workers", "1"]
        programs = [start([*serve, "--port", str(service_port)], directory)]
        if example == "react":  # the backend is the Node example's
            programs.append(start(PROGRAMS["node"], EXAMPLES / "node", PORT=backend_port))
        programs.append(
            start(
                PROGRAMS[example],
                EXAMPLES / example,
                PORT=page_port,
                BACKEND=f"http://{NAME}:{backend_port}",
            )
        )
        wait_for([f"{service}/readyz", page], programs, stop)
        if not stop.is_set():
            click.echo(where(example, page, service, grafana, printed if grafana_url else ""))
        while not stop.wait(0.2):
            check_alive(programs)


def free_ports(port: int) -> list[int]:
    """Four ports from ``port`` on, free ones where they are taken or ``port`` is 0."""
    with ExitStack() as stack:
        held = [stack.enter_context(listener(port and port + offset)) for offset in range(4)]
        return [int(listening.getsockname()[1]) for listening in held]


def set_up(directory: Path, example: str, *, page: str, service: str, grafana: str) -> Settings:
    """The example's configuration at the addresses of this run, a secret to share, and keys."""
    text = (EXAMPLES / example / "embedjwt.toml").read_text()
    for number, url in (("8000", page), ("8001", service), ("8002", grafana)):
        text = text.replace(f'"http://localhost:{number}"', f'"{url}"')
    secret_file = directory / SECRET_FILE
    secret_file.touch(mode=0o600)
    secret_file.write_text(secrets.token_urlsafe(32))
    (directory / "embedjwt.toml").write_text(text)
    settings = load_settings(directory / "embedjwt.toml")
    operator(settings, key_store(settings), "example").init()
    return settings


@contextmanager
def running(
    command: list[str], directory: Path, told: Mapping[str, object]
) -> Iterator[subprocess.Popen[bytes]]:
    """A program and all that it starts, until the block ends; ``told`` are more variables."""
    environment = ENVIRONMENT | {name: str(value) for name, value in told.items()}
    program = subprocess.Popen(command, cwd=directory, env=environment, start_new_session=True)
    try:
        yield program
    finally:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGTERM)
        program.wait(SHUTDOWN)


def wait_for(
    urls: list[str], programs: list[subprocess.Popen[bytes]], stop: threading.Event
) -> None:
    """Until all of them answer, or somebody says stop."""
    deadline = time.monotonic() + PATIENCE
    for url in urls:
        while not stop.wait(0.1) and not answers(url):
            check_alive(programs)
            if time.monotonic() > deadline:
                raise click.ClickException(f"{url} does not answer")


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def check_alive(programs: list[subprocess.Popen[bytes]]) -> None:
    for program in programs:
        if program.poll() is not None:
            raise click.ClickException(f"{program.args!r} has ended; why is above")


def where(example: str, page: str, service: str, grafana: str, settings: str) -> str:
    """What the reader needs: where to click, and what their own Grafana has to be told."""
    lines = [""]
    if settings:
        lines += ["  Your Grafana needs these settings, and must reach embedjwt for its keys:", ""]
        lines += [f"    {line}".rstrip() for line in settings.splitlines()]
        lines += [""]
    lines += [
        f"  {example} example   open  {click.style(page, fg='green', bold=True)}",
        f"  embedjwt {service}, Grafana {grafana}. Ctrl-C ends all of it.",
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
