"""How a source calls its upstream, as its ``tls_*`` keys and ``timeout`` say."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from embedjwt.config.problems import ConfigError, Problem
from embedjwt.config.upstream import UpstreamTls
from embedjwt.outbound import Outbound


def build_outbound(source: UpstreamTls, key: str, clock: Callable[[], float]) -> Outbound:
    """For one ``[[source]]``, whose place in the settings ``key`` names.

    ``clock`` is in seconds and never goes back. ``ConfigError`` names files that cannot be used.
    """
    return Outbound(
        verify=_authorities(source, key),
        certificate=_certificate(source, key),
        clock=clock,
        total=source.timeout,
    )


def _authorities(source: UpstreamTls, key: str) -> str | bool:
    """The CA bundle's path, or whether to check at all."""
    if source.tls_skip_verify_insecure:
        return False
    path = source.tls_client_ca
    if path is None:
        return True
    try:
        ssl.create_default_context(cafile=str(path))
    except OSError as error:
        raise _unusable(
            f"{key}.tls_client_ca",
            f"{path} cannot be used: {error.strerror or 'it holds no certificate'}",
            "give a PEM file with the provider's CA certificates",
        ) from None
    return str(path)


def _certificate(source: UpstreamTls, key: str) -> tuple[str, str] | None:
    certificate, private_key = source.tls_client_cert, source.tls_client_key
    if certificate is None or private_key is None:
        return None
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(certificate, private_key, password="")
    except (OSError, ValueError) as error:
        raise _unusable(
            f"{key}.tls_client_cert",
            f"{certificate} and {private_key} cannot be used: {error}",
            "they must be PEM, belong together, and the key unencrypted",
        ) from None
    return str(certificate), str(private_key)


def _unusable(key: str, message: str, fix: str) -> ConfigError:
    return ConfigError([Problem(key, message, fix)])
