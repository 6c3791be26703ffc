"""``POST /v1/embed-token`` against a bare Flask route and bare WSGI, on the same server."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from urllib.request import urlopen

from bench.load import compare, free_port, ratios, running, show_ratio
from bench.site import Site

_OURS = "embedjwt, minting"
_PATH = "/v1/embed-token"


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
        servers = {n: stack.enter_context(running(*t, site)) for n, t in targets.items()}
        rounds = compare(servers, _PATH, script)
    for bare, aim in (("bare Flask route", "aim ≥ 0.4"), ("bare WSGI", "")):
        show_ratio(_OURS, ratios(rounds[_OURS], rounds[bare]), bare, aim)
    starts = [_start_up(site) for _ in range(3)]
    start_up = statistics.median(starts)
    print(f"\n  'embedjwt serve', start-up to ready: {start_up:.2f} s   aim < 1.5 s")


def _start_up(site: Site) -> float:
    port = free_port()
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
