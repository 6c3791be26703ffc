"""embedjwt behind a proxy, as a real process: granian, two workers, and a clock tests can step.

The clock alone is a stand-in: real time plus an offset that all workers read from one file. The
rest is what ``embedjwt serve`` runs. Each ``/gateway/auth`` that comes is noted, without secrets.
"""

from __future__ import annotations

import json
import mmap
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests

from running_service import clean_environment

DIRECTORY = "GATEWAY_TEST_DIRECTORY"
PORT = "GATEWAY_TEST_PORT"
WORKERS = 2
_OFFSET = struct.Struct("d")


class SteppedClock:
    """Unix seconds: real time plus what is in ``file``, in every process that opened it."""

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(_OFFSET.pack(0))
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), _OFFSET.size)

    def __call__(self) -> float:
        offset: float = _OFFSET.unpack(self._map[:])[0]
        return time.time() + offset

    def step(self, seconds: float) -> None:
        """Let so much time pass, for everybody at once."""
        offset: float = _OFFSET.unpack(self._map[:])[0]
        self._map[:] = _OFFSET.pack(offset + seconds)


class GatewayService:
    """Serves ``directory/embedjwt.toml`` on ``port``; its keys must be there."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self.url = f"http://localhost:{port}"
        self.clock = SteppedClock(directory / "clock")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.directory / "serve.log"

    def asked(self) -> list[dict[str, Any]]:
        """Every authorization request so far: its method, path, and what announces a body."""
        file = self.directory / "asked"
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]

    def start(self) -> None:
        """Returns once it is ready. Raises ``RuntimeError`` with its log where that fails."""
        where = {DIRECTORY: str(self.directory), PORT: str(self.port)}
        (self.directory / "workers").write_bytes(b"")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                cwd=self.directory,
                env=clean_environment() | where,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"embedjwt did not get ready: {self.log.read_text()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """At once, all of its processes."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=15)
            self._process = None

    def _is_ready(self) -> bool:
        if (self.directory / "workers").stat().st_size < WORKERS:
            return False
        try:
            return requests.get(f"{self.url}/readyz", timeout=1).ok
        except requests.RequestException:
            return False


def load() -> Any:
    """What each worker loads: ``embedjwt/cli/worker.py`` with the stepped clock, and a note taken
    of each authorization request."""
    from embedjwt import create_app
    from embedjwt.log import configure_logging
    from embedjwt.web.asgi import AsgiBridge

    directory = Path(os.environ[DIRECTORY])
    configure_logging()
    app = create_app(clock=SteppedClock(directory / "clock"))
    bridge = AsgiBridge(app, max_body_size=app.config["MAX_CONTENT_LENGTH"], threads=1)
    with (directory / "workers").open("ab") as workers:
        workers.write(b"+")
    notes = os.open(directory / "asked", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith(("/gateway/auth", "/gateway/den")):
            fields = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
            bodies = ("content-length", "transfer-encoding")
            body = {name: fields[name] for name in bodies if name in fields}
            note = {"method": scope["method"], "path": scope["path"], "body": body}
            os.write(notes, json.dumps(note).encode() + b"\n")
        await bridge(scope, receive, send)

    return noting


def serve() -> None:
    """As ``embedjwt serve`` does it, see ``embedjwt/cli/serve.py``."""
    from granian.constants import Interfaces
    from granian.server import Server

    multiprocessing.set_start_method("spawn", force=True)
    Server(
        "gateway_service:load",
        factory=True,
        address="127.0.0.1",
        port=int(os.environ[PORT]),
        interface=Interfaces.ASGINL,
        workers=WORKERS,
        websockets=False,
        log_enabled=False,
        respawn_failed_workers=True,
        workers_kill_timeout=30,
    ).serve()


if __name__ == "__main__":
    serve()
