"""What an operator should hear at every start: allowed, but worth a thought."""

from __future__ import annotations

from urllib.parse import urlsplit

from embedjwt.config.model import CookieSource, JwtSource, Settings
from embedjwt.config.values import is_loopback


def warnings(settings: Settings) -> list[str]:
    """Sentences that name the key, the risk, and the way out. Empty where there is nothing."""
    found: list[str] = []
    if settings.development:
        found.append("development = true: checks that protect production are off; remove it there")
    urls = {"issuer": settings.issuer} | {
        f"grafana {target.name!r} url": target.url for target in settings.grafana
    }
    for key, url in urls.items():
        parts = urlsplit(url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            found.append(f"{key} is http: tokens and keys can be read and replaced on the way")
    for source in settings.source:
        if isinstance(source, JwtSource):
            found += _jwt_warnings(source)
        if isinstance(source, CookieSource):
            short = [key for key in source.secret_keys if len(key.get_secret_value()) < 16]
            if short:
                found.append(
                    f"source {source.name!r}: a secret key under 16 characters is guessable"
                )
    for domain in settings.admission.allowed_domains:
        if "@" in domain:
            found.append(f"allowed_domains {domain!r} admits nobody: write it without the @")
    for target in settings.grafana:
        if target.mode == "gateway":
            found.append(
                f'grafana {target.name!r} has mode = "gateway": panel URLs carry no token; a '
                "reverse proxy of yours has to set the header on every request"
            )
    prefixes = [source.subject_prefix for source in settings.source]
    if len(prefixes) != len(set(prefixes)):
        found.append(
            "several sources share a subject_prefix: if two of them call different people by one "
            "sub, Grafana takes them for one person; give each source its own subject_prefix"
        )
    return found


def _jwt_warnings(source: JwtSource) -> list[str]:
    found = []
    if source.tls_skip_verify_insecure:
        found.append(
            f"source {source.name!r}: tls_skip_verify_insecure: anybody on the way can replace "
            "the provider's keys and sign in as anyone"
        )
    if source.audience == ():
        found.append(
            f"source {source.name!r}: audience = []: a token that {source.issuer} gave to any "
            "other application is accepted too, unless it names an audience"
        )
    if source.secret is not None and len(source.secret.get_secret_value()) < 32:
        found.append(f"source {source.name!r}: a secret under 32 bytes (RFC 7518 section 3.2)")
    return found
