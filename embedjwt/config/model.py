"""The settings, frozen: what each key means, its default, and what is refused.

Keys that Grafana also has carry Grafana's name and meaning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from embedjwt.config.values import (
    BaseUrl,
    Duration,
    Expression,
    FileName,
    HeaderName,
    Network,
    Origin,
    Url,
    Words,
    check_url,
    split_list,
    unique_names,
)

MAX_TTL = 3600
"""Seconds. A stateless token cannot be taken back, so an hour is the most anyone may ask for."""

SigningAlgorithm = Literal["ES256", "ES384", "RS256", "PS256", "EdDSA"]
"""What embedjwt signs with (RFC 7518, RFC 8037); every one of them is accepted by Grafana."""

UpstreamAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
]  # fmt: skip
"""What an upstream token may be signed with. ``none`` is not a word here."""

OrgRole = Literal["None", "Viewer", "Editor", "Admin"]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values never show in messages."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TokenSettings(Section):
    """``[token]``: how long embed tokens live, and whether a fresh one may be handed out again."""

    ttl: Annotated[Duration, Field(ge=30, le=MAX_TTL)] = 300
    reuse: bool = True


class Pkcs11Settings(Section):
    """``[keys.pkcs11]``: private keys in an HSM; needs ``embedjwt[pkcs11]``.

    ``module`` is the vendor's PKCS#11 library, ``token_label`` the token's label in it.
    """

    module: FileName
    token_label: Annotated[str, Field(min_length=1, max_length=32)]
    pin: SecretStr | None = None
    pin_file: FileName | None = None


class KeysSettings(Section):
    """``[keys]``: where signing keys are kept, and how they rotate.

    ``store`` defaults to ``"database"`` where ``database`` is set. ``encryption_keys`` encrypt the
    private keys in a database; newest last, as in a file with one a line.
    """

    store: Literal["directory", "database"] | None = None
    directory: Annotated[FileName, Field(validate_default=True)] = Path("jwks")
    algorithm: SigningAlgorithm = "ES256"
    passphrase: SecretStr | None = None
    passphrase_file: FileName | None = None
    encryption_keys: tuple[SecretStr, ...] = ()
    encryption_keys_file: FileName | None = None
    rotate_every: Annotated[Duration, Field(ge=0, le=3650 * 86400)] = 30 * 86400
    verifier_cache_ttl: Annotated[Duration, Field(ge=60, le=7 * 86400)] = 3600
    propagation_delay: Annotated[Duration, Field(ge=10, le=86400)] = 120
    pkcs11: Pkcs11Settings | None = None

    @model_validator(mode="after")
    def _consistent(self) -> KeysSettings:
        if self.pkcs11 is not None and self.algorithm == "EdDSA":
            raise ValueError(
                "algorithm EdDSA is not available with pkcs11; choose ES256, ES384, RS256 or PS256"
            )
        return self


class SourceSettings(Section):
    """What every ``[[source]]`` has: a name, and a prefix that keeps its subjects apart."""

    name: str = ""
    subject_prefix: str = ""

    @model_validator(mode="before")
    @classmethod
    def _named_after_type(cls, data: object) -> object:
        if isinstance(data, dict) and not data.get("name") and isinstance(data.get("type"), str):
            return {**data, "name": data["type"]}
        return data


class JwtSource(SourceSettings):
    """``[[source]] type = "jwt"``: an upstream JWT in a header or a cookie.

    Keys come from exactly one of ``jwks_url``, ``key_file``, ``secret`` / ``secret_file``; without
    any, from the discovery document of ``issuer`` (OpenID Connect Discovery 1.0 section 4).
    ``issuer`` is compared to the character, a trailing slash too (RFC 7519 section 4.1.1).
    ``audience = []`` says on purpose that the issuer's tokens carry none.
    """

    type: Literal["jwt"]
    header: HeaderName | None = None
    cookie: str | None = None
    issuer: str | None = None
    audience: Words | None = None
    jwks_url: Url | None = None
    key_file: FileName | None = None
    secret: SecretStr | None = None
    secret_file: FileName | None = None
    algorithms: Annotated[tuple[UpstreamAlgorithm, ...], BeforeValidator(split_list)] = (
        "RS256",
        "ES256",
    )
    require: Words = ("exp", "sub")
    leeway: Annotated[Duration, Field(ge=0, le=300)] = 60
    timeout: Annotated[Duration, Field(ge=1, le=30)] = 5
    tls_client_ca: FileName | None = None
    tls_skip_verify_insecure: bool = False

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
    def _consistent(self, info: ValidationInfo) -> JwtSource:
        if self.header and self.cookie:
            raise ValueError("name either header or cookie, not both; two sources can do both")
        if self.audience is None:
            raise ValueError(
                "audience is missing: name the audience (client id) your tokens carry; "
                "write audience = [] only if this issuer's tokens have none"
            )
        given = {
            "jwks_url": self.jwks_url is not None,
            "key_file": self.key_file is not None,
            "secret": self.secret is not None or self.secret_file is not None,
        }
        if sum(given.values()) > 1:
            names = ", ".join(name for name, there in given.items() if there)
            raise ValueError(f"keys come from one place only, but {names} are all set")
        if self.issuer is None:
            raise ValueError(
                "issuer is missing: it is what the tokens' iss must equal, and without jwks_url, "
                "key_file or secret also where the keys are looked up"
            )
        if not any(given.values()):
            check_url(self.issuer, info)  # an address, since discovery starts there
        shared = {a for a in self.algorithms if a.startswith("HS")}
        if given["secret"] and shared != set(self.algorithms):
            raise ValueError('with a shared secret, algorithms must be HS…, e.g. ["HS256"]')
        if not given["secret"] and shared:
            raise ValueError(
                "HS… algorithms need secret or secret_file; with public keys they would let "
                "anybody sign with the public key (RFC 8725 section 2.1)"
            )
        return self


class ProxySource(SourceSettings):
    """``[[source]] type = "proxy"``: identity headers from a reverse proxy that signs people in.

    Believed only from peers in ``[web] trusted_proxies``. ``preset`` fills in the header names.
    """

    type: Literal["proxy"]
    preset: Literal["oauth2-proxy", "authelia", "authentik"] | None = None
    subject_header: HeaderName | None = None
    user_header: HeaderName | None = None
    email_header: HeaderName | None = None
    name_header: HeaderName | None = None
    groups_header: HeaderName | None = None
    groups_separator: Annotated[str, Field(min_length=1, max_length=1)] | None = None

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> ProxySource:
        if not (info.context or {}).get("trusted_proxies"):
            raise ValueError(
                "needs [web] trusted_proxies: without a list of proxies anybody could send "
                'identity headers; write trusted_proxies = ["10.0.0.5"]'
            )
        if self.preset is None and self.user_header is None:
            raise ValueError('needs preset = "oauth2-proxy" (or another) or user_header')
        return self


class CookieSource(SourceSettings):
    """``[[source]] type = "cookie"``: the signed session cookie of a host application.

    ``format = "flask"`` is Flask's own session; ``"itsdangerous"`` any ``URLSafeTimedSerializer``.
    ``secret_keys`` are newest last, as in itsdangerous; ``secret_keys_file`` has one a line.
    ``salt``, ``key_derivation`` and ``digest_method`` default to what the format itself uses.
    ``claims_path`` is a JMESPath to the object that holds the person's claims.
    """

    type: Literal["cookie"]
    cookie_name: Annotated[str, Field(min_length=1)] = "session"
    format: Literal["flask", "itsdangerous"] = "flask"
    secret_keys: tuple[SecretStr, ...] = ()
    secret_keys_file: FileName | None = None
    salt: str | None = None
    key_derivation: Literal["concat", "django-concat", "hmac", "none"] | None = None
    digest_method: Literal["sha1", "sha256", "sha384", "sha512"] | None = None
    max_age: Annotated[Duration, Field(ge=1, le=31 * 86400)] = 3600
    claims_path: Expression = "@"

    @model_validator(mode="after")
    def _consistent(self) -> CookieSource:
        if not self.secret_keys and self.secret_keys_file is None:
            raise ValueError("needs secret_keys_file (or secret_keys): the host app's SECRET_KEY")
        return self


AnySource = Annotated[JwtSource | ProxySource | CookieSource, Field(discriminator="type")]


class MappingSettings(Section):
    """``[mapping]``: Grafana's generic OAuth attribute settings, same names and meaning."""

    email_attribute_name: str = "email:primary"
    email_attribute_path: Expression = ""
    login_attribute_path: Expression = ""
    name_attribute_path: Expression = ""
    groups_attribute_path: Expression = ""
    role_attribute_path: Expression = ""
    role_attribute_strict: bool = False
    allow_assign_grafana_admin: bool = False
    skip_org_role_sync: bool = False
    org_attribute_path: Expression = ""
    org_mapping: Words = ()

    @model_validator(mode="after")
    def _consistent(self) -> MappingSettings:
        if self.allow_assign_grafana_admin and self.skip_org_role_sync:
            raise ValueError(
                "allow_assign_grafana_admin and skip_org_role_sync exclude each other: without "
                "role sync no one is ever made (or unmade) a server admin; remove one of them"
            )
        return self


