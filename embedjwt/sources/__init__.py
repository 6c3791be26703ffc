"""Who is asking? Session sources recognise an upstream session and verify it."""

from __future__ import annotations

import time
from collections.abc import Callable

from embedjwt.config.model import Settings
from embedjwt.sources.build import configured_sources
from embedjwt.sources.chain import SessionSource, SourceChain

__all__ = ["SessionSource", "SourceChain", "build_sources"]


def build_sources(
    settings: Settings, *, clock: Callable[[], float] = time.monotonic
) -> SourceChain:
    """The chain that the settings describe.

    Reads key and secret files, and fetches nothing: remote keys are asked for when the first token
    comes. ``clock`` counts seconds and never goes back; it measures the age of remote keys.
    ``ConfigError`` names everything that cannot be used.
    """
    return SourceChain(configured_sources(settings, clock))
