"""``embedjwt.toml``, environment and secret files, made into frozen settings."""

from embedjwt.config.model import (
    AdmissionSettings,
    CookieSource,
    GrafanaTarget,
    JwtSource,
    KeysSettings,
    MappingSettings,
    ProxySource,
    Settings,
    TokenSettings,
    WebSettings,
)

__all__ = [
    "AdmissionSettings",
    "CookieSource",
    "GrafanaTarget",
    "JwtSource",
    "KeysSettings",
    "MappingSettings",
    "ProxySource",
    "Settings",
    "TokenSettings",
    "WebSettings",
]
