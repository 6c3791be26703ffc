"""``embedjwt.toml``, environment and secret files, made into frozen settings."""

from embedjwt.config.load import DEFAULT_FILE, load_settings, parse_settings
from embedjwt.config.mapping import AdmissionSettings, MappingSettings
from embedjwt.config.model import (
    GrafanaTarget,
    KeysSettings,
    SessionSettings,
    Settings,
    TokenSettings,
    WebSettings,
)
from embedjwt.config.problems import ConfigError, Problem
from embedjwt.config.provider import IntrospectionSource, OidcSource
from embedjwt.config.source import CookieSource, JwtSource, ProxySource
from embedjwt.config.warnings import warnings

__all__ = [
    "DEFAULT_FILE",
    "AdmissionSettings",
    "ConfigError",
    "CookieSource",
    "GrafanaTarget",
    "IntrospectionSource",
    "JwtSource",
    "KeysSettings",
    "MappingSettings",
    "OidcSource",
    "Problem",
    "ProxySource",
    "SessionSettings",
    "Settings",
    "TokenSettings",
    "WebSettings",
    "load_settings",
    "parse_settings",
    "warnings",
]
