"""Structured logs on standard error: lines for people on a terminal, JSON everywhere else."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import suppress
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]*\.?[\w-]*")


def configure_logging(level: int = logging.INFO) -> None:
    """Sets structlog up for this process. Call once, where a process starts."""
    terminal = sys.stderr.isatty()
    renderer: Any = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if terminal
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if terminal else [structlog.processors.format_exc_info]),
            without_tokens,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(_Unfailing()),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )


class _Unfailing:
    """Standard error; a full disk or a closed pipe behind it must not turn into failed requests."""

    def write(self, text: str) -> None:
        """Write what can be written."""
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with suppress(OSError):
            sys.stderr.flush()


def without_tokens(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Takes out whatever looks like a JWT: no call passes one, and a library's error might."""
    return {
        key: _TOKEN.sub("[token]", value) if isinstance(value, str) else value
        for key, value in event.items()
    }
