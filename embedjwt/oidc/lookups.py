"""UserInfo, and what Grafana asks of a provider's API beyond it.

``pkg/login/social/connectors/generic_oauth.go``: ``extractFromAPI``, ``fetchPrivateEmail``,
``fetchTeamMemberships``, ``fetchOrganizations``. As there, a request that fails is only logged;
what depends on its answer is then refused elsewhere, because nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import structlog

from embedjwt.errors import UpstreamUnavailable
from embedjwt.expressions import Expression, ExpressionError
from embedjwt.identity import VerifiedClaims
from embedjwt.oidc.provider import Provider

_log = structlog.get_logger("embedjwt.oidc")

T = TypeVar("T")


class _Unusable(Exception):
    """An answer of another shape; the text says which and quotes nothing."""


def userinfo(provider: Provider, access_token: str, *, sub: str | None) -> VerifiedClaims | None:
    """The UserInfo claims; ``None`` where there are none to be had.

    ``sub`` is the one of the ID token, which UserInfo must then have as well (OpenID Connect Core
    5.3.2), or the answer is about somebody else; ``None`` where there is no ID token.

    NOTE: signed answers (``application/jwt``) are not supported; we ask for JSON.
    """

    def read(document: Any) -> VerifiedClaims:
        if not isinstance(document, dict):
            raise _Unusable("it is no JSON object")
        if sub is not None and document.get("sub") != sub:
            raise _Unusable("its sub is missing, or not the ID token's")
        return VerifiedClaims(document)

    try:
        url = provider.metadata().userinfo_endpoint
    except UpstreamUnavailable as error:
        _log_failure(provider, "userinfo", error.hint)
        return None
    return None if url is None else _look_up(provider, "userinfo", url, access_token, read)


def primary_email(provider: Provider, access_token: str) -> str | None:
    """The primary address of ``{api_url}/emails``; ``None`` where there is none."""
    url = _below(provider.api_url, "/emails")
    return None if url is None else _look_up(provider, "emails", url, access_token, _primary)


def teams(provider: Provider, access_token: str) -> tuple[str, ...] | None:
    """The teams from ``teams_url``, or else ``{api_url}/teams``; ``None`` where nobody knows.

    ``teams_url`` without ``team_ids_attribute_path`` is nobody's team, and nothing is asked.
    """
    path = provider.team_ids_attribute_path
    if provider.teams_url is not None:
        if path is None:
            return ()
        found = path
        return _look_up(
            provider,
            "teams",
            provider.teams_url,
            access_token,
            lambda document: _found(found, document),
        )
    url = _below(provider.api_url, "/teams")
    if url is None:
        return None
    return _look_up(
        provider,
        "teams",
        url,
        access_token,
        lambda document: (_found(path, document) if path else ()) or _ids(document),
    )


def organizations(provider: Provider, access_token: str) -> tuple[str, ...] | None:
    """The logins of ``{api_url}/orgs``; ``None`` where nobody knows."""
    url = _below(provider.api_url, "/orgs")
    return None if url is None else _look_up(provider, "orgs", url, access_token, _logins)


def _look_up(
    provider: Provider, what: str, url: str, access_token: str, read: Callable[[Any], T]
) -> T | None:
    try:
        document = provider.outbound.get_json(
            url, provider.deadline(), bearer=access_token, from_data_of=provider.data_of(url)
        )
        return read(document)
    except UpstreamUnavailable as error:
        _log_failure(provider, what, error.hint)
    except (_Unusable, ExpressionError) as error:
        _log_failure(provider, what, f"its answer was refused: {error}")
    return None


def _log_failure(provider: Provider, what: str, why: str) -> None:
    _log.warning("oidc.lookup_failed", source=provider.name, what=what, hint=why)


def _below(url: str | None, suffix: str) -> str | None:
    """A URL with more path; its query stays what it was."""
    if url is None:
        return None
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + suffix))


def _primary(document: Any) -> str | None:
    """The first marked entry of a list, or of the list under ``values`` (Bitbucket)."""
    for record in _records(document.get("values") if isinstance(document, dict) else document):
        if record.get("primary") is True or record.get("is_primary") is True:
            email = record.get("email")
            # One that somebody has only claimed to have could be anybody's.
            unverified = any(record.get(name) is False for name in _VERIFIED)
            return email if isinstance(email, str) and email and not unverified else None
    return None


_VERIFIED = ("verified", "is_confirmed", "email_verified")
"""What GitHub, Bitbucket and OpenID Connect call it."""


def _ids(document: Any) -> tuple[str, ...]:
    return tuple(str(record["id"]) for record in _records(document) if _is_int(record.get("id")))


def _logins(document: Any) -> tuple[str, ...]:
    logins = [record.get("login") for record in _records(document)]
    return tuple(login for login in logins if isinstance(login, str) and login)


def _records(document: Any) -> list[dict[str, Any]]:
    if not isinstance(document, list) or not all(isinstance(item, dict) for item in document):
        raise _Unusable("it is no list of objects")
    return document


def _found(path: Expression, document: Any) -> tuple[str, ...]:
    """The texts and whole numbers that an expression finds; a missing list is an empty one."""
    found = path.search(document)
    if found is None:
        return ()
    if not isinstance(found, list):
        raise _Unusable("team_ids_attribute_path finds no list in it")
    texts = [str(int(item)) if _is_int(item) else item for item in found]
    return tuple(text for text in texts if isinstance(text, str) and text)


def _is_int(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or value.is_integer()
