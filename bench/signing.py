"""Mapping, admission, claims and signature, against the raw ES256 signature alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from bench.site import CLAIMS, Site
from embedjwt.config import load_settings
from embedjwt.identity import Documents, UpstreamSession, VerifiedClaims
from embedjwt.service import build_service

_ROUNDS, _CALLS = 15, 400


def measure_signing(site: Site) -> None:
    """Prints the ratio, and where the time goes."""
    service = build_service(load_settings(site.config, {}))
    target = service.target(None)
    documents = Documents(id_token=VerifiedClaims(CLAIMS))
    [source] = service.settings.source
    mapper = service.rules[source.name].mapper
    identity = mapper.identity(documents, target)
    key, message = ec.generate_private_key(ec.SECP256R1()), b"x" * 420
    algorithm = ec.ECDSA(SHA256())
    steps: dict[str, Callable[[], object]] = {
        "raw ES256 signature": lambda: key.sign(message, algorithm),
        "mapping (3 expressions)": lambda: mapper.identity(documents, target),
        "claims and JWS": lambda: service.issuer.issue(
            identity, audience=target.token_audience, ttl=300, session_expires_at=None
        ),
        # A new session each time: for a known one the mapping is remembered.
        "claims to token, whole": lambda: service.token(
            UpstreamSession(source.name, documents), target
        ),
    }
    rounds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(_ROUNDS):  # interleaved: whatever else the machine does hits all alike
        for name, step in steps.items():
            rounds[name].append(_microseconds(step))
    best = {name: statistics.median(times) for name, times in rounds.items()}
    raw = best["raw ES256 signature"]
    for name, time_taken in best.items():
        print(f"  {name:<26} {time_taken:8.1f} µs   {time_taken / raw:5.2f} × raw")
    print(f"\n  aim: whole ≤ 4 × raw; measured {best['claims to token, whole'] / raw:.2f} ×")


def _microseconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(_CALLS):
        step()
    return (time.perf_counter() - start) / _CALLS * 1e6
