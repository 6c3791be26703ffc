"""UserInfo, and what Grafana asks of a provider's API beyond it.

``pkg/login/social/connectors/generic_oauth.go``: ``extractFromAPI``, ``fetchPrivateEmail``,
``fetchTeamMemberships``, ``fetchOrganizations``. As there, a request that fails is only logged;
what depends on its answer is then refused elsewhere, because nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import structlog

from embedjwt.errors import UpstreamUnavailable
from embedjwt.expressions import ExpressionError
from embedjwt.identity import VerifiedClaims
from embedjwt.oidc.api_answers import (
    UnusableAnswer,
    read_emails,
    read_organizations,
    read_teams,
)
from embedjwt.oidc.provider import Provider

_log = structlog.get_logger("embedjwt.oidc")

T = TypeVar("T")


def userinfo(provider: Provider, access_token: str, *, sub: str | None) -> VerifiedClaims | None:
    """The UserInfo claims; ``None`` where there are none to be had.

    ``sub`` is the one of the ID token, which UserInfo must then have as well (OpenID Connect Core
    5.3.2), or the answer is about somebody else; ``None`` where there is no ID token.

    NOTE: signed answers (``application/jwt``) are not supported; we ask for JSON.
    """

    def read(document: Any) -> VerifiedClaims:
        if not isinstance(document, dict):
            raise UnusableAnswer("it is no JSON object")
        if sub is not None and document.get("sub") != sub:
            raise UnusableAnswer("its sub is missing, or not the ID token's")
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
    return None if url is None else _look_up(provider, "emails", url, access_token, read_emails)


def teams(provider: Provider, access_token: str) -> tuple[str, ...] | None:
    """The teams from ``teams_url``, or else ``{api_url}/teams``; ``None`` where nobody knows.

    ``teams_url`` without ``team_ids_attribute_path`` is nobody's team, and nothing is asked.
    """
    path, at_teams_url = provider.team_ids_attribute_path, provider.teams_url is not None
    if at_teams_url and path is None:
        return ()
    url = provider.teams_url or _below(provider.api_url, "/teams")
    if url is None:
        return None
    read = partial(read_teams, path=path, at_teams_url=at_teams_url)
    return _look_up(provider, "teams", url, access_token, read)


def organizations(provider: Provider, access_token: str) -> tuple[str, ...] | None:
    """The logins of ``{api_url}/orgs``; ``None`` where nobody knows."""
    url = _below(provider.api_url, "/orgs")
    return (
        None if url is None else _look_up(provider, "orgs", url, access_token, read_organizations)
    )


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
    except (UnusableAnswer, ExpressionError) as error:
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
