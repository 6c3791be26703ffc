"""Constants and small builders that tests import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NODE_MODULES = ROOT / "tests" / "node" / "node_modules"

UPSTREAM_SECRET = "an upstream secret of thirty-two bytes"

MINIMAL: dict[str, Any] = {
    "issuer": "https://embed.example.com",
    "source": [
        {
            "type": "jwt",
            "issuer": "https://idp.example.com",
            "audience": ["embed"],
            "secret": UPSTREAM_SECRET,
            "algorithms": ["HS256"],
        }
    ],
    "grafana": [{"url": "https://grafana.example.com"}],
    "web": {"allowed_origins": ["https://app.example.com"]},
}


class FakeClock:
    """Unix seconds, as a test says."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
