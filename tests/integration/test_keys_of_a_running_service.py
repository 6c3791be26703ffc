"""What an operator does to keys while ``embedjwt serve`` runs, and what its callers notice."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from postgres import PostgresServer
from running_service import embedjwt, free_port, running_service
from tests_support import UPSTREAM_SECRET

CONFIGURATION = """
issuer = "https://embed.example.com"
{database}
[keys]
{keys}
[[source]]
type = "jwt"
issuer = "https://idp.example.com"
audience = ["embed"]
secret = "{secret}"
algorithms = ["HS256"]
[[grafana]]
url = "https://grafana.example.com"
"""

A_SECOND = 5.0
"""Seconds to wait for what takes one, on a machine that has nothing else to do."""


def configure(directory: Path, database: str = "", keys: str = "") -> None:
    (directory / "embedjwt.toml").write_text(
        CONFIGURATION.format(secret=UPSTREAM_SECRET, database=database, keys=keys)
    )
    embedjwt("init", cwd=directory)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    """Two workers on a directory."""
    configure(tmp_path)
    with running_service(tmp_path, free_port(), "--workers", "2") as url:
        yield url


def ask(url: str) -> requests.Response:
    """A token for the same person each time, so that a fresh one may be handed out again.

    Each request has a connection of its own, and so sooner or later each worker.
    """
    claims = {"iss": "https://idp.example.com", "aud": "embed", "sub": "ada"}
    person = claims | {"email": "ada@example.com", "exp": 2_000_000_000}
    header = {"Authorization": f"Bearer {jwt.encode(person, UPSTREAM_SECRET, 'HS256')}"}
    return requests.post(f"{url}/v1/embed-token", headers=header, json={}, timeout=10)


def kid(answer: requests.Response) -> str:
    """The key that signed the token."""
    return str(jwt.get_unverified_header(answer.json()["token"])["kid"])


def signers(url: str) -> set[str]:
    """The keys with which the workers sign."""
    answers = [ask(url) for _ in range(12)]
    assert {answer.status_code for answer in answers} == {200}
    return {kid(answer) for answer in answers}


def readiness(url: str) -> set[str]:
    """What the workers say of themselves."""
    return {requests.get(f"{url}/readyz", timeout=5).json()["status"] for _ in range(12)}


def published(url: str) -> set[str]:
    answers = [requests.get(f"{url}/.well-known/jwks.json", timeout=5) for _ in range(12)]
    return {key["kid"] for answer in answers for key in answer.json()["keys"]}


def kids(directory: Path) -> dict[str, str]:
    keys = json.loads(embedjwt("keys", "list", "--json", cwd=directory))["keys"]
    return {key["kid"]: key["state"] for key in keys}


def test_a_revoked_key_is_gone_within_a_second(service: str, tmp_path: Path) -> None:
    old, new = kids(tmp_path)
    assert signers(service) == {old}
    embedjwt("keys", "revoke", old, "--reason", "test", "--yes", cwd=tmp_path)
    wait_until(lambda: old not in signers(service), A_SECOND)
    assert signers(service) == {new}, "a token that was signed before is not handed out again"
    assert old not in published(service)
    assert new in published(service)


def test_a_damaged_ring_is_survived_and_told(service: str, tmp_path: Path) -> None:
    (active, _) = kids(tmp_path)
    ring = tmp_path / "jwks" / "ring.json"
    whole = ring.read_bytes()
    ring.write_bytes(whole[:100])
    wait_until(lambda: readiness(service) == {"degraded"}, A_SECOND)
    assert signers(service) == {active}
    assert set(published(service)) == {key["kid"] for key in json.loads(whole)["keys"]}
    assert "ring.json is not JSON" in (tmp_path / "serve.log").read_text()
    ring.write_bytes(whole)
    wait_until(lambda: readiness(service) == {"ready"}, A_SECOND)
    embedjwt("keys", "prepare", cwd=tmp_path)


def test_the_schedule_is_kept_by_whoever_runs(tmp_path: Path) -> None:
    """An overdue rotation waits until a running process has watched the reserve key age."""
    configure(tmp_path)
    ring = tmp_path / "jwks" / "ring.json"
    document = json.loads(ring.read_text())
    for key in document["keys"]:
        for name in ("published_at", "activates_at", "retires_at"):
            key[name] = key[name] and key[name] - 90 * 86400
    ring.write_text(json.dumps(document))
    with running_service(tmp_path, free_port(), "--workers", "2") as url:
        wait_until(lambda: len(kids(tmp_path)) == 3)
        assert sorted(kids(tmp_path).values()) == ["active", "next", "next"]
        assert len(published(url)) == 3
        log = (tmp_path / "serve.log").read_text().splitlines()
    made = [json.loads(line) for line in log if '"key_transition"' in line]
    acted = [event for event in made if not event.get("observed")]
    assert [(event["after"], event["actor"].split()[0]) for event in acted] == [("next", "serve")]
    assert len(made) == 2, "the other worker has seen it"


def test_a_lost_database_is_survived_for_a_while(tmp_path: Path, postgres: PostgresServer) -> None:
    delay = 10
    configure(
        tmp_path,
        database=f'database = "{postgres.database()}"',
        keys='encryption_keys = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]\n'
        f"propagation_delay = {delay}",
    )
    with running_service(tmp_path, free_port(), "--workers", "1") as url:
        before = published(url)
        postgres.stop()
        lost_at = time.monotonic()
        try:
            statuses = watch(lambda: time.monotonic() < lost_at + delay - 2, url)
            assert statuses == {(200, 200, 200)}
            wait_until(lambda: ask(url).status_code == 503, delay + 12)
            assert ask(url).json()["code"] == "keys_stale"
            refused = requests.get(f"{url}/.well-known/jwks.json", timeout=5)
            assert refused.status_code == 503
            assert refused.headers["Content-Type"].startswith("text/plain")
            assert requests.get(f"{url}/readyz", timeout=5).status_code == 503
            assert requests.get(f"{url}/healthz", timeout=5).status_code == 200
        finally:
            postgres.start()
        wait_until(lambda: ask(url).status_code == 200, 20)
        assert published(url) == before


def test_a_process_that_slept_does_not_act_on_what_it_knew(tmp_path: Path) -> None:
    """Stopped, while others revoke: when it goes on it looks first."""
    configure(tmp_path, keys="propagation_delay = 10")
    old, new = kids(tmp_path)
    with running_service(tmp_path, free_port(), "--workers", "1") as url:
        assert signers(url) == {old}
        (pid,) = worker_pids(url)
        os.kill(pid, signal.SIGSTOP)
        embedjwt("keys", "revoke", old, "--reason", "test", "--yes", cwd=tmp_path)
        time.sleep(10.5)
        os.kill(pid, signal.SIGCONT)
        woken_at = time.monotonic()
        while (answer := ask(url)).status_code == 503:  # to know nothing is right as well
            assert time.monotonic() < woken_at + 10
        assert kid(answer) == new
        assert signers(url) == {new}
        assert old not in published(url)


def watch(while_: Callable[[], bool], url: str) -> set[tuple[int, ...]]:
    """The statuses of a token, the key set and readiness, for as long as ``while_``."""
    seen = set()
    while while_():
        paths = [f"{url}/.well-known/jwks.json", f"{url}/readyz"]
        others = [requests.get(path, timeout=5).status_code for path in paths]
        seen.add((ask(url).status_code, *others))
        time.sleep(0.1)
    return seen


def wait_until(condition: Callable[[], Any], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


def worker_pids(url: str) -> list[int]:
    """Processes whose parent serves this port."""
    port = url.rsplit(":", 1)[1]
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"serve" in command and port.encode() in command:
                children = (entry / "task" / entry.name / "children").read_text().split()
                found += [int(child) for child in children if _is_worker(int(child))]
    return found


def _is_worker(pid: int) -> bool:
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
