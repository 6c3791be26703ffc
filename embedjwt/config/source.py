"""``[[source]]``: each kind of upstream session, and the keys it has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    model_validator,
)

from embedjwt.config.provider import IntrospectionSource, OidcSource
from embedjwt.config.upstream import (
    PresetKeys,
    SourceSettings,
    UpstreamAlgorithm,
    UpstreamTls,
)
from embedjwt.config.values import (
    Duration,
    Expression,
    FileName,
    HeaderName,
    Url,
    Words,
    check_url,
    split_list,
)


class JwtSource(PresetKeys, UpstreamTls, SourceSettings):
    """``[[source]] type = "jwt"``: an upstream JWT in a header or a cookie.

    Keys come from exactly one of ``jwks_url``, ``key_file``, ``secret`` / ``secret_file``; without
    any, from the discovery document of ``issuer`` (OpenID Connect Discovery 1.0 section 4).
    ``issuer`` is compared to the character, a trailing slash too (RFC 7519 section 4.1.1).
    ``audience = []`` says on purpose that the issuer's tokens carry none.
    ``preset`` knows a front door's header and keys; ``signer`` is the ARN of the load balancer
    whose ``x-amzn-oidc-data`` is believed, or several.
    """

    type: Literal["jwt"]
    preset: Literal["aws-alb", "cloudflare-access", "google-iap", "pomerium"] | None = None
    signer: Words = ()
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
    preset: Literal["oauth2-proxy", "authelia", "authentik", "azure-app-service"] | None = None
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


AnySource = Annotated[
    JwtSource | OidcSource | IntrospectionSource | ProxySource | CookieSource,
    Field(discriminator="type"),
]