class AdmissionSettings(Section):
    """``[admission]``: who may have a token at all; an empty list admits everyone.

    ``team_ids_attribute_path`` and ``organizations_attribute_path`` say where the upstream claims
    list teams and organizations.
    """

    allowed_domains: Words = ()
    allowed_organizations: Words = ()
    allowed_groups: Words = ()
    team_ids: Words = ()
    team_ids_attribute_path: Expression = ""
    organizations_attribute_path: Expression = ""


class GrafanaTarget(Section):
    """``[[grafana]]``: one Grafana that tokens are for.

    ``orgs`` is a table of organization name to id, for ``org_mapping`` entries that use names.
    ``mode``: ``"url"`` puts the token into the panel URL (``url_login``), ``"gateway"`` leaves it
    to a reverse proxy. ``ttl`` is in seconds; unset, ``[token] ttl`` holds.
    """

    name: Annotated[str, Field(min_length=1, max_length=64)] = "default"
    url: BaseUrl
    audience: str = ""
    header_name: HeaderName = "X-JWT-Assertion"
    mode: Literal["url", "gateway"] = "url"
    ttl: Annotated[Duration, Field(ge=30, le=MAX_TTL)] | None = None
    auto_assign_org_id: Annotated[int, Field(ge=1)] = 1
    auto_assign_org_role: OrgRole = "Viewer"
    orgs: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)

    @property
    def token_audience(self) -> str:
        """The ``aud`` of its tokens: ``audience``, or the URL where that is unset."""
        return self.audience or self.url


