"""Is the process alive, and may it be sent requests?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask

from embedjwt.service import Service

if TYPE_CHECKING:
    from embedjwt.sessions.build import SessionState


def install(app: Flask, service: Service, state: SessionState | None) -> None:
    """Adds ``/healthz`` (alive) and ``/readyz`` (may sign and publish).

    A store that fails does not make a process unready at once: its keys are good for a while, and
    all processes see the same failure, so an outage of the store would become one of the service.
    """

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz() -> dict[str, str | int]:
        key = service.keys.signing_key()
        key.sign({})  # an HSM may be gone
        published = service.keys.current  # refused where it is too old to be published
        # What exactly is wrong names paths, so it is in the log alone.
        well = service.keys.problem is None and (state is None or state.works())
        status = "ready" if well else "degraded"
        return {"status": status, "kid": key.kid, "revision": published.ring.revision}
