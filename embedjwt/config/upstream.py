"""What the kinds of ``[[source]]`` share: names, presets, and how an upstream is called."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from embedjwt.config.mapping import Overrides
from embedjwt.config.presets import PRESETS
from embedjwt.config.section import Section
from embedjwt.config.values import Duration, FileName

UpstreamAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
]  # fmt: skip
"""What an upstream token may be signed with. ``none`` is not a word here."""

_NO_TENANTS = frozenset({"common", "organizations", "consumers"})
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class SourceSettings(Overrides):
    """What every ``[[source]]`` has: a name, a prefix that keeps its subjects apart, and whatever
    of ``[mapping]`` and ``[admission]`` holds for it alone."""

    name: Annotated[str, Field(max_length=64)] = ""
    enabled: bool = True
    subject_prefix: str = ""

    @model_validator(mode="before")
    @classmethod
    def _named_after_type(cls, data: object) -> object:
        if isinstance(data, dict) and not data.get("name") and isinstance(data.get("type"), str):
            return {**data, "name": str(data.get("preset") or data["type"])}
        return data


class PresetKeys(Section):
    """What fills the ``{placeholders}`` of a preset: where the provider has this customer."""

    domain: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+(:[0-9]+)?$")] | None = None
    tenant: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")] | None = None
    application_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] | None = None

    @field_validator("domain", mode="before")
    @classmethod
    def _only_a_host(cls, value: object) -> object:
        if isinstance(value, str) and ("/" in value or "." not in value):
            raise ValueError('must be a host name such as "acme.eu.auth0.com", without https://')
        return value

    @model_validator(mode="after")
    def _for_a_preset(self) -> PresetKeys:
        if getattr(self, "preset", None) is None:
            given = [name for name in ("domain", "tenant", "application_id") if getattr(self, name)]
            if given:
                raise ValueError(f"{given[0]} fills in a preset, and none is named")
        return self

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, data: object) -> object:
        preset = PRESETS.get(str(data.get("preset"))) if isinstance(data, dict) else None
        if preset is None or not isinstance(data, dict):
            return data
        if not preset.source.keys() <= cls.model_fields.keys():
            raise ValueError(
                f"preset {data['preset']!r} is not one of type {data.get('type')!r}; its page in "
                "docs/presets says which type it is for"
            )
        if str(data.get("tenant")).lower() in _NO_TENANTS:
            raise ValueError(
                f"tenant = {data['tenant']!r} does not work: tokens name the tenant that a person "
                "is of, and that must be one that is known; write your directory (tenant) ID"
            )
        own_keys = {"key_file", "secret", "secret_file", "jwks_url"} & data.keys()
        left_open = preset.source.keys() - data.keys() - ({"jwks_url"} if own_keys else set())
        open_keys = {key: preset.source[key] for key in preset.source if key in left_open}
        return data | {key: _filled(value, key, data) for key, value in open_keys.items()}


class UpstreamTls(Section):
    """How an upstream is called: Grafana's ``tls_*`` keys, and how long it may take to answer.

    ``tls_client_cert`` and ``tls_client_key`` are what this service shows of itself (RFC 8705),
    ``tls_client_ca`` the authorities that its upstream is checked against.
    """

    timeout: Annotated[Duration, Field(ge=1, le=30)] = 5
    tls_client_cert: FileName | None = None
    tls_client_key: FileName | None = None
    tls_client_ca: FileName | None = None
    tls_skip_verify_insecure: bool = False

    @field_validator("tls_client_cert", "tls_client_key", "tls_client_ca", mode="before")
    @classmethod
    def _empty_file_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("tls_skip_verify_insecure")
    @classmethod
    def _only_in_development(cls, value: bool, info: ValidationInfo) -> bool:
        if value and not (info.context or {}).get("development"):
            raise ValueError(
                "is refused: anybody on the way could replace the provider's keys; name the "
                "provider's CA in tls_client_ca instead (or development = true on a test machine)"
            )
        return value

    @model_validator(mode="after")
    def _pair(self) -> UpstreamTls:
        if (self.tls_client_cert is None) != (self.tls_client_key is None):
            raise ValueError("tls_client_cert and tls_client_key go together; set both or neither")
        return self


def _filled(value: Any, key: str, data: dict[str, Any]) -> Any:
    """A preset's value with what the table says in place of its placeholders."""
    if not isinstance(value, str):
        return value
    for name in _PLACEHOLDER.findall(value):
        if not isinstance(data.get(name), str) or not data[name]:
            raise ValueError(
                f"preset {data['preset']!r} needs {name} to know the {key}: {_EXAMPLES[name]}"
            )
    return _PLACEHOLDER.sub(lambda match: data[match[1]].strip("/"), value)


_EXAMPLES = {
    "domain": 'write domain = "…", the host name that the provider gave you',
    "tenant": 'write tenant = "…", the directory (tenant) ID',
    "application_id": 'write application_id = "…", as the provider shows it',
}
