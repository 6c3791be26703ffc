"""Which issuer stands behind an authorization endpoint.

Grafana never asks for it; without it an ID token cannot be verified (OpenID Connect Core 3.1.3.7).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_MICROSOFT = (
    r"login\.(?:microsoftonline\.(?:com|us)|partner\.microsoftonline\.cn|chinacloudapi\.cn)"
)

_OKTA = r".*\.(?:okta\.com|oktapreview\.com|okta-emea\.com|okta-gov\.com)"


@dataclass(frozen=True, slots=True)
class Issuer:
    """``url`` is the issuer, or where ``sure`` is false the likely one; ``note`` says what to
    compare it with."""

    url: str
    sure: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Rule:
    host: str
    path: str
    issuer: Callable[[SplitResult, re.Match[str]], str]
    sure: bool = True
    note: str = ""


def _at(path: str) -> Callable[[SplitResult, re.Match[str]], str]:
    """The issuer on the same host; ``{0}`` is the first group of the path's pattern."""
    return lambda url, match: f"{url.scheme}://{url.netloc.lower()}{path.format(*match.groups())}"


_RULES = (
    _Rule(r"accounts\.google\.com", r"/o/oauth2/.*", lambda *_: "https://accounts.google.com"),
    _Rule(r"gitlab\.com", r"/oauth/authorize", lambda *_: "https://gitlab.com"),
    _Rule(_MICROSOFT, rf"/({_GUID})/oauth2/v2\.0/authorize", _at("/{0}/v2.0")),
    _Rule(
        _MICROSOFT,
        r"/[^/]+/oauth2/.*",
        _at("/TENANT-ID/v2.0"),
        sure=False,
        note="Put the directory (tenant) ID in: tokens always name it, so one table knows one "
        "tenant, and neither 'common' nor a domain will do",
    ),
    _Rule(r".*\.auth0\.com", r"/authorize", _at("/")),
    _Rule(r".*\.onelogin\.com", r"(/oidc/2)/auth", _at("{0}")),
    _Rule(
        r".*\.(?:my\.centrify\.com|my\.idaptive\.app|id\.cyberark\.cloud)",
        r"(?i:/oauth2/authorize)/([^/]+)/?",
        _at("/{0}/"),
        note="Compare it with the OpenID Connect Issuer URL that the application's Trust tab shows",
    ),
    _Rule(
        _OKTA,
        r"/oauth2/v1/authorize",
        _at(""),
    ),
    _Rule(
        _OKTA,
        r"(/oauth2/[^/]+)/v1/authorize",
        _at("{0}"),
    ),
    _Rule(r".*", r"(.*/realms/[^/]+)/protocol/openid-connect/auth", _at("{0}")),
    # What follows is the shape of a product that may stand under any name.
    _Rule(r".*", r"(/oauth2/[^/]+)/v1/authorize", _at("{0}"), sure=False),
    _Rule(r".*", r"/oauth2/v1/authorize", _at(""), sure=False),
    _Rule(r".*", r"(.*)/oauth/authorize", _at("{0}"), sure=False),
    _Rule(
        r".*",
        r"(.*/application/o)/authorize/?",
        _at("{0}/SLUG/"),
        sure=False,
        note="Put the slug of the authentik application in",
    ),
    _Rule(r".*", r"(/adfs)/oauth2/authorize/?", _at("{0}"), sure=False),
    _Rule(
        r".*\.amazoncognito\.com",
        r"/oauth2/authorize",
        lambda *_: "https://cognito-idp.REGION.amazonaws.com/USER-POOL-ID",
        sure=False,
        note="Put the region and the ID of the user pool in",
    ),
    _Rule(r".*", r"/authorize", _at("/"), sure=False),
    _Rule(r".*", r"(.*)/(?:auth|authorize|authorization)/?", _at("{0}"), sure=False),
)


def issuer_of(auth_url: str) -> Issuer | None:
    """The issuer of the provider at this endpoint; ``None`` where there is nothing to go by."""
    try:
        url = urlsplit(auth_url)
    except ValueError:
        return None
    if url.scheme not in ("http", "https") or not url.hostname or "@" in url.netloc:
        return None
    for rule in _RULES:
        match = re.fullmatch(rule.path, url.path)
        if match is not None and re.fullmatch(rule.host, url.hostname):
            return Issuer(rule.issuer(url, match), rule.sure, rule.note)
    return None
