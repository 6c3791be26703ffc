"""A server to measure, and the load on it: granian with one worker, and wrk."""

from __future__ import annotations

import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.site import Site

CONNECTIONS = 8
SECONDS = 4
_ROUNDS = 5


@dataclass(frozen=True)
class Load:
    """One round: requests a second, how many in all, and latencies in milliseconds.

    ``cpu`` is what one of them took of the worker's time, in microseconds; unlike the others it
    hardly depends on what else the machine does.
    """

    rate: float
    requests: int
    p50: float
    p99: float
    cpu: float


def median_of(loads: Sequence[Load]) -> Load:
    """Of several rounds, each number on its own; all of their requests."""
    return Load(
        statistics.median(load.rate for load in loads),
        sum(load.requests for load in loads),
        statistics.median(load.p50 for load in loads),
        statistics.median(load.p99 for load in loads),
        statistics.median(load.cpu for load in loads),
    )


def compare(servers: Mapping[str, Server], path: str, script: Path) -> dict[str, list[Load]]:
    """The loads in interleaved rounds, for whatever else the machine does hits all alike; prints
    the one in the middle of each server."""
    rounds: dict[str, list[Load]] = {name: [] for name in servers}
    for _ in range(_ROUNDS):
        for name, server in servers.items():
            rounds[name].append(wrk(server, path, script, SECONDS))
    for name, loads in rounds.items():
        load, memory = median_of(loads), servers[name].worker_memory()
        print(
            f"  {name:<20} {load.rate:8.0f} req/s   p50 {load.p50:6.2f} ms"
            f"   p99 {load.p99:6.2f} ms   {load.cpu:5.0f} µs CPU   {memory:5.0f} MiB a worker"
        )
    print()
    return rounds


def show_ratio(ours: str, ratio: Sequence[float], bare: str, aim: str) -> None:
    """Prints what came out in the rounds, the one in the middle first."""
    print(
        f"  {ours} / {bare:<17} {statistics.median(ratio):.2f}"
        f"   (rounds {min(ratio):.2f} … {max(ratio):.2f})   {aim}"
    )


def ratios(ours: Sequence[Load], bare: Sequence[Load]) -> list[float]:
    """Of throughput, round by round."""
    return [a.rate / b.rate for a, b in zip(ours, bare, strict=True)]


@dataclass(frozen=True)
class Server:
    """A running one."""

    process: subprocess.Popen[bytes]
    port: int

    def worker_memory(self) -> float:
        """MiB that the worker process has resident."""
        resident = [
            int(match[1])
            for child in self._children()
            if (match := re.search(r"VmRSS:\s+(\d+)", (child / "status").read_text()))
        ]
        return max(resident) / 1024

    def worker_cpu(self) -> float:
        """Seconds of CPU that the worker has used."""
        stats = [
            (child / "stat").read_text().rpartition(")")[2].split() for child in self._children()
        ]
        return max(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")

    def _children(self) -> list[Path]:
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [Path("/proc") / child for child in children.split()]


@contextmanager
def running(
    interface: str, target: str, site: Site, environ: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Serve ``target``, as the interface of that name."""
    port = free_port()
    options = ["--interface", interface, "--workers", "1", "--no-log"]
    options += ["--blocking-threads", "1"] if interface == "wsgi" else []
    process = subprocess.Popen(
        [sys.executable, "-m", "granian", *options, "--port", str(port), target],
        env={**os.environ, "EMBEDJWT_CONFIG": str(site.config), **(environ or {})},
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield Server(process, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=15)


def wrk(server: Server, path: str, script: Path, seconds: int) -> Load:
    """Load from ``CONNECTIONS`` connections at once, as the Lua script has it."""
    used = server.worker_cpu()
    output = subprocess.run(
        [
            *("wrk", "--latency", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script)),
            f"http://127.0.0.1:{server.port}{path}",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    if "Non-2xx" in output:
        sys.exit(f"the server refused requests, so this measures nothing:\n{output}")
    requests = int(_found(r"(\d+) requests in", output))
    return Load(
        float(_found(r"Requests/sec:\s+([\d.]+)", output)),
        requests,
        _percentile(output, 50),
        _percentile(output, 99),
        (server.worker_cpu() - used) / requests * 1e6,
    )


def _found(pattern: str, output: str) -> str:
    match = re.search(pattern, output)
    assert match, output
    return match[1]


def _percentile(output: str, percent: int) -> float:
    match = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", output)
    assert match, output
    return float(match[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[match[2]]


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("a server did not start")


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
