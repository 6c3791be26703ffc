"""The settings, frozen: what each key means, its default, and what is refused.

Keys that Grafana also has carry Grafana's name and meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from embedjwt.config.gateway import GatewaySettings
from embedjwt.config.mapping import AdmissionSettings, MappingSettings, combined, effective
from embedjwt.config.presets import PRESETS
from embedjwt.config.provider import IntrospectionSource, OidcSource
from embedjwt.config.section import Section
from embedjwt.config.source import AnySource
from embedjwt.config.upstream import SourceSettings
from embedjwt.config.values import (
    BaseUrl,
    Duration,
    FileName,
    HeaderName,
    Network,
    Origin,
    check_origin,
    split_list,
    unique_names,
)

MAX_TTL = 3600
"""Seconds. A stateless token cannot be taken back, so an hour is the most anyone may ask for."""

SigningAlgorithm = Literal["ES256", "ES384", "RS256", "PS256", "EdDSA"]
"""What embedjwt signs with (RFC 7518, RFC 8037); every one of them is accepted by Grafana."""

OrgRole = Literal["None", "Viewer", "Editor", "Admin"]


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

    @property
    def origin(self) -> str:
        """Where browsers find it: ``scheme://host[:port]``, without the scheme's own port."""
        parts = urlsplit(self.url)
        return check_origin(f"{parts.scheme}://{parts.netloc}")

    @property
    def base_path(self) -> str:
        """The path it lives below there, "" for none."""
        return urlsplit(self.url).path


def enabled(sources: tuple[AnySource, ...]) -> tuple[AnySource, ...]:
    """The sources that are not switched off."""
    kept = tuple(source for source in sources if source.enabled)
    if sources and not kept:
        raise ValueError("every source has enabled = false: nobody could be recognised")
    return kept


def _check_names(
    place: str, key: str, names: Sequence[str], known: Sequence[str], kind: str
) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"{place}: {key} names {unknown[0]!r}, which is no {kind}: the rule would never apply"
        )


class WebSettings(Section):
    """``[web]``: which pages may ask for tokens, and which proxies are believed.

    ``max_body_size`` is in bytes.
    """

    allowed_origins: Annotated[tuple[Origin, ...], BeforeValidator(split_list)] = ()
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(split_list)] = ()
    max_body_size: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 64 * 1024


class SessionSettings(Section):
    """``[session]``: embedjwt's own session, after a login at a provider (``type = "oidc"``).

    ``secret_keys`` sign its cookie, newest last, as in a file with one a line; unset, the state
    store keeps one. ``file`` holds the state where there is no ``database``. ``lifetime`` is the
    most a session lives, however often it is renewed.
    """

    secret_keys: tuple[SecretStr, ...] = ()
    secret_keys_file: FileName | None = None
    cookie_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "embedjwt_session"
    cookie_samesite: Literal["lax", "strict", "none"] = "lax"
    lifetime: Annotated[Duration, Field(ge=60, le=31 * 86400)] = 12 * 3600
    file: Annotated[FileName, Field(validate_default=True)] = Path("state.db")