class WebSettings(Section):
    """``[web]``: which pages may ask for tokens, and which proxies are believed.

    ``max_body_size`` is in bytes.
    """

    allowed_origins: Annotated[tuple[Origin, ...], BeforeValidator(split_list)] = ()
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(split_list)] = ()
    max_body_size: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 64 * 1024


class Settings(Section):
    """``embedjwt.toml``, whole.

    ``development = true`` allows http URLs off loopback and ``tls_skip_verify_insecure``, and says
    so at every start.
    """

    development: bool = False
    issuer: BaseUrl
    database: SecretStr | None = None
    database_file: FileName | None = None
    token: TokenSettings = TokenSettings()
    keys: KeysSettings = KeysSettings()
    source: Annotated[tuple[AnySource, ...], AfterValidator(unique_names), Field(min_length=1)]
    mapping: MappingSettings = MappingSettings()
    admission: AdmissionSettings = AdmissionSettings()
    grafana: Annotated[tuple[GrafanaTarget, ...], AfterValidator(unique_names), Field(min_length=1)]
    web: WebSettings = WebSettings()

    @field_validator("grafana")
    @classmethod
    def _audiences_differ(cls, targets: tuple[GrafanaTarget, ...]) -> tuple[GrafanaTarget, ...]:
        audiences = [target.token_audience for target in targets]
        if len(set(audiences)) != len(audiences):
            raise ValueError(
                "two tables have the same audience: a token for one Grafana, with the roles that "
                "hold there, would be good for the other; give each its own audience"
            )
        return targets

    @model_validator(mode="after")
    def _stores_exist(self) -> Settings:
        if self.keys.store == "database" and self.database is None and self.database_file is None:
            raise ValueError(
                'keys.store = "database" needs database: the URL of a PostgreSQL or SQLite '
                'database, such as database = "postgresql://embedjwt@db.internal/embedjwt"'
            )
        return self

    @property
    def key_store(self) -> Literal["directory", "database"]:
        """Where the ring is: as ``[keys] store`` says, or in the database where there is one."""
        if self.keys.store is not None:
            return self.keys.store
        with_database = self.database is not None or self.database_file is not None
        return "database" if with_database else "directory"

    def target(self, name: str | None = None) -> GrafanaTarget | None:
        """The Grafana of that name; without a name the first; ``None`` where there is none."""
        if name is None:
            return self.grafana[0]
        return next((target for target in self.grafana if target.name == name), None)

    def ttl(self, target: GrafanaTarget) -> int:
        """Seconds a token for this Grafana lives at most."""
        return target.ttl if target.ttl is not None else self.token.ttl
