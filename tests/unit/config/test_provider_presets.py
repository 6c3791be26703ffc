"""The presets of providers: what their documented tokens make of a person."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from embedjwt.admission import Admission
from embedjwt.config import ConfigError, Settings, parse_settings
from embedjwt.config.providers import PROVIDERS
from embedjwt.errors import AdmissionRefused
from embedjwt.identity import Documents, Identity, Lookups, VerifiedClaims
from embedjwt.mapping import Mapper
from tests_support import MINIMAL, ROOT

MakeSettings = Callable[..., Settings]

TENANT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


@dataclass(frozen=True)
class Person:
    """A person as one provider documents its tokens, and who Grafana should see."""

    preset: str
    keys: dict[str, Any]
    id_token: dict[str, Any] | None
    userinfo: dict[str, Any] | None
    expect: dict[str, Any]
    lookups: Lookups = field(default_factory=Lookups)


PEOPLE = [
    Person(
        "auth0",
        {
            "domain": "acme.eu.auth0.com",
            "groups_attribute_path": '"https://grafana.example.com/groups"',
            "role_attribute_path": "contains(\"https://grafana.example.com/roles\" || `[]`, 'ed') "
            "&& 'Editor' || 'Viewer'",
        },
        {
            "iss": "https://acme.eu.auth0.com/",
            "sub": "auth0|507f1f77bcf86cd799439011",
            "nickname": "ada",
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "email_verified": True,
            "https://grafana.example.com/roles": ["ed"],
            "https://grafana.example.com/groups": ["engines"],
        },
        None,
        {
            "sub": "auth0|507f1f77bcf86cd799439011",
            "login": "ada@example.com",
            "role": "Editor",
            "groups": ("engines",),
        },
    ),
    Person(
        "bitbucket",
        {},
        None,
        {
            "type": "user",
            "display_name": "Ada Lovelace",
            "username": "ada",
            "nickname": "Ada",
            "uuid": "{2f5a}",
            "account_id": "557058:1",
        },
        {"login": "ada", "name": "Ada Lovelace", "email": "ada@example.com", "sub": "ada"},
        Lookups(email="ada@example.com"),
    ),
    Person(
        "centrify",
        {"domain": "aab1234.my.centrify.com", "application_id": "grafana"},
        {
            "iss": "https://aab1234.my.centrify.com/grafana/",
            "sub": "c2c7bcc6",
            "unique_name": "ada@example.com",
            "preferred_username": "ada@example.com",
            "email": "ada.lovelace@example.com",
            "name": "Ada Lovelace",
            "groups": ["engines"],
        },
        None,
        {"login": "ada@example.com", "email": "ada.lovelace@example.com", "groups": ("engines",)},
    ),
    Person(
        "entra-id",
        {"tenant": TENANT},
        {
            "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
            "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
            "oid": "00000000-0000-0000-66f3-3332eca7ea81",
            "tid": TENANT,
            "preferred_username": "ada@example.com",
            "name": "Ada Lovelace",
            "roles": ["Viewer", "Editor", "Something"],
            "groups": ["99999999-8888-7777-6666-555555555555"],
        },
        None,
        {
            "login": "ada@example.com",
            "email": "ada@example.com",
            "role": "Editor",
            "groups": ("99999999-8888-7777-6666-555555555555",),
        },
    ),
    Person(
        "entra-id",  # more than 200 groups
        {"tenant": TENANT},
        {
            "sub": "x",
            "preferred_username": "ada@example.com",
            "_claim_names": {"groups": "src1"},
            "_claim_sources": {"src1": {"endpoint": "https://graph.windows.net/…"}},
        },
        None,
        {"groups": (), "role": "Viewer"},
    ),
    Person(
        "github",
        {},
        None,
        {"login": "octocat", "id": 1, "name": "Mona Lisa Octocat", "email": None},
        {"login": "octocat", "name": "Mona Lisa Octocat", "email": "mona@example.com"},
        Lookups(email="mona@example.com"),
    ),
    Person(
        "gitlab",
        {},
        {
            "sub": "7",
            "preferred_username": "ada",
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "email_verified": True,
            "groups_direct": ["acme/labs"],
        },
        {"sub": "7", "nickname": "ada", "groups": ["acme", "acme/labs"]},
        {"login": "ada", "sub": "7", "groups": ("acme", "acme/labs")},
    ),
    Person(
        "google",
        {},
        {
            "iss": "https://accounts.google.com",
            "sub": "10769150350006150715113082367",
            "email": "ada@example.com",
            "email_verified": True,
            "hd": "example.com",
            "name": "Ada Lovelace",
        },
        None,
        {"login": "ada@example.com", "name": "Ada Lovelace", "groups": ()},
    ),
    Person(
        "keycloak",
        {
            "issuer": "https://sso.example.com/realms/acme",
            "role_attribute_path": "contains(realm_access.roles || `[]`, 'grafana-editor') && "
            "'Editor'",
        },
        {
            "iss": "https://sso.example.com/realms/acme",
            "sub": "f1c2",
            "preferred_username": "ada",
            "email": "ada@example.com",
            "name": "Ada Lovelace",
            "groups": ["/staff/engines"],
            "realm_access": {"roles": ["grafana-editor", "offline_access"]},
        },
        None,
        {"login": "ada", "role": "Editor", "groups": ("/staff/engines",)},
    ),
    Person(
        "okta",
        {"domain": "acme.okta.com"},
        {
            "iss": "https://acme.okta.com",
            "sub": "00uid4BxXw6I6TV4m0g3",
            "preferred_username": "ada@example.com",
            "email": "ada.lovelace@example.com",
            "name": "Ada Lovelace",
        },
        {"sub": "00uid4BxXw6I6TV4m0g3", "groups": ["Everyone", "Engines"]},
        {"login": "ada.lovelace@example.com", "groups": ("Everyone", "Engines")},
    ),
    Person(
        "onelogin",
        {"domain": "acme.onelogin.com"},
        {
            "iss": "https://acme.onelogin.com/oidc/2",
            "sub": "42",
            "preferred_username": "ada",
            "email": "ada@example.com",
            "name": "Ada Lovelace",
        },
        {"sub": "42", "groups": ["Engines"]},
        {"login": "ada", "sub": "42", "groups": ("Engines",)},
    ),
]


def source_of(preset: str, **keys: Any) -> dict[str, Any]:
    return {"type": "oidc", "preset": preset, "client_id": "grafana", **keys}


def identity_of(settings: Settings, person: Person) -> Identity:
    claims = {"id_token": person.id_token, "userinfo": person.userinfo}
    documents = Documents(
        **{name: VerifiedClaims(given) for name, given in claims.items() if given is not None},
        lookups=person.lookups,
    )
    mapper = Mapper(settings.mapping_of(settings.source[0]))
    return mapper.identity(documents, settings.grafana[0])


def test_every_preset_has_somebody() -> None:
    assert {person.preset for person in PEOPLE} == set(PROVIDERS)


@pytest.mark.parametrize("person", PEOPLE, ids=[person.preset for person in PEOPLE])
def test_who_grafana_sees(make_settings: MakeSettings, person: Person) -> None:
    settings = make_settings(source=[source_of(person.preset, **person.keys)])
    identity = identity_of(settings, person)
    assert {key: getattr(identity, key) for key in person.expect} == person.expect


@pytest.mark.parametrize(
    ("preset", "keys", "issuer"),
    [
        ("auth0", {"domain": "acme.eu.auth0.com"}, "https://acme.eu.auth0.com/"),
        (
            "centrify",
            {"domain": "a.my.centrify.com", "application_id": "grafana"},
            "https://a.my.centrify.com/grafana/",
        ),
        ("entra-id", {"tenant": TENANT}, f"https://login.microsoftonline.com/{TENANT}/v2.0"),
        ("gitlab", {}, "https://gitlab.com"),
        ("gitlab", {"issuer": "https://git.example.com"}, "https://git.example.com"),
        ("google", {}, "https://accounts.google.com"),
        ("okta", {"domain": "acme.okta.com"}, "https://acme.okta.com"),
        (
            "okta",
            {"issuer": "https://acme.okta.com/oauth2/default"},
            "https://acme.okta.com/oauth2/default",
        ),
        ("onelogin", {"domain": "acme.onelogin.com"}, "https://acme.onelogin.com/oidc/2"),
        ("bitbucket", {}, None),
        ("github", {}, None),
    ],
)
def test_issuers(
    make_settings: MakeSettings, preset: str, keys: dict[str, str], issuer: str | None
) -> None:
    source = make_settings(source=[source_of(preset, **keys)]).source[0]
    assert source.issuer == issuer
    assert ("openid" in source.requested_scopes) == (issuer is not None)


def test_the_endpoints_of_grafanas_page(make_settings: MakeSettings) -> None:
    centrify = {"domain": "a.my.centrify.com", "application_id": "app"}
    sources = [source_of("bitbucket"), source_of("centrify", **centrify)]
    bitbucket, centrified = make_settings(source=sources).source
    assert bitbucket.auth_url == "https://bitbucket.org/site/oauth2/authorize"
    assert bitbucket.token_url == "https://bitbucket.org/site/oauth2/access_token"
    assert bitbucket.api_url == "https://api.bitbucket.org/2.0/user"
    assert bitbucket.teams_url == "https://api.bitbucket.org/2.0/user/permissions/workspaces"
    assert bitbucket.requested_scopes == ("account", "email")
    assert centrified.auth_url == "https://a.my.centrify.com/OAuth2/Authorize/app"
    assert centrified.token_url == "https://a.my.centrify.com/OAuth2/Token/app"
    assert centrified.api_url == "https://a.my.centrify.com/OAuth2/UserInfo/app"


@pytest.mark.parametrize(
    ("preset", "missing"),
    [
        ("auth0", "domain"),
        ("centrify", "application_id"),
        ("entra-id", "tenant"),
        ("keycloak", "issuer"),
        ("okta", "domain"),
        ("onelogin", "domain"),
    ],
)
def test_what_is_missing_is_named(make_settings: MakeSettings, preset: str, missing: str) -> None:
    keys = {"domain": "a.my.centrify.com"} if preset == "centrify" else {}
    with pytest.raises(ConfigError) as refused:
        make_settings(source=[source_of(preset, **keys)])
    assert missing in refused.value.diagnostics()


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        (["Viewer", "GrafanaAdmin", "Admin"], "Admin"),
        (["Viewer", "Admin"], "Admin"),
        (["None"], "None"),
        (["Other"], "Viewer"),
        ([], "Viewer"),
    ],
)
def test_the_highest_app_role_counts(
    make_settings: MakeSettings, roles: list[str], role: str
) -> None:
    settings = make_settings(source=[source_of("entra-id", tenant=TENANT)])
    claims = {"sub": "1", "email": "ada@example.com", "roles": roles}
    identity = identity_of(settings, Person("entra-id", {}, claims, None, {}))
    assert (identity.role, identity.is_grafana_admin) == (role, False)


def test_keycloak_s_roles_are_in_the_access_token(make_settings: MakeSettings) -> None:
    """As docs/presets/keycloak.md has it: an expression that gives nothing without roles."""
    has = "contains(resource_access.grafana.roles || `[]`, '{}')"
    path = f"{has.format('admin')} && 'Admin' || {has.format('editor')} && 'Editor'"
    issuer = "https://sso.example.com/realms/acme"
    source = source_of("keycloak", issuer=issuer, role_attribute_path=path)
    settings = make_settings(source=[source])
    roles = {"resource_access": {"grafana": {"roles": ["editor"]}}}
    ada = {"sub": "1", "email": "ada@example.com"}
    documents = Documents(
        id_token=VerifiedClaims(ada),
        userinfo=VerifiedClaims(ada),
        access_token=VerifiedClaims(ada | roles),
    )
    mapper = Mapper(settings.mapping_of(settings.source[0]))
    assert mapper.identity(documents, settings.grafana[0]).role == "Editor"


@pytest.mark.parametrize(
    ("preset", "teams", "allowed"), [("github", ("150",), "150"), ("bitbucket", ("acme",), "acme")]
)
def test_teams_come_from_the_api(
    make_settings: MakeSettings, preset: str, teams: tuple[str, ...], allowed: str
) -> None:
    settings = make_settings(source=[source_of(preset)], admission={"team_ids": [allowed]})
    admission = Admission(settings.admission_of(settings.source[0]))
    person = Identity(sub="1", login="ada", email="ada@example.com")
    admission.check(person, Documents(lookups=Lookups(teams=teams)))
    with pytest.raises(AdmissionRefused):
        admission.check(person, Documents(lookups=Lookups(teams=("others",))))


PAGES = [(name, ROOT / "docs/presets" / f"{name}.md") for name in sorted(PROVIDERS)]


@pytest.mark.parametrize(("name", "page"), PAGES, ids=[name for name, _ in PAGES])
def test_every_preset_has_a_page_whose_tables_can_be_pasted(name: str, page: Any) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)
    tables = [tomllib.loads(block) for block in blocks]
    assert any(
        source.get("preset") == name for table in tables for source in table.get("source", [])
    )
    for table in tables:
        if "source" in table:
            parse_settings({**MINIMAL, **table}, {}, base=page.parent, origin=page)
