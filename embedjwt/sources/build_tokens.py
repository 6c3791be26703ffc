"""From ``[[source]] type = "jwt"`` tables to verifiers, with their keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from embedjwt.config.problems import ConfigError, Problem
from embedjwt.config.secrets import read_secret
from embedjwt.config.source import JwtSource
from embedjwt.sources.alb import ALGORITHM, AlbVerifier
from embedjwt.sources.alb_keys import AlbKeys, keys_url
from embedjwt.sources.calls import build_outbound
from embedjwt.sources.claims import ClaimsPolicy
from embedjwt.sources.jwks import FixedKeys, KeySource, RemoteKeys, load_discovered, load_jwks
from embedjwt.sources.jwt import JwtVerifier
from embedjwt.sources.keyset import HMAC_BYTES, KeySet, from_pem, from_secret, parse_jwks
from embedjwt.strict_json import strict_loads


def jwt_verifier(source: JwtSource, key: str, clock: Callable[[], float]) -> JwtVerifier:
    """The verifier of a table, whose place in the settings is ``key``. Raises ``ConfigError``."""
    if source.signer:
        raise _problem(f"{key}.signer", 'has a meaning only with preset = "aws-alb"')
    return JwtVerifier(
        name=source.name,
        subject_prefix=source.subject_prefix,
        policy=_policy(source),
        algorithms=source.algorithms,
        keys=_keys(source, key, clock),
    )


def alb_verifier(source: JwtSource, key: str, clock: Callable[[], float]) -> AlbVerifier:
    """The same for ``preset = "aws-alb"``, whose keys come one by one.

    ``jwks_url``, where it is given, is the address that they are below.
    """
    if not source.signer:
        raise _problem(
            f"{key}.signer",
            "is missing: every load balancer of AWS signs with keys of the same place",
            "give the ARN of yours, or several",
        )
    if not source.audience:
        raise _problem(
            f"{key}.audience",
            "is empty: tokens for other clients of the issuer would be taken",
            "give the client id that the load balancer has at the issuer",
        )
    if source.algorithms != (ALGORITHM,):
        raise _problem(f"{key}.algorithms", f"a load balancer signs with {ALGORITHM} alone")
    if source.key_file is not None or source.secret is not None or source.secret_file is not None:
        raise _problem(key, "a load balancer's keys change and are fetched by their kid")
    outbound = build_outbound(source, key, clock)
    below: dict[str, AlbKeys] = {}
    for signer in source.signer:
        url = _alb_keys_url(source, signer, key)
        if url not in below:
            below[url] = AlbKeys(url, outbound=outbound, clock=clock, timeout=source.timeout)
    return AlbVerifier(
        name=source.name,
        subject_prefix=source.subject_prefix,
        policy=_policy(source),
        keys={signer: below[_alb_keys_url(source, signer, key)] for signer in source.signer},
    )


def _alb_keys_url(source: JwtSource, signer: str, key: str) -> str:
    if source.jwks_url is not None:
        return source.jwks_url.rstrip("/")
    try:
        return keys_url(signer)
    except ValueError as error:
        raise _problem(
            f"{key}.signer",
            f"{signer!r}: {error}",
            "copy the ARN from the console; in another partition say in jwks_url what the address "
            "of the keys is, without the kid",
        ) from None


def _policy(source: JwtSource) -> ClaimsPolicy:
    return ClaimsPolicy(
        issuer=source.issuer or "",
        audience=source.audience or (),
        require=source.require,
        leeway=source.leeway,
    )


def _keys(source: JwtSource, key: str, clock: Callable[[], float]) -> KeySource:
    if source.key_file is not None:
        return FixedKeys(_key_file(source.key_file, f"{key}.key_file"))
    secret = read_secret(f"{key}.secret", source.secret, source.secret_file)
    if secret is not None:
        at = f"{key}.secret" if source.secret_file is None else f"{key}.secret_file"
        return FixedKeys(_shared_secret(secret.encode(), source.algorithms, at))
    outbound = build_outbound(source, key, clock)
    issuer = source.issuer or ""
    load = (
        partial(load_jwks, outbound, source.jwks_url)
        if source.jwks_url is not None
        else partial(load_discovered, outbound, issuer)
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


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _problem(key, f"{path} cannot be read: {error.strerror}") from None


def _problem(key: str, message: str, fix: str = "") -> ConfigError:
    return ConfigError([Problem(key, message, fix)])
