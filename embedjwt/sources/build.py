"""From the settings to the sources: key and secret files are read here, once, at start."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from embedjwt.config.model import Settings
from embedjwt.config.problems import ConfigError, Problem
from embedjwt.config.provider import IntrospectionSource, OidcSource
from embedjwt.config.secrets import read_secret_file
from embedjwt.config.source import AnySource, CookieSource, JwtSource, ProxySource
from embedjwt.expressions import compile_expression
from embedjwt.sources.alb import AlbTokens, AlbVerifier
from embedjwt.sources.app_service import AppServicePrincipal
from embedjwt.sources.build_opaque import opaque_tokens
from embedjwt.sources.build_tokens import alb_verifier, jwt_verifier
from embedjwt.sources.carrier import BearerHeader, Carrier, Cookie, NamedHeader
from embedjwt.sources.chain import SessionSource
from embedjwt.sources.cookie import FORMATS, SignedCookie, SigningScheme
from embedjwt.sources.jwt import JwtTokens, JwtVerifier
from embedjwt.sources.peers import TrustedPeers
from embedjwt.sources.proxy import PRESETS, IdentityHeaders, ProxyHeaders

_HEADER_KEYS = (
    "subject_header",
    "user_header",
    "email_header",
    "name_header",
    "groups_header",
    "groups_separator",
)


def configured_sources(
    settings: Settings, clock: Callable[[], float], own: SessionSource | None = None
) -> list[SessionSource]:
    """The sources in the order of the settings.

    JWT sources that look at the same place become one, at the place of the first; so do ``oidc``
    sources, whose sessions ``own`` recognises. ``clock`` counts seconds and never goes back.
    ``ConfigError`` names every file or secret that cannot be used.
    """
    building = _Building(settings, clock, own)
    problems: list[Problem] = []
    for number, source in enumerate(settings.source):
        try:
            building.add(source, f"source.{number}")
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return building.sources


class _Building:
    """The sources so far, and those of them that further tables may join."""

    def __init__(
        self, settings: Settings, clock: Callable[[], float], own: SessionSource | None
    ) -> None:
        self.sources: list[SessionSource] = []
        self._settings = settings
        self._clock = clock
        self._own = own
        self._trusted = TrustedPeers(settings.web.trusted_proxies)
        # A front door adds its header to whatever a browser sends, as the browser adds cookies.
        self._front_door_headers = {
            source.header.lower()
            for source in settings.source
            if isinstance(source, JwtSource) and source.preset and source.header
        }
        self._issuers: dict[Carrier, dict[str, JwtVerifier]] = {}
        self._alb_issuers: dict[Carrier, dict[str, AlbVerifier]] = {}
        self._opaque: set[Carrier] = set()

    def add(self, source: AnySource, key: str) -> None:
        """Raises ``ConfigError``; ``key`` is the table's place in the settings."""
        if isinstance(source, JwtSource):
            self._add_jwt(source, key)
        elif isinstance(source, IntrospectionSource):
            self._add_introspection(source, key)
        elif isinstance(source, OidcSource):
            if self._own is not None and self._own not in self.sources:
                self.sources.append(self._own)
        elif isinstance(source, ProxySource):
            self.sources.append(_proxy(source, key, self._trusted))
        else:
            self.sources.append(_cookie(source, key))

    def _add_jwt(self, source: JwtSource, key: str) -> None:
        carrier = self._carrier(source)
        if source.preset == "aws-alb":
            if carrier not in self._alb_issuers:
                self._alb_issuers[carrier] = {}
                self.sources.append(AlbTokens(carrier, self._alb_issuers[carrier]))
            issuer = _new_issuer(self._alb_issuers[carrier], source, key)
            self._alb_issuers[carrier][issuer] = alb_verifier(source, key, self._clock)
            return
        if carrier not in self._issuers:
            self._issuers[carrier] = {}
            follows = self._introspection_follows(carrier, source)
            self.sources.append(JwtTokens(carrier, self._issuers[carrier], others_follow=follows))
        issuer = _new_issuer(self._issuers[carrier], source, key)
        self._issuers[carrier][issuer] = jwt_verifier(source, key, self._clock)

    def _introspection_follows(self, carrier: Carrier, source: JwtSource) -> bool:
        later = self._settings.source[self._settings.source.index(source) + 1 :]
        return any(
            isinstance(other, IntrospectionSource) and self._carrier(other) == carrier
            for other in later
        )

    def _add_introspection(self, source: IntrospectionSource, key: str) -> None:
        carrier = self._carrier(source)
        if carrier in self._opaque:
            raise _problem(
                key,
                "another introspection source already asks about the tokens at this place",
                "give one of the two a header or cookie of its own",
            )
        self._opaque.add(carrier)
        self.sources.append(opaque_tokens(source, key, carrier, self._clock))

    def _carrier(self, source: JwtSource | IntrospectionSource) -> Carrier:
        if source.cookie is not None:
            return Cookie(source.cookie)
        header = (source.header or "Authorization").lower()
        if header == "authorization":
            return BearerHeader()
        return NamedHeader(header, ambient=header in self._front_door_headers)


def _new_issuer(issuers: Mapping[str, object], source: JwtSource, key: str) -> str:
    issuer = source.issuer or ""
    if issuer in issuers:
        raise _problem(
            f"{key}.issuer",
            "another source already accepts this issuer's tokens from the same place",
            "make one source of the two; audience may list several",
        )
    return issuer


def _proxy(source: ProxySource, key: str, trusted: TrustedPeers) -> SessionSource:
    if source.preset == "azure-app-service":
        for name in _HEADER_KEYS:
            if getattr(source, name) is not None:
                raise _problem(f"{key}.{name}", "has no meaning with preset azure-app-service")
        return AppServicePrincipal(
            name=source.name, subject_prefix=source.subject_prefix, trusted=trusted
        )
    return ProxyHeaders(
        name=source.name,
        subject_prefix=source.subject_prefix,
        headers=_identity_headers(source),
        trusted=trusted,
    )


def _identity_headers(source: ProxySource) -> IdentityHeaders:
    preset = PRESETS[source.preset] if source.preset is not None else IdentityHeaders()
    return preset.overridden(
        subject=source.subject_header,
        user=source.user_header,
        email=source.email_header,
        name=source.name_header,
        groups=source.groups_header,
        separator=source.groups_separator,
    )


def _cookie(source: CookieSource, key: str) -> SignedCookie:
    own = FORMATS[source.format]
    return SignedCookie(
        name=source.name,
        subject_prefix=source.subject_prefix,
        cookie_name=source.cookie_name,
        keys=_cookie_keys(source, key),
        scheme=SigningScheme(
            salt=own.salt if source.salt is None else source.salt,
            key_derivation=source.key_derivation or own.key_derivation,
            digest_method=source.digest_method or own.digest_method,
            serializer=own.serializer,
        ),
        max_age=source.max_age,
        claims_path=compile_expression(source.claims_path or "@"),
    )


def _cookie_keys(source: CookieSource, key: str) -> list[bytes]:
    keys = [secret.get_secret_value().encode() for secret in source.secret_keys]
    if b"" in keys:
        raise _problem(f"{key}.secret_keys", "an empty key verifies what anybody signed")
    if source.secret_keys_file is not None:
        text = read_secret_file(f"{key}.secret_keys_file", source.secret_keys_file)
        keys += [line.encode() for line in text.replace("\r\n", "\n").split("\n") if line]
    return keys


def _problem(key: str, message: str, fix: str = "") -> ConfigError:
    return ConfigError([Problem(key, message, fix)])
