"""What providers and front doors document once and for all, so that nobody has to look it up.

Each preset has its page in ``docs/presets/``, which names the provider's own documents.
"""

from __future__ import annotations

from embedjwt.config.front_doors import FRONT_DOORS
from embedjwt.config.preset import Preset
from embedjwt.config.providers import PROVIDERS

__all__ = ["PRESETS", "Preset"]

PRESETS: dict[str, Preset] = {**PROVIDERS, **FRONT_DOORS}
