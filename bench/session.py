"""What a session of embedjwt's own costs a request: its cookie, its row, its token."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from werkzeug.test import create_environ
from werkzeug.wrappers import Request, Response

from bench.site import CLAIMS
from embedjwt.database import Database
from embedjwt.identity import Documents, VerifiedClaims
from embedjwt.sessions import SessionCookie, SessionRecord, SessionStore
from embedjwt.sources.oidc import Opener, OwnSessions

_ROUNDS, _CALLS = 15, 100


def measure_session() -> None:
    """Prints ratios to a raw signature, on SQLite."""
    with tempfile.TemporaryDirectory() as directory:
        store = SessionStore(Database(f"sqlite:///{Path(directory) / 'state.db'}"), time.time)
        cookie = SessionCookie("s", [b"k" * 32], secure=True, samesite="lax", max_age=3600)
        sessions = OwnSessions(
            cookie,
            store,
            lambda record, _: record,
            {"bench": Opener("", "https://idp.example.com")},
        )
        request = _signed_in(store, cookie)
        now = int(time.time())
        key, message = ec.generate_private_key(ec.SECP256R1()), b"x" * 420
        algorithm = ec.ECDSA(SHA256())
        steps: dict[str, Callable[[], object]] = {
            "raw ES256 signature": lambda: key.sign(message, algorithm),
            "cookie alone": lambda: cookie.read(request),
            "session of a request": lambda: sessions.session(request, now),
        }
        rounds: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(_ROUNDS):
            for name, step in steps.items():
                rounds[name].append(_microseconds(step))
    median = {name: statistics.median(times) for name, times in rounds.items()}
    for name, taken in median.items():
        print(f"  {name:<26} {taken:8.1f} µs   {taken / median['raw ES256 signature']:5.2f} × raw")


def _signed_in(store: SessionStore, cookie: SessionCookie) -> Request:
    now = int(time.time())
    record = SessionRecord(
        source="bench",
        issuer="https://idp.example.com",
        sub=str(CLAIMS["sub"]),
        sid="",
        documents=Documents(id_token=VerifiedClaims(CLAIMS)),
        created_at=now,
        expires_at=now + 3600,
        ends_at=now + 3600,
        refresh_token=None,
    )
    response = Response()
    cookie.set(response, store.create(record))
    value = response.headers["Set-Cookie"].partition(";")[0]
    return Request(create_environ(headers={"Cookie": value}))


def _microseconds(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(_CALLS):
        step()
    return (time.perf_counter() - started) / _CALLS * 1e6
