"""A login rehearsed from documents at hand, for ``embedjwt explain``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embedjwt.config.mapping import AdmissionSettings
from embedjwt.config.provider import OidcSource
from embedjwt.config.upstream import SourceSettings
from embedjwt.expressions import ExpressionError
from embedjwt.identity import Documents, Lookups
from embedjwt.mapping import TraceStep
from embedjwt.mapping.attributes import compiled
from embedjwt.oidc.api_answers import read_emails, read_organizations, read_teams

API_ANSWERS = ("emails", "teams", "orgs")
"""What ``{api_url}/emails``, ``teams_url`` or ``{api_url}/teams``, and ``{api_url}/orgs`` say."""


def lookups_of(
    answers: Mapping[str, Any], admission: AdmissionSettings, source: SourceSettings | None
) -> Lookups:
    """What a login would take from these answers. ``ValueError`` for one of another shape."""
    path = compiled(admission.team_ids_attribute_path)
    at_teams_url = isinstance(source, OidcSource) and source.teams_url is not None
    try:
        return Lookups(
            email=read_emails(answers["emails"]) if "emails" in answers else None,
            teams=(
                read_teams(answers["teams"], path, at_teams_url=at_teams_url)
                if "teams" in answers
                else None
            ),
            organizations=read_organizations(answers["orgs"]) if "orgs" in answers else None,
        )
    except ExpressionError as error:
        raise ValueError(f"team_ids_attribute_path: {error.detail}") from error


def live_differences(documents: Documents, source: SourceSettings | None) -> list[TraceStep]:
    """Documents that a login at this source would not believe, and why, as steps of a trace."""
    if not isinstance(source, OidcSource):
        return []
    found: list[tuple[str, str]] = []
    verifies = source.issuer is not None and "openid" in source.requested_scopes
    why_not = "the source has no issuer, or does not ask for openid, to have it verified"
    sub = None if documents.id_token is None else documents.id_token.get("sub")
    if documents.id_token is not None and not verifies:
        found.append(("id_token", why_not))
    elif documents.id_token is not None:
        for name, claims in documents.in_order()[1:]:
            if claims.get("sub") != sub:
                found.append((name, "its sub is not the ID token's (OpenID Connect Core 5.3.2)"))
    elif verifies:
        found += [(name, "there is no ID token") for name, _ in documents.in_order()]
    elif documents.access_token is not None:
        found.append(("access_token", why_not))
    return [
        TraceStep("document", name, "", None, f"a login would not use {name}: {why}")
        for name, why in found
    ]
