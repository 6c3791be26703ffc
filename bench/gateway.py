"""``/gateway/auth``: hot against bare WSGI, with many cookies, what a miss costs, and memory."""

from __future__ import annotations

import http.client
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.cookies import open_sessions
from bench.load import (
    CONNECTIONS,
    SECONDS,
    Server,
    compare,
    median_of,
    ratios,
    running,
    show_ratio,
    wrk,
)
from bench.site import Site, write_gateway_site
from embedjwt.config.environment import SERVE_THREADS

_PATH = "/gateway/auth"
_BARE, _OURS, _THREADS = "bare WSGI", "/gateway/auth", "the same, 32 threads"
_COOKIES, _MORE_COOKIES = 10_000, 20_000  # the latter: more than are remembered
_HOT = 1_000_000
_HEADERS = {  # as nginx sends a browser's request on, less the cookie
    "Host": "embedjwt.example.com",
    "X-Original-Method": "GET",
    "X-Original-URI": "/d-solo/abc/_?orgId=1&panelId=3&from=now-6h&to=now",
    "X-Forwarded-Host": "grafana.example.com",
    "X-Forwarded-Proto": "https",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36",
    "Accept": "application/json, text/plain, */*",
    "Accept-Language": "en-GB,en;q=0.9",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "https://grafana.example.com/",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
}


def measure_gateway() -> None:
    """Prints ratios of throughput, latencies, microseconds of a miss, and MiB of the worker."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        site = write_gateway_site(Path(name) / "site")
        cookies = open_sessions(site, _MORE_COOKIES)
        with ExitStack() as stack:
            servers = _Servers(
                bare=stack.enter_context(running("wsgi", "bench.apps:bare_wsgi", site)),
                ours=stack.enter_context(running("asginl", "bench.apps:embedjwt", site)),
                threads=stack.enter_context(
                    running("asginl", "bench.apps:embedjwt", site, {SERVE_THREADS: "32"})
                ),
            )
            _measure(servers, site, cookies)


@dataclass(frozen=True)
class _Servers:
    bare: Server
    ours: Server
    threads: Server

    @property
    def named(self) -> dict[str, Server]:
        return {_BARE: self.bare, _OURS: self.ours, _THREADS: self.threads}


def _measure(servers: _Servers, site: Site, cookies: Sequence[str]) -> None:
    one = _script(site, "one.lua", cookies[:1])
    many = _script(site, "many.lua", cookies[:_COOKIES])
    ours = servers.ours
    for server in servers.named.values():  # what is made by the first requests is no growth
        wrk(server, _PATH, one, 1)
    memory = {"after start-up": ours.worker_memory()}
    done = _compare(servers.named, one, {_OURS: "aim ≥ 0.5", _THREADS: ""})
    while done < _HOT:
        done += wrk(ours, _PATH, one, SECONDS).requests
    memory[f"after {_HOT:,} hot requests"] = ours.worker_memory()
    print(f"\n  {_COOKIES:,} cookies, one request at a time\n")
    _show_misses(ours, cookies[:_COOKIES])
    memory[f"after {_COOKIES:,} cookies"] = ours.worker_memory()
    print(f"\n  {_COOKIES:,} cookies in turn, {CONNECTIONS} connections\n")
    _compare({_BARE: servers.bare, _OURS: ours}, many, {_OURS: ""})
    for often in ("", " once more"):
        _timed(ours, cookies)
        memory[f"after {_MORE_COOKIES:,} cookies{often}"] = ours.worker_memory()
    print("\n  memory of the worker\n")
    for when, mebibytes in memory.items():
        print(f"  {when:<34} {mebibytes:6.1f} MiB")


def _compare(servers: dict[str, Server], script: Path, aims: dict[str, str]) -> int:
    """Prints loads and their ratios to bare WSGI; returns how many requests ``_OURS`` has
    answered."""
    rounds = compare(servers, _PATH, script)
    for name, aim in aims.items():
        show_ratio(f"{name:<20}", ratios(rounds[name], rounds[_BARE]), _BARE, aim)
    return median_of(rounds[_OURS]).requests


def _show_misses(server: Server, cookies: Sequence[str]) -> None:
    """Prints what a request takes whose cookie nobody knows yet, beside one that is known."""
    known, *new = cookies
    passes = {
        "hot": _timed(server, [known] * 2000),
        "first pass, a miss each": _timed(server, new),
        "second pass": _timed(server, new),
    }
    hot, miss, _ = (statistics.median(times) for times in passes.values())
    for name, times in passes.items():
        print(
            f"  {name:<24} p50 {statistics.median(times):7.0f} µs"
            f"   p99 {statistics.quantiles(times, n=100)[98]:7.0f} µs"
            f"   {statistics.median(times) / hot:5.1f} × hot"
        )
    print(f"  the cost of a miss: {miss - hot:.0f} µs more (cookie, SQLite, mapping, signature)")


def _script(site: Site, name: str, cookies: Sequence[str]) -> Path:
    """For wrk: requests with these cookies in turn."""
    listed = site.directory / f"{name}.txt"
    listed.write_text("\n".join(cookies))
    script = site.directory / name
    script.write_text(
        "".join(f'wrk.headers["{field}"] = "{value}"\n' for field, value in _HEADERS.items())
        + "local requests, at = {}, 0\n"
        "function init(args)\n"
        f'  for cookie in io.lines("{listed}") do\n'
        '    wrk.headers["Cookie"] = cookie\n'
        "    requests[#requests + 1] = wrk.format()\n"
        "  end\n"
        "end\n"
        "function request()\n"
        "  at = at % #requests + 1\n"
        "  return requests[at]\n"
        "end\n"
    )
    return script


def _timed(server: Server, cookies: Sequence[str]) -> list[float]:
    """Microseconds of a request with each of the cookies, over one connection."""
    return list(_times(server, cookies))


def _times(server: Server, cookies: Sequence[str]) -> Iterator[float]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for cookie in cookies:
        started = time.perf_counter()
        connection.request("GET", _PATH, headers=_HEADERS | {"Cookie": cookie})
        answer = connection.getresponse()
        answer.read()
        yield (time.perf_counter() - started) * 1e6
        assert answer.status == 200, answer.status
    connection.close()
