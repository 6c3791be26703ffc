"""What the provider says of a person: no more requests than the mapping and admission need."""

from __future__ import annotations

from dataclasses import replace

from embedjwt.errors import UpstreamUnavailable
from embedjwt.identity import Documents, Lookups, VerifiedClaims
from embedjwt.oidc import lookups
from embedjwt.oidc.id_token import verify_access_token
from embedjwt.oidc.provider import Provider
from embedjwt.rules import Rules


def gather(
    provider: Provider,
    rules: Rules,
    id_token: VerifiedClaims | None,
    access_token: str,
    now: int,
) -> Documents:
    """The documents in Grafana's order, each fetched only while an attribute lacks an answer.

    Every attribute takes the first answer there is, so that what comes after changes nothing.
    ``now`` is in Unix seconds. Without an ID token, UserInfo is all that says who this is, and
    ``UpstreamUnavailable`` is raised where it cannot be had; otherwise a document that cannot be
    had is left out, as in Grafana (``generic_oauth.go``, ``collectUserInfoData``).
    """
    documents = Documents(id_token=id_token)
    if rules.unanswered(documents):
        userinfo = lookups.userinfo(provider, access_token, sub=_sub(id_token))
        documents = replace(documents, userinfo=userinfo)
    if id_token is None and documents.userinfo is None:
        raise UpstreamUnavailable(
            "The identity provider does not say who you are.",
            hint=f"source {provider.name!r}: api_url did not answer usably; see the line above",
        )
    if id_token is None and documents.userinfo is not None:
        documents = replace(documents, userinfo=_with_subject(documents.userinfo))
    if id_token is not None and rules.unanswered(documents):
        claims = verify_access_token(provider, access_token, now)
        if claims is not None and claims.get("sub") == _sub(id_token):
            documents = replace(documents, access_token=claims)
    return replace(documents, lookups=_look_up(provider, rules, documents, access_token))


def _look_up(provider: Provider, rules: Rules, documents: Documents, access_token: str) -> Lookups:
    found = documents.lookups
    open_gates = rules.admission.unanswered(documents)
    if "email" in rules.mapper.unanswered(documents):
        found = replace(found, email=lookups.primary_email(provider, access_token))
    # teams_url is where teams come from (generic_oauth.go, fetchTeamMemberships): if it fails,
    # whatever a claim of that name says does not count.
    if provider.teams_url is not None and rules.admission.asks_for_teams:
        found = replace(found, teams=lookups.teams(provider, access_token) or ())
    elif "team_ids" in open_gates:
        found = replace(found, teams=lookups.teams(provider, access_token))
    if "allowed_organizations" in open_gates:
        found = replace(found, organizations=lookups.organizations(provider, access_token))
    return found


def _with_subject(claims: VerifiedClaims) -> VerifiedClaims:
    """With a ``sub`` that stays the person's: plain OAuth 2.0 calls it ``id`` or ``uuid``.

    Without one the login would have to do, which GitHub gives to somebody else once it is free.
    """
    if claims.get("sub"):
        return claims
    names = (claims.get(name) for name in ("id", "uuid"))
    found = next((n for n in names if isinstance(n, str | int) and n), None)
    return claims if found is None else VerifiedClaims({**claims, "sub": str(found)})


def _sub(claims: VerifiedClaims | None) -> str | None:
    return None if claims is None else str(claims["sub"])
