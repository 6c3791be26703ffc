"""``[auth.jwt]`` as one Grafana version reads it.

Sources: ``pkg/setting/setting_jwt.go``, ``pkg/setting/setting.go`` (``[users]``, ``app_mode``),
``conf/defaults.ini``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from embedjwt.grafana.ini import DEFAULT_SECTION, IniError, IniFile, ini_bool, parse_ini
from embedjwt.grafana.roles import is_valid_role, split_string
from embedjwt.grafana.versions import KEY_SINCE, LATEST, ROLE_NONE_SINCE, Version, has_key

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"0|[+-]?(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+")

_PLACEHOLDER = re.compile(r"\$(?:__\w+)?\{[^}]+\}|%\([^)]+\)s")
"""``pkg/setting/expanders.go``, and go-ini's own ``%(key)s``."""

_MATTERS = {
    DEFAULT_SECTION: ("app_mode",),
    "auth.jwt": tuple(KEY_SINCE),
    "security": ("allow_embedding",),
    "users": ("auto_assign_org", "auto_assign_org_id", "auto_assign_org_role"),
}

_NO_INI = {
    "environment variables": re.compile(
        r"""^[ \t]*(?:export |ENV |- )?(?:name: )?["']?GF_AUTH_JWT_""", re.MULTILINE
    ),
    "YAML, such as Helm values": re.compile(
        r"""^[ \t]*["']?(?:grafana\.ini|auth\.jwt)["']?:[ \t]*$""", re.MULTILINE
    ),
}


@dataclass(frozen=True, slots=True)
class JwtAuthSettings:
    """The keys of ``[auth.jwt]`` under Grafana's names, and what their meaning depends on.

    ``cache_ttl`` is in seconds; ``expect_claims`` is the JSON text as it was written. ``ignored``
    names the keys that were there and that this Grafana does not read: misspelt ones
    (``expected_claims``), dead ones (``enable_login_token``), and those of newer releases.
    ``placeholders`` names the keys whose values Grafana would expand, each with the first thing to
    expand; they stand here as written. ``unknown_role`` is what ``auto_assign_org_role`` was, if it
    is no role of this Grafana. ``absent`` says why there is no ``[auth.jwt]``, if so.
    """

    enabled: bool = False
    header_name: str = ""
    url_login: bool = False
    email_claim: str = ""
    username_claim: str = ""
    email_attribute_path: str = ""
    username_attribute_path: str = ""
    jwk_set_url: str = ""
    jwk_set_bearer_token_file: str = ""
    jwk_set_file: str = ""
    jwk_set_value: str = ""
    key_file: str = ""
    key_value: str = ""
    key_id: str = ""
    cache_ttl: float = 3600
    expect_claims: str = "{}"
    auto_sign_up: bool = False
    role_attribute_path: str = ""
    role_attribute_strict: bool = False
    allow_assign_grafana_admin: bool = False
    skip_org_role_sync: bool = False
    groups_attribute_path: str = ""
    org_attribute_path: str = ""
    org_mapping: tuple[str, ...] = ()
    tls_client_ca: str = ""
    tls_skip_verify_insecure: bool = False
    app_mode: str = "production"
    allow_embedding: bool = False
    auto_assign_org: bool = True
    auto_assign_org_id: int = 1
    auto_assign_org_role: str = "Viewer"
    unknown_role: str = ""
    version: Version = LATEST
    ignored: tuple[str, ...] = ()
    placeholders: tuple[tuple[str, str], ...] = ()
    absent: str = ""

    @property
    def default_org_id(self) -> int:
        """``Cfg.DefaultOrgID`` in ``pkg/setting``."""
        assigned = self.auto_assign_org and self.auto_assign_org_id > 0
        return self.auto_assign_org_id if assigned else 1

    @property
    def key_sources(self) -> tuple[str, ...]:
        """The keys that say where verification keys come from; exactly one may be set."""
        names = ("key_file", "key_value", "jwk_set_file", "jwk_set_value", "jwk_set_url")
        return tuple(name for name in names if getattr(self, name))


_DEFAULTS = JwtAuthSettings()


