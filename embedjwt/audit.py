"""The audit trail: what was done, to what, by whom, as events in the log."""

from __future__ import annotations

from typing import Any

import structlog

_log = structlog.get_logger("embedjwt.audit")


def record(event: str, *, actor: str, **facts: Any) -> None:
    """One event. ``actor`` is the command or service that acted; ``facts`` hold no secret."""
    _log.info(event, audit=True, actor=actor, **facts)
