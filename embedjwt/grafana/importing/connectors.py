"""Each of Grafana's OAuth sections as a session source.

A named section means more than it says: its connector has endpoints, scopes and an attribute
mapping of its own. Sources: ``pkg/login/social/connectors/{generic,github,gitlab,google,azuread,
okta}_oauth.go``, ``conf/defaults.ini``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from embedjwt.grafana.importing import named
from embedjwt.grafana.importing.client import (
    carry_default,
    carry_list,
    carry_text,
    put_source,
    read_client,
)
from embedjwt.grafana.importing.draft import BUILT_IN, Carried, Draft, Left, Line, Reader, ToDo
from embedjwt.grafana.importing.issuers import issuer_of
from embedjwt.grafana.importing.rules import KNOWN, place, read_rules
from embedjwt.grafana.oauth_settings import Setting

_ROLES = (
    "role_attribute_path",
    "role_attribute_strict",
    "allow_assign_grafana_admin",
    "skip_org_role_sync",
    "org_mapping",
)

_GENERIC = ("teams_url", "jwk_set_url", "id_token_attribute_name")


@dataclass(frozen=True, slots=True)
class Connector:
    """What Grafana does for one kind of section.

    ``name`` is what the source is called where nobody named it. ``defaults`` are Grafana's own,
    ``rules`` the keys of mapping and admission that this connector reads, and ``shape`` adds what
    it does without being told; its arguments are the section, the draft, and the source's number.
    """

    name: str
    shape: Callable[[Reader, Draft, int], None]
    rules: tuple[str, ...]
    defaults: Mapping[str, str] = field(default_factory=dict)


def read_connector(
    section: str, settings: Mapping[str, Setting], *, index: int, secret_file: str
) -> Draft:
    """The draft of one ``[[source]]`` and its rules. ``index`` counts the sources from 0."""
    connector = _CONNECTORS[section]
    reader, draft = Reader(settings, connector.defaults), Draft()
    read_client(reader, draft, section=f"[{section}]", index=index, secret_file=secret_file)
    read_rules(reader, draft, connector.rules)
    connector.shape(reader, draft, index)
    _account_for_what_is_built_in(section, draft)
    if not any(line.key == "name" for line in draft.source):
        draft.source.append(Line("name", connector.name))
    if not any(line.key == "client_id" for line in draft.source):
        draft.source.append(Line("client_id", "CLIENT-ID", live=False))
    for key, setting in reader.unasked():
        draft.left.append(_not_read(section, key, setting))
    return draft


def _account_for_what_is_built_in(section: str, draft: Draft) -> None:
    """Lists the lines that no setting stands for, and the values that a connector has changed."""
    rules = {place(line.key): line.value for line in draft.rules}
    draft.carried = [replace(one, value=rules.get(one.to, one.value)) for one in draft.carried]
    lines = {f"[[source]] {line.key}": line.value for line in draft.source if line.live} | rules
    known = {one.to for one in draft.carried}
    draft.carried += [
        Carried(f"[{section}] {BUILT_IN}", to, value)
        for to, value in lines.items()
        if to not in known
    ]


def _not_read(section: str, key: str, setting: Setting) -> Left:
    if key in KNOWN or key in _GENERIC:
        return Left(setting.origin, f"Grafana does not read it in [{section}] either")
    return Left(setting.origin, "embedjwt knows no such setting", "look up what it did for you")


def _generic(reader: Reader, draft: Draft, index: int) -> None:
    for key in _GENERIC:
        carry_text(reader, draft, key, index)
    carry_list(reader, draft, "scopes", index)
    empty = reader.given("empty_scopes")
    if empty is not None and reader.is_on("empty_scopes"):
        put_source(draft, "empty_scopes", True, empty, index)
    else:
        carry_default(reader, draft, "empty_scopes", False)
    named.add_hosted_domain(reader, draft)
    scopes = reader.words("scopes")
    if "openid" in scopes and not reader.is_on("empty_scopes"):
        _add_issuer(reader, draft, index)


def _add_issuer(reader: Reader, draft: Draft, index: int) -> None:
    """The one thing that Grafana never asks for: without it an ID token proves nothing."""
    issuer = issuer_of(draft.source_value("auth_url"))
    if issuer is not None and issuer.sure:
        draft.source.append(Line("issuer", issuer.url, issuer.note))
        origin = reader.origin("auth_url", "auth_url")
        draft.carried.append(Carried(origin, "[[source]] issuer", issuer.url))
        if issuer.note:
            draft.todo.append(ToDo(f"source.{index}.issuer", issuer.note))
        return
    likely = issuer.url if issuer is not None else "https://idp.example.com"
    comment = "Exactly what the provider's …/.well-known/openid-configuration calls its issuer."
    draft.source.append(Line("issuer", likely, comment, live=False))
    do = (issuer.note if issuer is not None else "") or (
        "ID tokens are verified against it, and nothing in Grafana's settings says it for sure: "
        "take it from the provider's …/.well-known/openid-configuration"
    )
    draft.todo.append(ToDo(f"source.{index}.issuer", do, blocks=True))


_CONNECTORS = {
    "auth.generic_oauth": Connector(
        "generic_oauth",
        _generic,
        tuple(key for key in KNOWN if key != "organizations_attribute_path"),
        {"scopes": "user:email"},
    ),
    "auth.github": Connector(
        "github",
        named.github,
        (*_ROLES, "allowed_domains", "allowed_organizations", "team_ids"),
        {
            "scopes": "user:email,read:org",
            "auth_url": "https://github.com/login/oauth/authorize",
            "token_url": "https://github.com/login/oauth/access_token",
            "api_url": "https://api.github.com/user",
        },
    ),
    "auth.gitlab": Connector(
        "gitlab",
        named.gitlab,
        (*_ROLES, "allowed_domains", "allowed_groups"),
        {
            "scopes": "openid email profile",
            "auth_url": "https://gitlab.com/oauth/authorize",
            "token_url": "https://gitlab.com/oauth/token",
        },
    ),
    "auth.google": Connector(
        "google",
        named.google,
        (*_ROLES, "allowed_domains", "allowed_groups"),
        {
            "scopes": "openid email profile",
            "auth_url": "https://accounts.google.com/o/oauth2/v2/auth",
            "token_url": "https://oauth2.googleapis.com/token",
            "skip_org_role_sync": "true",
            "validate_hd": "true",
        },
    ),
    "auth.azuread": Connector(
        "azuread",
        named.azuread,
        (*_ROLES[1:], "allowed_domains", "allowed_groups", "allowed_organizations"),
        {"scopes": "openid email profile", "use_refresh_token": "true"},
    ),
    "auth.okta": Connector(
        "okta",
        named.okta,
        (*_ROLES, "org_attribute_path", "allowed_domains", "allowed_groups"),
        {"scopes": "openid profile email groups"},
    ),
}
