"""Constants and small builders that tests import."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

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


def need(tool: str, present: bool, how: str) -> None:
    """Skips where a real tool is missing; in CI that is a failure, not a gap."""
    if present:
        return
    reason = f"{tool} is not installed ({how})"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
