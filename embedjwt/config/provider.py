"""``[[source]]`` tables that ask a provider: ``type = "oidc"`` and ``"introspection"``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from embedjwt.config.upstream import PresetKeys, SourceSettings, UpstreamAlgorithm, UpstreamTls
from embedjwt.config.values import Duration, FileName, HeaderName, Url, Words, check_url, split_list

AuthStyle = Literal["AutoDetect", "InParams", "InHeader"]
"""How ``client_id`` and ``client_secret`` travel to the token endpoint (golang.org/x/oauth2)."""

OPENID_SCOPES = ("openid", "profile", "email")
GRAFANA_SCOPES = ("user:email",)
"""Grafana's default (``conf/defaults.ini``, ``[auth.generic_oauth] scopes``)."""


class Client(UpstreamTls):
    """Who this service is to a provider."""

    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretStr | None = None
    client_secret_file: FileName | None = None
    auth_style: AuthStyle = "AutoDetect"

    @field_validator("client_secret", "client_secret_file", mode="before")
    @classmethod
    def _empty_secret_is_none(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("client_id")
    @classmethod
    def _no_placeholder(cls, value: str) -> str:
        if value.startswith("<") and value.endswith(">"):
            raise ValueError("is still a placeholder: write what the provider gave you")
        return value

    @field_validator("auth_style", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        """As Grafana reads it: in any case, and AutoDetect where it is empty."""
        known = {"": "AutoDetect", "autodetect": "AutoDetect"}
        known |= {"inparams": "InParams", "inheader": "InHeader"}
        return known.get(value.lower(), value) if isinstance(value, str) else value


class OidcSource(PresetKeys, Client, SourceSettings):
    """``[[source]] type = "oidc"``: embedjwt's own login at an OpenID or OAuth 2.0 provider.

    The keys are those of Grafana's ``[auth.generic_oauth]``, with the same meaning. With ``issuer``
    what is not given is found by discovery; without one this is plain OAuth 2.0: no ID token is
    believed, and the person is who ``api_url`` says.
    Unlike in Grafana, PKCE and refresh tokens are used unless switched off, and ``scopes`` default
    to ``openid profile email`` where there is an ``issuer``.
    """

    type: Literal["oidc"]
    preset: (
        Literal[
            "auth0", "bitbucket", "centrify", "entra-id", "github", "gitlab", "google",
            "keycloak", "okta", "onelogin",
        ]
        | None
    ) = None  # fmt: skip
    icon: str = ""
    issuer: str | None = None
    auth_url: Url | None = None
    token_url: Url | None = None
    api_url: Url | None = None
    teams_url: Url | None = None
    jwk_set_url: Url | None = None
    signout_redirect_url: Url | None = None
    scopes: Words | None = None
    empty_scopes: bool = False
    allow_sign_up: bool = True
    auto_login: bool = False
    use_pkce: bool = True
    use_refresh_token: bool = True
    id_token_attribute_name: Annotated[str, Field(min_length=1)] = "id_token"
    algorithms: Annotated[tuple[UpstreamAlgorithm, ...], BeforeValidator(split_list)] = (
        "RS256",
        "ES256",
    )
    leeway: Annotated[Duration, Field(ge=0, le=300)] = 60

    @field_validator("name")
    @classmethod
    def _fits_into_a_path(cls, value: str) -> str:
        """It ends the redirect URI where there are several providers."""
        if value in (".", "..") or not value.isprintable() or set(value) & set("/\\%"):
            raise ValueError("must be printable, without / \\ and %, for it is part of an address")
        return value

    @field_validator(
        "auth_url",
        "token_url",
        "api_url",
        "teams_url",
        "jwk_set_url",
        "signout_redirect_url",
        "id_token_attribute_name",
        "issuer",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: Any, info: ValidationInfo) -> Any:
        if value == "":
            return "id_token" if info.field_name == "id_token_attribute_name" else None
        return value

    @model_validator(mode="before")
    @classmethod
    def _empty_switches_are_unset(cls, data: object) -> object:
        """``use_pkce =`` in Grafana's file is the default."""
        if not isinstance(data, dict):
            return data
        switches = {k for k, f in cls.model_fields.items() if f.annotation in (bool, bool | None)}
        return {k: v for k, v in data.items() if not (k in switches and v == "")}

    @property
    def requested_scopes(self) -> tuple[str, ...]:
        """What is asked for; nothing where ``empty_scopes`` says so."""
        if self.empty_scopes:
            return ()
        return self.scopes or (OPENID_SCOPES if self.issuer else GRAFANA_SCOPES)

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> OidcSource:
        if self.issuer is not None:
            check_url(self.issuer, info)
        elif self.auth_url is None or self.token_url is None:
            raise ValueError(
                "needs issuer (its endpoints are then found by discovery), or for plain OAuth 2.0 "
                "auth_url, token_url and api_url"
            )
        elif "openid" in self.requested_scopes:
            raise ValueError(
                "scopes asks for openid, so issuer is needed to verify the ID token: it is what "
                "the tokens' iss says, and …/.well-known/openid-configuration below it answers"
            )
        elif self.api_url is None:
            raise ValueError(
                "needs api_url: without an ID token it is all that says who the person is"
            )
        if not self.use_pkce and self.client_secret is None and self.client_secret_file is None:
            raise ValueError(
                "use_pkce = false needs a client_secret: without either, whoever sees a code on "
                "its way can use it (RFC 9700 section 2.1.1)"
            )
        if any(algorithm.startswith("HS") for algorithm in self.algorithms):
            raise ValueError("algorithms must be public-key ones: RS…, PS…, ES… or EdDSA")
        return self


class IntrospectionSource(Client, SourceSettings):
    """``[[source]] type = "introspection"``: opaque bearer tokens (RFC 7662).

    The endpoint is ``introspection_url``, or what discovery at ``issuer`` names. ``audience`` and
    ``required_scopes`` must be in the answer's ``aud`` and ``scope``; ``audience = []`` says on
    purpose that any token of this issuer will do. ``api_url`` adds UserInfo. An answer is
    remembered for ``cache_ttl`` at most, and never longer than the token lives.
    """

    type: Literal["introspection"]
    header: HeaderName | None = None
    cookie: str | None = None
    issuer: str | None = None
    introspection_url: Url | None = None
    api_url: Url | None = None
    audience: Words | None = None
    required_scopes: Words = ()
    cache_ttl: Annotated[Duration, Field(ge=0, le=60)] = 60
    leeway: Annotated[Duration, Field(ge=0, le=300)] = 60

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> IntrospectionSource:
        if self.header and self.cookie:
            raise ValueError("name either header or cookie, not both; two sources can do both")
        if self.introspection_url is None and self.issuer is None:
            raise ValueError("needs introspection_url, or issuer to find it by discovery")
        if self.issuer is not None:
            check_url(self.issuer, info)
        if self.audience is None:
            raise ValueError(
                "audience is missing: name what the answer's aud must hold; write audience = [] "
                "only if the provider gives none"
            )
        return self
