"""Is the process alive, and may it be sent requests?"""

from __future__ import annotations

from flask import Flask

from embedjwt.errors import KeysUnavailable
from embedjwt.service import Service


def install(app: Flask, service: Service) -> None:
    """Adds ``/healthz`` (alive) and ``/readyz`` (holds keys that sign and verify)."""

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz() -> dict[str, str]:
        problem = service.keys.problem
        if problem is not None:
            raise KeysUnavailable(
                "the key store cannot be read; the last good keys still serve", hint=problem
            )
        return {"status": "ready", "kid": service.keys.signing_key().kid}
