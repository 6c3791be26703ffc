"""``embedjwt serve`` as operators run it: TLS, a graceful stop, refusals before it starts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from running_service import clean_environment, embedjwt, free_port, running_service

KEY = ec.generate_private_key(ec.SECP256R1())
JWK: dict[str, Any] = {**ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "up"}


def write_config(directory: Path, port: int, jwks_url: str, scheme: str = "http") -> None:
    (directory / "embedjwt.toml").write_text(
        f"""
        issuer = "{scheme}://localhost:{port}"
        [[source]]
        type = "jwt"
        issuer = "https://idp.example.com"
        audience = ["app"]
        jwks_url = "{jwks_url}"
        timeout = 10
        [[grafana]]
        url = "https://grafana.example.com"
        """
    )
    embedjwt("init", cwd=directory)


def bearer() -> dict[str, str]:
    claims = {"sub": "u", "email": "u@example.com", "iss": "https://idp.example.com", "aud": "app"}
    token = jwt.encode(
        {**claims, "exp": int(time.time()) + 600}, KEY, "ES256", headers={"kid": "up"}
    )
    return {"Authorization": f"Bearer {token}"}


def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    port = free_port()
    write_config(tmp_path, port, "https://idp.example.com/jwks", scheme="https")
    options = ("--tls-cert", "cert.pem", "--tls-key", "key.pem")
    ca = str(tmp_path / "ca.pem")
    with running_service(tmp_path, port, *options, scheme="https", verify=ca) as url:
        answer = requests.get(f"{url}/.well-known/jwks.json", timeout=5, verify=ca)
        assert len(answer.json()["keys"]) == 2
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(url, timeout=5)


def test_a_stop_lets_requests_under_way_finish(tmp_path: Path) -> None:
    asked = threading.Event()

    class SlowProvider(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            time.sleep(1.5)
            body = json.dumps({"keys": [JWK]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Keeps the test's output clean."""

    provider = ThreadingHTTPServer(("127.0.0.1", 0), SlowProvider)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    port = free_port()
    write_config(tmp_path, port, f"http://localhost:{provider.server_port}/jwks")
    answers: list[int] = []

    def ask(url: str) -> None:
        answer = requests.post(f"{url}/v1/embed-token", headers=bearer(), timeout=20)
        answers.append(answer.status_code)

    with running_service(tmp_path, port, "--workers", "1") as url:
        asking = threading.Thread(target=ask, args=(url,))
        asking.start()
        assert asked.wait(10)
    asking.join(20)
    provider.shutdown()
    provider.server_close()
    assert answers == [200]


def serve(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "embedjwt", "serve", *options],
        cwd=directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_bad_configuration_is_told_once_and_nothing_starts(tmp_path: Path) -> None:
    (tmp_path / "embedjwt.toml").write_text('issuer = "nonsense"\ntokn = 1\n')
    done = serve(tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("tokn: there is no such key") == 1
    assert "Traceback" not in done.stderr


def test_missing_keys_are_told(tmp_path: Path) -> None:
    write_config(tmp_path, 1, "https://idp.example.com/jwks")
    (tmp_path / "jwks").rename(tmp_path / "moved")
    done = serve(tmp_path)
    assert done.returncode == 1
    assert "embedjwt init" in done.stderr


@pytest.mark.parametrize("after", [0.05, 0.4, 0.7, 1.0])
def test_a_stop_during_start_up_is_not_lost(tmp_path: Path, after: float) -> None:
    port = free_port()
    write_config(tmp_path, port, "https://idp.example.com/jwks")
    process = subprocess.Popen(
        [sys.executable, "-m", "embedjwt", "serve", "--port", str(port)],
        cwd=tmp_path,
        env=clean_environment(),
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=15) in (0, -signal.SIGTERM)


def test_tls_files_that_do_not_fit_are_told(tmp_path: Path) -> None:
    write_config(tmp_path, 1, "https://idp.example.com/jwks")
    done = serve(tmp_path, "--tls-cert", "embedjwt.toml", "--tls-key", "embedjwt.toml")
    assert done.returncode == 1
    assert "cannot be used for TLS" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    write_config(tmp_path, 1, "https://idp.example.com/jwks")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serve(tmp_path, "--port", str(port))
    assert done.returncode == 1
    assert f"{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    port = free_port()
    write_config(tmp_path, port, "https://idp.example.com/jwks")
    with running_service(tmp_path, port, "--workers", "1") as url:
        kid = requests.get(f"{url}/readyz", timeout=5).json()["kid"]
        os.kill(worker_of(port), signal.SIGKILL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                answer = requests.get(f"{url}/readyz", timeout=1)
            except requests.RequestException:
                time.sleep(0.1)
                continue
            assert answer.json()["kid"] == kid
            return
        pytest.fail("no worker came back")


def worker_of(port: int) -> int:
    """The process that ``serve --port`` started to do the work."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = int(status.read_text().split("PPid:\t")[1].split("\n")[0])
            command = Path(f"/proc/{parent}/cmdline").read_bytes()
            own = status.with_name("cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if b"serve" in command and str(port).encode() in command and b"resource_tracker" not in own:
            return int(status.parent.name)
    raise AssertionError("no worker is running")
