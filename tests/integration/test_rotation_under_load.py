"""Two real services on one PostgreSQL, rotating under load, with time compressed.

Tokens are minted without a pause through three rotations and a revocation; each is held against
every key set that either service published and that a Grafana may still have cached.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import psycopg
import pytest
import requests

from embedjwt.grafana.verifier import read_ini, verify
from postgres import PostgresServer
from running_service import embedjwt, free_port, running_service
from tests_support import UPSTREAM_SECRET

FACTOR = 60
"""Seconds of the services' time in one of ours."""

A_SECOND = 4.0
"""Seconds for what takes one, where the machine has other things to do as well."""

V, T, P, H = 60, 30, 300, 300
ROTATE_EVERY = 1200

COMPRESSED = """
import os, sys, time
_begin, _factor, _real, _monotonic = {begin}, {factor}, time.time, time.monotonic
time.time = lambda: _begin + (_real() - _begin) * _factor
def monotonic():
    # For the keys alone: libraries wait for real things with it.
    ours = sys._getframe(1).f_globals.get("__name__", "").startswith("embedjwt.keys")
    return _monotonic() * (_factor if ours else 1)
time.monotonic = monotonic
"""

DATABASE_CLOCK = """
CREATE SCHEMA compressed;
CREATE FUNCTION compressed.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT to_timestamp(
    {begin} + (extract(epoch FROM pg_catalog.clock_timestamp()) - {begin}) * {factor})
$$;
"""


@dataclass
class Seen:
    """What the two services handed out, with the services' time of each."""

    tokens: list[tuple[float, str]] = field(default_factory=list)
    key_sets: list[tuple[float, bytes]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


def test_no_token_fails_through_rotations_and_a_revocation(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    begin = time.time()

    def now() -> float:
        return begin + (time.time() - begin) * FACTOR

    database = postgres.database()
    compress(database, begin)
    (tmp_path / "sitecustomize.py").write_text(COMPRESSED.format(begin=begin, factor=FACTOR))
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    directories = [configure(tmp_path / name, database) for name in ("one", "two")]
    there: dict[str, Any] = {"cwd": directories[1], "environment": environment}
    embedjwt("init", **there)

    seen = Seen()
    with ExitStack() as stack:
        urls = [
            stack.enter_context(running_service(directory, free_port(), environment=environment))
            for directory in directories
        ]
        with Callers(seen, urls, now):
            wait_until(lambda: len(signers(seen)) >= 4, 420, seen)
            wait_until(lambda: ready(urls[0]), 180, seen)
            listed = embedjwt("keys", "list", "--json", **there)
            keys = json.loads(listed)["keys"]
            (stolen,) = (key["kid"] for key in keys if key["state"] == "active")
            embedjwt("keys", "revoke", stolen, "--reason", "test", "--yes", **there)
            revoked_at = now()
            wait_until(lambda: now() > revoked_at + V + H + P, 180, seen)

    assert seen.failures == []
    assert len(seen.tokens) > 500
    assert len(signers(seen)) >= 5
    after = [kid_of(token) for at, token in seen.tokens if at > revoked_at + FACTOR * A_SECOND]
    assert after
    assert stolen not in after, "signed with a revoked key long after"
    assert all(stolen.encode() not in jwks for at, jwks in seen.key_sets[-20:])
    assert refused(seen, database, {stolen}) == []


def refused(seen: Seen, issuer: str, revoked: set[str]) -> list[str]:
    """Tokens that a Grafana with any key set it may have had would not have accepted."""
    settings = read_ini(GRAFANA_INI, version=(13, 0))
    documents: dict[bytes, Any] = {jwks: json.loads(jwks) for _, jwks in seen.key_sets}
    wrong = []
    for minted_at, token in seen.tokens:
        if kid_of(token) in revoked:
            continue
        claims = jwt.decode(token, options={"verify_signature": False})
        possible = {
            jwks
            for fetched_at, jwks in seen.key_sets
            if minted_at - V - H <= fetched_at <= claims["exp"]
        }
        assert possible
        for jwks in possible:
            verdict = verify(token, settings, documents[jwks], now=claims["iat"])
            if not verdict.accepted:
                wrong.append(f"{kid_of(token)} minted at {minted_at}: {verdict.reason}")
    return wrong


GRAFANA_INI = """
[auth.jwt]
enabled = true
header_name = X-JWT-Assertion
jwk_set_url = https://embed.example.com/.well-known/jwks.json
username_claim = login
email_claim = email
auto_sign_up = true
expect_claims = {"iss": "https://embed.example.com", "aud": "https://grafana.example.com"}
"""


def configure(directory: Path, database: str) -> Path:
    directory.mkdir()
    (directory / "embedjwt.toml").write_text(
        f"""
        issuer = "https://embed.example.com"
        database = "{database}"
        [token]
        ttl = {T}
        reuse = false
        [keys]
        encryption_keys = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
        rotate_every = {ROTATE_EVERY}
        verifier_cache_ttl = {V}
        propagation_delay = {P}
        [[source]]
        type = "jwt"
        issuer = "https://idp.example.com"
        audience = ["embed"]
        secret = "{UPSTREAM_SECRET}"
        algorithms = ["HS256"]
        [[grafana]]
        url = "https://grafana.example.com"
        """
    )
    return directory


def compress(database: str, begin: float) -> None:
    """Let the database's clock run as the services' does."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(DATABASE_CLOCK.format(begin=begin, factor=FACTOR))
        name = connection.info.dbname
        connection.execute(
            f'ALTER DATABASE "{name}" SET search_path = compressed, public, pg_catalog'
        )


class Callers:
    """Asks both services without a pause, from a thread for each and each kind of request."""

    def __init__(self, seen: Seen, urls: list[str], now: Callable[[], float]) -> None:
        self._seen = seen
        asks = [(ask, url) for url in urls for ask in (self._mint, self._fetch)]
        self._threads = [threading.Thread(target=self._repeat, args=ask) for ask in asks]
        self._now = now
        claims = {"iss": "https://idp.example.com", "aud": "embed", "sub": "ada"}
        person = claims | {"email": "ada@example.com", "exp": int(time.time()) + 365 * 86400}
        self._header = {"Authorization": f"Bearer {jwt.encode(person, UPSTREAM_SECRET, 'HS256')}"}

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._seen.done.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, ask: Callable[[requests.Session, str], None], url: str) -> None:
        with requests.Session() as session:
            while not self._seen.done.is_set():
                try:
                    ask(session, url)
                except Exception as error:
                    self._seen.failures.append(repr(error))
                time.sleep(0.03)

    def _mint(self, session: requests.Session, url: str) -> None:
        asked_at = self._now()
        answer = session.post(f"{url}/v1/embed-token", headers=self._header, json={}, timeout=10)
        answer.raise_for_status()
        self._seen.tokens.append((asked_at, answer.json()["token"]))

    def _fetch(self, session: requests.Session, url: str) -> None:
        answer = session.get(f"{url}/.well-known/jwks.json", timeout=10)
        answer.raise_for_status()
        self._seen.key_sets.append((self._now(), answer.content))


def wait_until(condition: Callable[[], bool], seconds: float, seen: Seen) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"nothing after {seconds} s; {len(signers(seen))} keys have signed")
        time.sleep(0.1)


def signers(seen: Seen) -> set[str]:
    return {kid_of(token) for _, token in seen.tokens}


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def ready(url: str) -> bool:
    """Whether a next key is known everywhere, as the operator's monitoring would tell."""
    return "embedjwt_key_next_ready 1.0" in requests.get(f"{url}/metrics", timeout=5).text