class Settings(Section):
    """``embedjwt.toml``, whole.

    ``development = true`` allows http URLs off loopback and ``tls_skip_verify_insecure``, and says
    so at every start.
    """

    development: bool = False
    issuer: BaseUrl
    database: SecretStr | None = None
    database_file: FileName | None = None
    _directory: Path = PrivateAttr(default=Path())
    token: TokenSettings = TokenSettings()
    keys: KeysSettings = KeysSettings()
    session: SessionSettings = SessionSettings()
    gateway: GatewaySettings = GatewaySettings()
    source: Annotated[
        tuple[AnySource, ...],
        AfterValidator(unique_names),
        AfterValidator(enabled),
        Field(min_length=1),
    ]
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

    @field_validator("keys")
    @classmethod
    def _store_exists(cls, keys: KeysSettings, info: ValidationInfo) -> KeysSettings:
        named = info.data.get("database") or info.data.get("database_file")
        if keys.store == "database" and not named:
            raise ValueError(
                'store = "database" needs database: the URL of a PostgreSQL or SQLite database, '
                'such as database = "postgresql://embedjwt@db.internal/embedjwt"'
            )
        return keys

    @model_validator(mode="after")
    def _whole_for_each_source(self) -> Settings:
        for source in self.source:
            try:
                self.mapping_of(source)
                self.admission_of(source)
            except ValidationError as error:
                why = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise ValueError(f"for source {source.name!r}: {why}") from None
        skipping = [s.name for s in self.source if self.mapping_of(s).skip_org_role_sync]
        if 0 < len(skipping) < len(self.source):
            raise ValueError(
                f"skip_org_role_sync differs between sources (true for {', '.join(skipping)}), and "
                "a Grafana has it once for everybody. Remove it from the sources and write it in "
                "[mapping]: true leaves all roles to Grafana; false gives all people the roles of "
                "their expressions, so look at role_attribute_path of those sources first"
            )
        return self

    @model_validator(mode="after")
    def _gateway_is_whole(self) -> Settings:
        names = [target.name for target in self.behind_gateway]
        rules = self.gateway.rule if self.gateway.proxy is not None else ()
        for number, rule in enumerate(rules):
            place = f"gateway.rule.{number}"
            _check_names(place, "grafana", rule.grafana, names, '[[grafana]] with mode = "gateway"')
            known = self.web.allowed_origins
            _check_names(place, "origins", rule.origins, known, "entry of [web] allowed_origins")
        for target in self.behind_gateway:
            if target.header_name.lower() in ("authorization", "cookie"):
                raise ValueError(
                    f"grafana {target.name!r}: header_name = {target.header_name!r} cannot be with "
                    'mode = "gateway": what a browser sends under that name is taken out on the '
                    "way; use Grafana's usual X-JWT-Assertion"
                )
        places = [(target.origin, target.base_path) for target in self.behind_gateway]
        if len(set(places)) != len(places):
            raise ValueError(
                'two [[grafana]] tables with mode = "gateway" have the same url: that is all by '
                "which requests are told apart"
            )
        if self.gateway.proxy and self.gateway.cookie_name == self.session.cookie_name:
            raise ValueError(
                "cookie_name is the same in [gateway] and [session]: on one host, one cookie would "
                "push out the other"
            )
        if len({target.url.partition(":")[0] for target in self.behind_gateway}) > 1:
            raise ValueError(
                'the urls of [[grafana]] tables with mode = "gateway" must be all https or all '
                "http: one cookie has to be as safe as the other"
            )
        return self

    @model_validator(mode="after")
    def _cookies_arrive(self) -> Settings:
        if self.session.cookie_samesite == "none" and not self.issuer.startswith("https:"):
            raise ValueError(
                'cookie_samesite = "none" in [session] needs an https issuer: browsers ignore such '
                "a cookie from http"
            )
        return self

    @model_validator(mode="after")
    def _know_where_they_are_from(self, info: ValidationInfo) -> Settings:
        self._directory = Path((info.context or {}).get("base", "."))
        return self

    @property
    def directory(self) -> Path:
        """The directory of the file they were read from; relative paths count from there."""
        return self._directory

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

    def source_named(self, name: str) -> SourceSettings | None:
        """The source of that name; ``None`` where there is none."""
        return next((source for source in self.source if source.name == name), None)

    def mapping_of(self, source: SourceSettings | None) -> MappingSettings:
        """``[mapping]`` as it holds for a source: the source's own keys first, then the table's,
        then what the source's preset proposes."""
        return effective(self.mapping, source, PRESETS)

    @property
    def asks_providers(self) -> bool:
        """Whether a request may have to wait for a provider's answer."""
        return any(isinstance(s, OidcSource | IntrospectionSource) for s in self.source)

    @property
    def behind_gateway(self) -> tuple[GrafanaTarget, ...]:
        """The targets that the gateway serves; none where it is off."""
        if self.gateway.proxy is None:
            return ()
        return tuple(target for target in self.grafana if target.mode == "gateway")

    @property
    def combined_mapping(self) -> MappingSettings:
        """What a Grafana has to know of the mappings of all sources together."""
        return combined([self.mapping_of(source) for source in self.source])

    def admission_of(self, source: SourceSettings | None) -> AdmissionSettings:
        """``[admission]`` as it holds for a source."""
        return effective(self.admission, source, PRESETS)

    def ttl(self, target: GrafanaTarget) -> int:
        """Seconds a token for this Grafana lives at most."""
        return target.ttl if target.ttl is not None else self.token.ttl
