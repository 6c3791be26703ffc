"""The presets of providers that people sign in at: ``type = "oidc"``."""

from __future__ import annotations

from embedjwt.config.preset import Preset

PROVIDERS: dict[str, Preset] = {
    "auth0": Preset({"issuer": "https://{domain}/"}),
}
