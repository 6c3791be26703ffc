"""The audit trail: what was done, to what, by whom, as events in the log."""

from __future__ import annotations

import getpass
import os
import socket
from typing import Any

import structlog

_log = structlog.get_logger("embedjwt.audit")


def actor(what: str) -> str:
    """Who acts: a command or service, the user it runs as, and the machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        user = str(os.getuid())
    return f"{what} ({user}@{socket.gethostname()})"


def record(event: str, *, actor: str, **facts: Any) -> None:
    """One event. ``actor`` is the command or service that acted; ``facts`` hold no secret."""
    _log.info(event, audit=True, actor=actor, **facts)