def read_ini(text: str, *, version: Version = LATEST, name: str = "grafana.ini") -> JwtAuthSettings:
    """What that Grafana takes from the text of a ``grafana.ini``.

    ``name`` is what to call the file. Raises ``IniError`` at a line that Grafana cannot read.
    """
    sections = _sections(text, name)
    jwt = sections.get("auth.jwt", {})
    known: dict[str, Any] = {key: _typed(key, jwt[key]) for key in jwt if key in KEY_SINCE}
    settings = replace(
        _DEFAULTS,
        **known,
        **_surroundings(sections),
        version=version,
        ignored=tuple(key for key in jwt if key not in KEY_SINCE),
        placeholders=tuple(_placeholders(sections)),
        absent=_absence(text, sections, name),
    )
    return settings_for_version(settings)


def settings_for_version(settings: JwtAuthSettings) -> JwtAuthSettings:
    """The same settings without the keys that ``settings.version`` does not know.

    A Grafana never complains of a key it does not read, which is why this has to be looked at.
    """
    unread = [
        key
        for key in KEY_SINCE
        if not has_key(key, settings.version) and getattr(settings, key) != getattr(_DEFAULTS, key)
    ]
    role = settings.auto_assign_org_role
    is_role = not role or is_valid_role(role, settings.version)
    return replace(
        settings,
        **{key: getattr(_DEFAULTS, key) for key in unread},
        auto_assign_org_role=_role_of_new_people(role if is_role else None, settings.version),
        unknown_role=settings.unknown_role if is_role else role,
        ignored=(*settings.ignored, *unread),
    )


def _role_of_new_people(role: str | None, version: Version) -> str:
    """Unset it is Viewer (``conf/defaults.ini``); what is no role was Editor once."""
    if role is None and version < ROLE_NONE_SINCE:
        return "Editor"
    return role or "Viewer"


def _sections(text: str, name: str) -> IniFile:
    try:
        return parse_ini(text)
    except IniError as error:
        raise IniError(f"{name}, {error.detail}", hint=_kind_of(text)) from error


def _absence(text: str, sections: IniFile, name: str) -> str:
    if "auth.jwt" in sections:
        return ""
    similar = [section for section in sections if section.strip().lower() == "auth.jwt"]
    if similar:
        return f"{name} has no [auth.jwt] section: [{similar[0]}] is another one"
    kind = _kind_of(text) or "variables such as GF_AUTH_JWT_ENABLED are not looked at"
    return f"{name} has no [auth.jwt] section; {kind}"


def _kind_of(text: str) -> str:
    for kind, pattern in _NO_INI.items():
        if pattern.search(text):
            return f"it looks like {kind}; what is wanted is the text of a grafana.ini"
    return ""


def _placeholders(sections: IniFile) -> Iterator[tuple[str, str]]:
    for section, keys in _MATTERS.items():
        for key in keys:
            match = _PLACEHOLDER.search(sections.get(section, {}).get(key, ""))
            if match:
                yield key, match[0]


def _typed(key: str, value: str) -> Any:
    """One value as ``readAuthJWTSettings`` types it: an empty or odd one is the default."""
    default = getattr(_DEFAULTS, key)
    if isinstance(default, bool):
        return ini_bool(value, default)
    if key == "cache_ttl":
        return _duration(value, default)
    if key == "org_mapping":
        return tuple(split_string(value))
    return value or default


def _surroundings(sections: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    users = sections.get("users", {})
    org = users.get("auto_assign_org_id", "")
    return {
        "app_mode": sections[DEFAULT_SECTION].get("app_mode") or _DEFAULTS.app_mode,
        "allow_embedding": ini_bool(sections.get("security", {}).get("allow_embedding", ""), False),
        "auto_assign_org": ini_bool(users.get("auto_assign_org", ""), True),
        "auto_assign_org_id": int(org) if re.fullmatch(r"[+-]?[0-9]{1,18}", org) else 1,
        "auto_assign_org_role": users.get("auto_assign_org_role", ""),
    }


def _duration(text: str, default: float) -> float:
    """Seconds, as Go's ``time.ParseDuration`` reads them."""
    if not _DURATION.fullmatch(text):
        return default
    parts = re.findall(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)", text)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return -seconds if text.startswith("-") else seconds
