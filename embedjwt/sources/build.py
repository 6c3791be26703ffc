"""From the settings to the sources: key and secret files are read here, once, at start."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

from embedjwt.config.model import Settings
from embedjwt.config.problems import ConfigError, Problem
from embedjwt.config.secrets import read_secret, read_secret_file
from embedjwt.config.source import CookieSource, JwtSource, ProxySource
from embedjwt.expressions import compile_expression
from embedjwt.sources.carrier import BearerHeader, Carrier, Cookie, NamedHeader
from embedjwt.sources.chain import SessionSource
from embedjwt.sources.claims import ClaimsPolicy
from embedjwt.sources.cookie import FORMATS, SignedCookie, SigningScheme
from embedjwt.sources.fetch import Fetcher
from embedjwt.sources.jwks import FixedKeys, KeySource, RemoteKeys, load_discovered, load_jwks
from embedjwt.sources.jwt import JwtTokens, JwtVerifier
from embedjwt.sources.keyset import HMAC_BYTES, KeySet, from_pem, from_secret, parse_jwks
from embedjwt.sources.proxy import PRESETS, IdentityHeaders, ProxyHeaders
from embedjwt.sources.strict_json import strict_loads


def configured_sources(settings: Settings, clock: Callable[[], float]) -> list[SessionSource]:
    """The sources in the order of the settings.

    JWT sources that look at the same place become one, at the place of the first. ``clock`` counts
    seconds and never goes back. ``ConfigError`` names every file or secret that cannot be used.
    """
    sources: list[SessionSource] = []
    issuers: dict[Carrier, dict[str, JwtVerifier]] = {}
    problems: list[Problem] = []
    for number, source in enumerate(settings.source):
        key = f"source.{number}"
        try:
            if isinstance(source, JwtSource):
                carrier = _carrier(source)
                if carrier not in issuers:
                    issuers[carrier] = {}
                    sources.append(JwtTokens(carrier, issuers[carrier]))
                _add_issuer(issuers[carrier], source, key, clock)
            elif isinstance(source, ProxySource):
                sources.append(_proxy(source, settings.web.trusted_proxies))
            else:
                sources.append(_cookie(source, key))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return sources


def _carrier(source: JwtSource) -> Carrier:
    if source.cookie is not None:
        return Cookie(source.cookie)
    if source.header is None or source.header.lower() == "authorization":
        return BearerHeader()
    return NamedHeader(source.header.lower())


def _add_issuer(
    issuers: dict[str, JwtVerifier], source: JwtSource, key: str, clock: Callable[[], float]
) -> None:
    issuer = source.issuer or ""
    if issuer in issuers:
        raise _problem(
            f"{key}.issuer",
            "another source already accepts this issuer's tokens from the same place",
            "make one source of the two; audience may list several",
        )
    issuers[issuer] = JwtVerifier(
        name=source.name,
        subject_prefix=source.subject_prefix,
        policy=ClaimsPolicy(
            issuer=issuer,
            audience=source.audience or (),
            require=source.require,
            leeway=source.leeway,
        ),
        algorithms=source.algorithms,
        keys=_keys(source, issuer, key, clock),
    )


def _keys(source: JwtSource, issuer: str, key: str, clock: Callable[[], float]) -> KeySource:
    if source.key_file is not None:
        return FixedKeys(_key_file(source.key_file, f"{key}.key_file"))
    secret = read_secret(f"{key}.secret", source.secret, source.secret_file)
    if secret is not None:
        at = f"{key}.secret" if source.secret_file is None else f"{key}.secret_file"
        return FixedKeys(_shared_secret(secret.encode(), source.algorithms, at))
    fetcher = Fetcher(verify=_tls_verification(source, key), clock=clock)
    load = (
        partial(load_jwks, fetcher, source.jwks_url)
        if source.jwks_url is not None
        else partial(load_discovered, fetcher, issuer)
    )
    return RemoteKeys(load, url=source.jwks_url or issuer, clock=clock, timeout=source.timeout)


def _key_file(path: Path, key: str) -> KeySet:
    data = _read(path, key)
    try:
        return parse_jwks(strict_loads(data)) if data.lstrip()[:1] == b"{" else from_pem(data)
    except ValueError as error:
        raise _problem(
            key,
            f"{path} cannot be used: {error}",
            "give a PEM public key (openssl pkey -in private.pem -pubout) or a JWK set",
        ) from None


def _shared_secret(secret: bytes, algorithms: tuple[str, ...], key: str) -> KeySet:
    needed = max((HMAC_BYTES[algorithm] for algorithm in algorithms), default=0)
    if len(secret) < needed:
        raise _problem(
            key,
            f"is shorter than {needed} bytes, which RFC 7518 section 3.2 asks for",
            "openssl rand -hex 32",
        )
    return from_secret(secret)


def _tls_verification(source: JwtSource, key: str) -> str | bool:
    if source.tls_skip_verify_insecure:
        return False
    path = source.tls_client_ca
    if path is None:
        return True
    try:
        ssl.create_default_context(cafile=str(path))
    except OSError as error:
        raise _problem(
            f"{key}.tls_client_ca",
            f"{path} cannot be used: {error.strerror or 'it holds no certificate'}",
            "give a PEM file with the provider's CA certificates",
        ) from None
    return str(path)


def _proxy(source: ProxySource, trusted: tuple[str, ...]) -> ProxyHeaders:
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


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _problem(key, f"{path} cannot be read: {error.strerror}") from None


def _problem(key: str, message: str, fix: str = "") -> ConfigError:
    return ConfigError([Problem(key, message, fix)])
