"""``POST /v1/embed-token`` against a bare Flask route and bare WSGI, on the same server."""

from __future__ import annotations

import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from bench.site import Site

_ROUNDS, _SECONDS, _CONNECTIONS = 5, 4, 8
_OURS = "embedjwt, minting"
_PATH = "/v1/embed-token"


@dataclass(frozen=True)
class Load:
    """One round: requests a second, and latencies in milliseconds."""

    rate: float
    p50: float
    p99: float


def measure_http(site: Site) -> None:
    """Prints ratios of throughput, latencies, memory and start-up time."""
    script = site.directory / "post.lua"
    script.write_text(
        'wrk.method = "POST"\nwrk.body = "{}"\n'
        'wrk.headers["Content-Type"] = "application/json"\n'
        f'wrk.headers["Authorization"] = "Bearer {site.bearer}"\n'
    )
    targets = {
        "bare WSGI": ("wsgi", "bench.apps:bare_wsgi"),
        "bare Flask route": ("wsgi", "bench.apps:bare_flask"),
        _OURS: ("asginl", "bench.apps:embedjwt"),  # as 'embedjwt serve' does it
    }
    with ExitStack() as stack:
        servers = {n: stack.enter_context(_server(*t, site)) for n, t in targets.items()}
        rounds: dict[str, list[Load]] = {name: [] for name in targets}
        for _ in range(_ROUNDS):
            for name, server in servers.items():
                rounds[name].append(_wrk(server.port, script))
        for name, loads in rounds.items():
            rate = statistics.median(load.rate for load in loads)
            p50 = statistics.median(load.p50 for load in loads)
            p99 = statistics.median(load.p99 for load in loads)
            memory = servers[name].worker_memory()
            print(
                f"  {name:<20} {rate:8.0f} req/s   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms"
                f"   {memory:5.0f} MiB a worker"
            )
    print()
    for bare, aim in (("bare Flask route", "aim ≥ 0.4"), ("bare WSGI", "")):
        ratios = [a.rate / b.rate for a, b in zip(rounds[_OURS], rounds[bare], strict=True)]
        print(
            f"  {_OURS} / {bare:<17} {statistics.median(ratios):.2f}"
            f"   (rounds {min(ratios):.2f} … {max(ratios):.2f})   {aim}"
        )
    starts = [_start_up(site) for _ in range(3)]
    start_up = statistics.median(starts)
    print(f"\n  'embedjwt serve', start-up to ready: {start_up:.2f} s   aim < 1.5 s")


@dataclass(frozen=True)
class _Server:
    process: subprocess.Popen[bytes]
    port: int

    def worker_memory(self) -> float:
        """MiB that the worker process has resident."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        resident = [
            int(match[1])
            for child in children.split()
            if (match := re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{child}/status").read_text()))
        ]
        return max(resident) / 1024


@contextmanager
def _server(interface: str, target: str, site: Site) -> Iterator[_Server]:
    port = _free_port()
    options = ["--interface", interface, "--workers", "1", "--no-log"]
    options += ["--blocking-threads", "1"] if interface == "wsgi" else []
    process = subprocess.Popen(
        [sys.executable, "-m", "granian", *options, "--port", str(port), target],
        env={**os.environ, "EMBEDJWT_CONFIG": str(site.config)},
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield _Server(process, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=15)


def _wrk(port: int, script: Path) -> Load:
    output = subprocess.run(
        [
            *("wrk", "--latency", "-t1", f"-c{_CONNECTIONS}", f"-d{_SECONDS}s", "-s", str(script)),
            f"http://127.0.0.1:{port}{_PATH}",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    if "Non-2xx" in output:
        sys.exit(f"the server refused requests, so this measures nothing:\n{output}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])  # type: ignore[index]
    return Load(rate, _percentile(output, 50), _percentile(output, 99))


def _percentile(output: str, percent: int) -> float:
    match = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", output)
    assert match, output
    return float(match[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[match[2]]


def _start_up(site: Site) -> float:
    port = _free_port()
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "embedjwt", "serve", "--port", str(port)],
        cwd=site.directory,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
                    if answer.status == 200:
                        return time.perf_counter() - start
            except OSError:
                if process.poll() is not None or time.perf_counter() - start > 30:
                    sys.exit("embedjwt serve did not get ready")
                time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=15)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("a server did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
