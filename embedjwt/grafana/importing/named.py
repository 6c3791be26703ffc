"""What Grafana's connectors for named providers do without being told."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlencode, urlsplit, urlunsplit

from embedjwt.grafana.importing.client import carry_text, put_source
from embedjwt.grafana.importing.draft import (
    Carried,
    Draft,
    Left,
    Line,
    Reader,
    ToDo,
    without_password,
)
from embedjwt.grafana.importing.issuers import issuer_of
from embedjwt.grafana.ini import ini_bool
from embedjwt.grafana.oauth_settings import Setting

_OPENID = ["openid", "email", "profile"]
_OFFLINE = "offline_access"
_GOOGLE_GROUPS = "https://www.googleapis.com/auth/cloud-identity.groups.readonly"
_ADDRESS_OR_NAME = "email || preferred_username"
_VERIFIED = "verified e-mail"
_OF_USERINFO = "Grafana asks UserInfo alone for it; unlike an ID token, that has no iat."


def github(reader: Reader, draft: Draft, index: int) -> None:
    """Plain OAuth 2.0: the person is who the API says; teams and organizations come from there."""
    _scopes(reader, draft, index, openid=False)
    if draft.rule_value("team_ids") is not None:
        url = draft.source_value("api_url").rstrip("/") + "/teams?per_page=100"
        draft.source.append(Line("teams_url", url))
        draft.rule("team_ids_attribute_path", "[*].id")
    if draft.rule_value("allowed_organizations") is not None:
        reason = "names are compared exactly here; Grafana forgives another case for GitHub"
        do = "write each as GitHub shows it"
        draft.left.append(Left(reader.origin("allowed_organizations", ""), reason, do))
    reason = "GitHub's teams (@org/team) are no groups here: each of them counts as missing"
    _without_groups(reader, draft, reason)


def gitlab(reader: Reader, draft: Draft, index: int) -> None:
    """OpenID Connect; names from the token, groups from UserInfo, an unconfirmed e-mail refused."""
    base = re.sub("/oauth/authorize/?$", "", draft.source_value("auth_url"))
    _issuer(draft, base, {"auth_url": "/oauth/authorize", "token_url": "/oauth/token"})
    api = reader.given("api_url")
    if api is not None:
        _drop(draft, "api_url")
        draft.carried = [c for c in draft.carried if c.to != "[[source]] api_url"]
        reason = "GitLab is asked for UserInfo, not for /user and /groups of its API"
        do = "allow the scope openid in the GitLab application; role_attribute_path sees UserInfo"
        draft.left.append(Left(api.origin, reason, do))
    _scopes(reader, draft, index, openid=True)
    draft.rule("login_attribute_path", "preferred_username")
    draft.rule("groups_attribute_path", "groups")
    _ask_userinfo(draft, "role_attribute_path")
    _orgs_from_groups(draft, "groups")
    _only_verified(draft)


def google(reader: Reader, draft: Draft, index: int) -> None:
    """OpenID Connect; the e-mail is the login, an unverified one refused, and ``hd`` compared."""
    add_hosted_domain(reader, draft)
    _issuer(
        draft,
        "https://accounts.google.com",
        {"auth_url": "/o/oauth2/v2/auth", "token_url": "", "api_url": ""},
        known=("https://oauth2.googleapis.com/token",
               "https://openidconnect.googleapis.com/v1/userinfo"),
    )  # fmt: skip
    _scopes(reader, draft, index, openid=True)
    _only_verified(draft)
    domains, switch = draft.rule_value("allowed_domains"), reader.given("validate_hd")
    if switch is not None:
        to = "[admission] organizations_attribute_path"
        draft.carried.append(Carried(switch.origin, to, None))
    if domains is not None and reader.is_on("validate_hd"):
        comment = "The account itself must belong to one of the domains (Grafana's validate_hd)."
        draft.rule("allowed_organizations", domains, comment)
        draft.rule("organizations_attribute_path", "email_verified == `true` && [hd]")
    reason = "embedjwt does not ask Google for groups: each of them counts as missing"
    _without_groups(reader, draft, reason)


def azuread(reader: Reader, draft: Draft, index: int) -> None:
    """OpenID Connect; everything from the ID token: app roles, groups, the tenant."""
    hint = reader.given("domain_hint")
    auth_url = draft.source_value("auth_url")
    issuer = issuer_of(auth_url)
    if issuer is not None and issuer.sure:
        paths = {"auth_url": "/oauth2/v2.0/authorize", "token_url": "/oauth2/v2.0/token"}
        base = issuer.url.removesuffix("/v2.0")
        known = tuple(base + path for path in paths.values())
        _issuer(draft, issuer.url, dict.fromkeys(paths, ""), known=known)
    else:
        example = "https://login.microsoftonline.com/TENANT-ID/v2.0"
        draft.source.append(Line("issuer", example, live=False))
        do = "put the directory (tenant) ID in: tokens always name it, so one table knows one "
        do += "tenant, and neither 'common' nor a domain will do; write a [[source]] for each"
        draft.todo.append(ToDo(f"source.{index}.issuer", do, blocks=True))
    if hint is not None:
        if not draft.source_value("auth_url"):
            draft.source.append(Line("auth_url", auth_url))
        _add_query(draft, hint, "domain_hint")
    _scopes(reader, draft, index, openid=True, offline=reader.is_on("use_refresh_token"))
    draft.rule("email_attribute_path", "preferred_username")
    draft.rule("login_attribute_path", _ADDRESS_OR_NAME)
    draft.rule("groups_attribute_path", "groups")
    comment = "The highest of the app roles; Grafana takes them in any case, here in these three."
    draft.rule("role_attribute_path", _highest_app_role(), comment)
    _orgs_from_groups(draft, "groups")
    if draft.rule_value("allowed_organizations") is not None:
        draft.rule("organizations_attribute_path", "[tid]", "The tenant of the account.")
    graph = reader.given("force_use_graph_api")
    if graph is not None and ini_bool(graph.value, False):
        reason = "embedjwt takes groups from the ID token and does not ask Microsoft Graph"
        do = "let the token hold the groups assigned to the application (docs/presets/entra-id.md)"
        draft.left.append(Left(graph.origin, reason, do))
    elif graph is not None:
        draft.left.append(Left(graph.origin, "Microsoft Graph is never asked"))


def okta(reader: Reader, draft: Draft, index: int) -> None:
    """OpenID Connect; names from the ID token, groups, role and organizations from UserInfo."""
    carry_text(reader, draft, "jwk_set_url", index)
    issuer = issuer_of(draft.source_value("auth_url"))
    if issuer is None:
        draft.source.append(Line("issuer", "https://example.okta.com", live=False))
        do = "the issuer of the Okta authorization server: https://DOMAIN, or for one of your own "
        draft.todo.append(
            ToDo(f"source.{index}.issuer", do + "https://DOMAIN/oauth2/ID", blocks=True)
        )
    else:
        below = "/v1/" if "/oauth2/" in issuer.url else "/oauth2/v1/"
        ends = {"auth_url": "authorize", "token_url": "token", "api_url": "userinfo"}
        _issuer(draft, issuer.url, {key: below + end for key, end in ends.items()})
    _scopes(reader, draft, index, openid=True, offline=reader.is_on("use_refresh_token"))
    draft.rule("email_attribute_path", "preferred_username")
    draft.rule("login_attribute_path", _ADDRESS_OR_NAME)
    draft.rule("groups_attribute_path", "!iat && groups", _OF_USERINFO)
    _ask_userinfo(draft, "role_attribute_path")
    _ask_userinfo(draft, "org_attribute_path")


def add_hosted_domain(reader: Reader, draft: Draft) -> None:
    """``hd``, which Grafana sends to every provider (``pkg/services/authn/clients/oauth.go``)."""
    hosted = reader.given("hosted_domain")
    if hosted is None:
        return
    _add_query(draft, hosted, "hd")
    if draft.rule_value("allowed_domains") is None:
        reason = "it is a hint to the provider, in Grafana as here: it keeps nobody out"
        do = "name the domain in allowed_domains, too"
        draft.left.append(Left(hosted.origin, reason, do))


def _scopes(
    reader: Reader, draft: Draft, index: int, *, openid: bool, offline: bool = False
) -> None:
    setting, scopes = reader.given("scopes"), reader.words("scopes")
    if isinstance(scopes, list) and openid and "openid" not in scopes:
        reason = "without openid there would be no ID token to verify"
        do = f"let the client ask for {' '.join(_OPENID)} at the provider"
        draft.left.append(Left(reader.origin("scopes", "scopes"), reason, do))
        scopes, setting = _OPENID, None
    if isinstance(scopes, list) and offline and _OFFLINE not in scopes:
        scopes = [*scopes, _OFFLINE]
    put_source(draft, "scopes", scopes, setting, index)


def _issuer(draft: Draft, issuer: str, paths: dict[str, str], known: tuple[str, ...] = ()) -> None:
    """Sets the issuer, and leaves out those endpoints that its discovery document names anyway."""
    draft.source.append(Line("issuer", issuer))
    for key, path in paths.items():
        value = draft.source_value(key)
        if value in known or (path and value.rstrip("/") == issuer + path):
            _drop(draft, key)
            draft.carried = [
                replace(carried, to="[[source]] issuer")
                if carried.to == f"[[source]] {key}"
                else carried
                for carried in draft.carried
            ]


def _drop(draft: Draft, key: str) -> None:
    draft.source = [line for line in draft.source if line.key != key]


def _add_query(draft: Draft, hint: Setting, name: str) -> None:
    """Puts a hint for the provider into the query of ``auth_url``, as Grafana sends it."""
    url = urlsplit(draft.source_value("auth_url"))
    together = "&".join(part for part in (url.query, urlencode({name: hint.value})) if part)
    value = urlunsplit(url._replace(query=together))
    _drop(draft, "auth_url")
    draft.source.append(Line("auth_url", value))
    draft.carried.append(Carried(hint.origin, "[[source]] auth_url", without_password(value)))


def _ask_userinfo(draft: Draft, key: str) -> None:
    """Keeps an expression that ends in ``|| 'Viewer'`` from answering for the ID token already.

    ``sub`` also keeps it from the second try, on ``{"groups": […]}``.
    """
    text = draft.rule_value(key)
    if isinstance(text, str) and text:
        draft.rule(key, f"sub && !iat && ({text})", _OF_USERINFO)


def _orgs_from_groups(draft: Draft, groups: str) -> None:
    """The named connectors look up ``org_mapping`` by group."""
    if draft.rule_value("org_mapping") is not None:
        draft.rule("org_attribute_path", groups)


def _only_verified(draft: Draft) -> None:
    comment = "Grafana refuses an e-mail that the provider has not verified; so does this."
    draft.rule("allowed_organizations", [_VERIFIED], comment)
    path = f"email_verified == `true` && ['{_VERIFIED}']"
    draft.rule("organizations_attribute_path", path)


def _without_groups(reader: Reader, draft: Draft, reason: str) -> None:
    """Says where groups are asked for that nothing here will ever find."""
    role, orgs = draft.rule_value("role_attribute_path"), draft.rule_value("org_mapping")
    if isinstance(role, str) and re.search(r"\bgroups\b", role):
        do = "choose by another attribute; mind what the expression gives to people without groups"
        draft.left.append(Left(reader.origin("role_attribute_path", ""), reason, do))
    if isinstance(orgs, list) and any(not entry.startswith("*") for entry in orgs):
        draft.left.append(Left(reader.origin("org_mapping", ""), reason, "only * entries apply"))
    if draft.rule_value("allowed_groups") is not None:
        do = "nobody is let in before you replace it with another rule"
        draft.left.append(Left(reader.origin("allowed_groups", ""), reason, do))


def _highest_app_role() -> str:
    def having(role: str) -> str:
        words = (role, role.lower(), role.upper())
        return f"roles[?{' || '.join(f'@=={chr(39)}{word}{chr(39)}' for word in words)}]"

    roles = ("GrafanaAdmin", "Admin", "Editor", "Viewer", "None")
    return f"({' || '.join(having(role) for role in roles)})[0]"
