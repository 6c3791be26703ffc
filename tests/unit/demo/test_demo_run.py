"""The whole demo as a process: it comes up, works over HTTP, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from embedjwt.demo import DemoUrls, banner
from embedjwt.demo.servers import listener

URLS = DemoUrls(
    host="http://localhost:8080",
    service="http://localhost:8081",
    grafana="http://localhost:8082",
    grafana_is="a stand-in that verifies tokens as Grafana does",
    grafana_ini="[auth.jwt]\n",
    port_taken=None,
)


@contextmanager
def demo(tmp_path: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [sys.executable, "-W", "error", "-m", "embedjwt", "demo", "--json", *arguments]
    with subprocess.Popen(
        command,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("}"):
                    break
            yield process, json.loads("".join(lines))
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_shows_a_panel_and_ends_clean(tmp_path: Path, ending: signal.Signals) -> None:
    with demo(tmp_path, "--port", "0") as (process, urls):
        browser = requests.Session()
        with browser:
            assert "Line 3" in browser.get(urls["host"], timeout=10).text
            answer = browser.post(
                f"{urls['service']}/v1/embed-token",
                json={"panel": {"dashboard": "acme-line-3", "panel": 2}},
                headers={"Origin": urls["host"]},
                timeout=10,
            ).json()
            panel = requests.get(answer["embed_url"], timeout=10)
            assert panel.url.startswith(f"{urls['grafana']}/d-solo/")
            assert "Spindle temperature" in panel.text
            explained = browser.get(f"{urls['host']}/explain", timeout=10).json()
            assert explained["identity"]["login"] == "vera"
        process.send_signal(ending)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_takes_free_ports_where_one_is_in_use(tmp_path: Path) -> None:
    with listener(0) as taken:
        port = taken.getsockname()[1]
        with demo(tmp_path, "--port", str(port)) as (process, urls):
            assert urls["port_taken"] == port
            assert not urls["host"].endswith(f":{port}")
            assert requests.get(urls["host"], timeout=10).ok
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)


def test_a_browser_would_reach_somebody_else_on_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with socket.socket(socket.AF_INET6) as other:
        try:
            other.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 loopback here")
        other.listen()
        port = other.getsockname()[1]
        with listener(port) as ours:
            assert ours.getsockname()[1] != port


def test_frames_a_grafana_that_is_named(tmp_path: Path) -> None:
    named = "http://localhost:3999/grafana"
    with demo(tmp_path, "--port", "0", "--grafana-url", f"{named}/") as (process, urls):
        page = requests.get(urls["host"], timeout=10)
        # with a path and no slash at its end a policy would allow that one page
        assert "frame-src http://localhost:3999/;" in page.headers["Content-Security-Policy"]
        assert urls["grafana"] == named
        assert f"jwk_set_url = {urls['service']}/.well-known/jwks.json" in urls["grafana_ini"]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--grafana-home", "."], "holds no Grafana"),
        (["--grafana-url", "localhost:3000"], "must be an absolute URL"),
        (["--grafana-url", "http://grafana.example.com"], "must be https"),
    ],
    ids=["no-grafana-there", "no-url", "http-elsewhere"],
)
def test_says_what_is_wrong(tmp_path: Path, arguments: list[str], told: str) -> None:
    command = [sys.executable, "-m", "embedjwt", "demo", "--port", "0", *arguments]
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 1
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, ["open", "http://localhost:8080", "stand-in", "Ctrl-C"], id="plain"),
        pytest.param({"port_taken": 8080}, ["Port 8080 is in use"], id="port-taken"),
        pytest.param(
            {"grafana_is": "the Grafana you named"},
            ["[auth.jwt]", "app_mode = development", "/dashboard.json"],
            id="named-grafana",
        ),
    ],
)
def test_the_banner_says_what_to_do(changes: dict[str, Any], expected: list[str]) -> None:
    text = banner(DemoUrls(**{**URLS.as_json(), **changes}))
    assert [part for part in expected if part not in text] == []
