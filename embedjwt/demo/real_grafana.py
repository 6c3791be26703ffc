"""A real Grafana for the demo: started from its own directory, with settings of ours."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests

from embedjwt.demo.panels import dashboard_json, source_type
from embedjwt.errors import EmbedJWTError, RequestRefused
from embedjwt.grafana.versions import Version, parse_version

_START_TIMEOUT = 120  # seconds; the first start migrates a database
_STOP_TIMEOUT = 15


class DemoFailed(EmbedJWTError):
    """The demo cannot run as it was asked to."""

    code = "demo_failed"


def server_command(home: Path) -> list[str]:
    """How the Grafana in this directory is started. Raises ``DemoFailed`` where there is none."""
    if (home / "bin" / "grafana").is_file():
        return [str(home / "bin" / "grafana"), "server"]
    if (home / "bin" / "grafana-server").is_file():
        return [str(home / "bin" / "grafana-server")]
    raise DemoFailed(
        f"{home} holds no Grafana",
        hint="name the directory that holds bin/grafana and conf/, such as /usr/share/grafana",
    )


def grafana_version(home: Path) -> Version:
    """The version of the Grafana in this directory. Raises ``DemoFailed`` where it tells none."""
    command = [*server_command(home), "-v"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        number = re.search(r"\d+\.\d+", told.stdout + told.stderr)
        return parse_version(number[0] if number else "")
    except (OSError, subprocess.TimeoutExpired, RequestRefused) as error:
        raise DemoFailed(
            f"{command[0]} -v does not tell a version that has JWT authentication",
            hint="Grafana has it since 8.0",
        ) from error


@contextmanager
def running_grafana(
    home: Path,
    *,
    version: Version,
    url: str,
    printed: str,
    directory: Path,
    stop: threading.Event,
) -> Iterator[None]:
    """Runs Grafana at ``url`` until the block ends, with the dashboard of the demo.

    ``printed`` is what ``grafana-config`` prints; everything Grafana writes stays in ``directory``.
    Raises ``DemoFailed`` where it does not come up.
    """
    _write_dashboard(directory, version)
    ini = _write_settings(directory, url=url, printed=printed)
    command = [*server_command(home), "--homepath", str(home.resolve()), "--config", str(ini)]
    log = directory / "grafana.log"
    environment = {**os.environ, "GF_SECURITY_ADMIN_PASSWORD": secrets.token_urlsafe(24)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_healthy(process, url, log, stop)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _write_dashboard(directory: Path, version: Version) -> None:
    provisioning = directory / "provisioning"
    dashboards = directory / "dashboards"
    for folder in (provisioning / "datasources", provisioning / "dashboards", dashboards):
        folder.mkdir(parents=True)
    kind = source_type(version)
    source = f"{{name: TestData, uid: embedjwt-demo, type: {kind}, isDefault: true}}"
    (provisioning / "datasources" / "testdata.yaml").write_text(
        f"apiVersion: 1\ndatasources:\n  - {source}\n"
    )
    provider = f"apiVersion: 1\nproviders:\n  - {{name: demo, options: {{path: '{dashboards}'}}}}\n"
    (provisioning / "dashboards" / "demo.yaml").write_text(provider)
    (dashboards / "line-3.json").write_text(json.dumps(dashboard_json(version)))


def _write_settings(directory: Path, *, url: str, printed: str) -> Path:
    ini = directory / "grafana.ini"
    ini.write_text(
        f"""\
; development: Grafana then takes the JWKS from http on this machine
app_mode = development

[server]
http_addr = 127.0.0.1
http_port = {urlsplit(url).port}
root_url = {url}/

[paths]
data = {directory / "data"}
logs = {directory / "logs"}
plugins = {directory / "plugins"}
provisioning = {directory / "provisioning"}

[analytics]
reporting_enabled = false
check_for_updates = false
check_for_plugin_updates = false

[news]
news_feed_enabled = false

[plugins]
preinstall_disabled = true

{printed}"""
    )
    return ini


def _wait_until_healthy(
    process: subprocess.Popen[bytes], url: str, log: Path, stop: threading.Event
) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None and not stop.is_set():
        try:
            if requests.get(f"{url}/api/health", timeout=2).status_code == requests.codes.ok:
                return
        except requests.RequestException:
            pass  # not listening yet
        stop.wait(0.3)
    if not stop.is_set():
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        raise DemoFailed("Grafana did not come up", hint=f"the end of its log:\n{tail}")
