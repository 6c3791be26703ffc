"""The built wheel, installed into an empty environment away from the checkout, does everything."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import requests

from running_service import free_port
from tests_support import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``embedjwt`` command of a fresh environment with the wheel and its locked needs."""
    directory = tmp_path_factory.mktemp("wheel")
    python = [sys.executable, "-m"]
    build = ["build", "--wheel", "--no-isolation", "--outdir", str(directory), str(ROOT)]
    subprocess.run([*python, *build], check=True, capture_output=True)
    venv.create(directory / "venv", with_pip=True)
    pip = [directory / "venv/bin/python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "requirements.lock"], check=True)
    subprocess.run([*pip, "--no-deps", *directory.glob("*.whl")], check=True)
    return directory / "venv/bin/embedjwt"


def run(command: Path, *arguments: str, cwd: Path) -> str:
    """What the installed command prints, in an environment that knows nothing of the checkout."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    return subprocess.run(
        [command, *arguments], cwd=cwd, env=environ, check=True, capture_output=True, text=True
    ).stdout


def test_init_check_and_serve_with_static_files(installed: Path, tmp_path: Path) -> None:
    run(installed, "init", "x", cwd=tmp_path)
    run(installed, "check", cwd=tmp_path / "x")
    port = free_port()
    server = subprocess.Popen(
        [installed, "serve", "--port", str(port)],
        cwd=tmp_path / "x",
        env={"PATH": os.environ["PATH"]},
        stderr=subprocess.DEVNULL,
    )
    try:
        url = wait_until_ready(f"http://127.0.0.1:{port}", server)
        assert requests.get(f"{url}/static/demo/host.js", timeout=5).status_code == 200
        sdk = requests.get(f"{url}/static/embedjwt.json", timeout=5).json()
        name = sdk["url"].rpartition("/")[2]
        script = requests.get(f"{url}/static/{name}", timeout=5).content
        digest = base64.b64encode(hashlib.sha384(script).digest()).decode()
        assert sdk["integrity"] == f"sha384-{digest}"
        published = requests.get(f"{url}/.well-known/jwks.json", timeout=5).json()
        assert published == json.loads(run(installed, "keys", "export", cwd=tmp_path / "x"))
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0


def test_shipped_cases_are_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    run(installed, "init", "x", cwd=tmp_path)
    find = "import embedjwt.explain_cases as c; print(list(c.__path__)[0])"
    cases = run(installed.parent / "python", "-c", find, cwd=tmp_path).strip()
    report = run(installed, "explain", "--cases", f"{cases}/grafana.json", cwd=tmp_path / "x")
    assert ", 0 failed" in report


def test_demo(installed: Path, tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [installed, "demo", "--port", "0", "--json"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert demo.stdout is not None
        urls, _ = json.JSONDecoder().raw_decode(read_json_text(demo))
        assert "Acme" in requests.get(urls["host"], timeout=5).text
        assert requests.get(f"{urls['service']}/readyz", timeout=5).ok
    finally:
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=20) == 0
        demo.stdout.close()


def read_json_text(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line.startswith("}"):
            return text
    raise AssertionError(f"the demo ended with {text!r}")


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> str:
    for _ in range(300):
        try:
            if requests.get(f"{url}/readyz", timeout=1).ok:
                return url
        except requests.RequestException:
            pass
        try:
            process.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError("embedjwt serve did not get ready")
