"""The presets of front doors that send a signed assertion: ``type = "jwt"``."""

from __future__ import annotations

from embedjwt.config.preset import Preset

FRONT_DOORS: dict[str, Preset] = {}
