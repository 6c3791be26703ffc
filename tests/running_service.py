"""``embedjwt serve`` as a real process, for the tests that go through HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def embedjwt(
    *arguments: str | Path,
    cwd: Path,
    status: int = 0,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a command prints on standard output; its exit status must be ``status``."""
    done = subprocess.run(
        [sys.executable, "-m", "embedjwt", *map(str, arguments)],
        cwd=cwd,
        env=clean_environment() | (environment or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def clean_environment() -> dict[str, str]:
    """This environment without settings, importing embedjwt from where this process does."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("EMBEDJWT_")}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@contextmanager
def running_service(
    directory: Path,
    port: int,
    *options: str,
    scheme: str = "http",
    verify: str | bool = True,
    environment: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Serves ``directory/embedjwt.toml``; yields the URL once it is ready, stops it after."""
    log = (directory / "serve.log").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "embedjwt", "serve", "--port", str(port), *options],
        cwd=directory,
        env=clean_environment() | (environment or {}),
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    url = f"{scheme}://localhost:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                if requests.get(f"{url}/readyz", timeout=1, verify=verify).ok:
                    break
            except requests.RequestException:
                pass
            if process.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                raise RuntimeError(f"embedjwt serve did not get ready: {log.read()}")
            time.sleep(0.05)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            log.close()
