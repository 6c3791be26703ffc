"""Whom Grafana sees after a login, paragraph by paragraph of its page on generic OAuth."""

from __future__ import annotations

from typing import Any

import pytest
from compare_kit import NOW, Idp, sign
from cryptography.hazmat.primitives.asymmetric import ec

from embedjwt.errors import AdmissionRefused, MappingRefused, UpstreamUnavailable

ADA = "ada@example.com"
ROLES = (
    "contains(info.roles[*], 'admin') && 'Admin' || "
    "contains(info.roles[*], 'editor') && 'Editor' || 'Viewer'"
)
ADMINS = ROLES.replace("'Admin'", "'GrafanaAdmin'")


@pytest.mark.parametrize(
    ("keys", "id_token", "api", "step"),
    [
        ({}, {"email": ADA}, {"": {"email": "b@x"}}, 1),
        ({}, {}, {"": {"email": ADA}}, 1),
        ({"email_attribute_path": "mail"}, {}, {"": {"mail": ADA}}, 2),
        ({"email_attribute_path": "mail"}, {"mail": ADA}, {"": {"email": "b@x"}}, 2),
        ({}, {"attributes": {"email:primary": [ADA, "b@x"]}}, {}, 3),
        ({"email_attribute_name": "main"}, {"attributes": {"main": [ADA]}}, {}, 3),
        ({}, {}, {"": {"attributes": {"email:primary": [ADA]}}}, 3),
        ({}, {"upn": ADA}, {}, 3),
        ({}, {}, {"/emails": [{"email": "b@x"}, {"email": ADA, "primary": True}]}, 4),
        ({}, {}, {"/emails": {"values": [{"email": ADA, "is_primary": True}]}}, 4),
    ],
)
def test_the_email_steps(idp: Idp, keys: Any, id_token: Any, api: Any, step: int) -> None:
    if "" in api:
        api[""]["sub"] = "u1"
    person = idp.login(id_token=id_token, api=api, **keys)
    assert (person.email, person.login) == (ADA, ADA)
    assert ("/api/emails" in idp.api_paths()) == (step == 4)


@pytest.mark.parametrize("emails", [[{"email": ADA}], [], 404, "x"], ids=str)
def test_nobody_comes_in_without_an_email(idp: Idp, emails: Any) -> None:
    with pytest.raises(MappingRefused) as refused:
        idp.login(id_token={}, api={"/emails": emails})
    assert refused.value.code == "email_missing"
    assert "/api/emails" in idp.api_paths()


@pytest.mark.parametrize(
    ("keys", "id_token", "role"),
    [
        ({"role_attribute_path": "role"}, {"role": "Editor"}, "Editor"),
        ({"role_attribute_path": "role"}, {"role": "editor"}, "Editor"),
        ({"role_attribute_path": "role"}, {}, "Viewer"),
        ({"role_attribute_path": "role"}, {"role": "Owner"}, "Viewer"),
        ({"role_attribute_path": ROLES}, {"info": {"roles": ["engineer", "admin"]}}, "Admin"),
        ({"role_attribute_path": ROLES}, {"info": {"roles": ["editor"]}}, "Editor"),
        ({"role_attribute_path": ROLES}, {"info": {"roles": ["engineer"]}}, "Viewer"),
        ({"role_attribute_path": ADMINS}, {"info": {"roles": ["admin"]}}, "Admin"),
    ],
)
def test_the_role_examples(idp: Idp, keys: Any, id_token: Any, role: str) -> None:
    person = idp.login(id_token={"email": ADA, **id_token}, **keys)
    assert (person.role, person.is_grafana_admin) == (role, False)
    assert person.org_roles == {1: role}


@pytest.mark.parametrize(
    ("roles", "role", "server_admin"), [(["admin"], "Admin", True), (["editor"], "Editor", False)]
)
def test_the_server_admin_example(
    idp: Idp, roles: list[str], role: str, server_admin: bool
) -> None:
    keys = {"role_attribute_path": ADMINS, "allow_assign_grafana_admin": True}
    person = idp.login(id_token={"email": ADA, "info": {"roles": roles}}, **keys)
    assert (person.role, person.is_grafana_admin) == (role, server_admin)
    assert person.org_roles == {1: role}


@pytest.mark.parametrize("claims", [{}, {"role": "Owner"}, {"role": ["Admin"]}], ids=str)
def test_strict_refuses_no_role_and_an_invalid_one(idp: Idp, claims: dict[str, Any]) -> None:
    keys = {"role_attribute_path": "role", "role_attribute_strict": True}
    with pytest.raises(MappingRefused) as refused:
        idp.login(id_token={"email": ADA, **claims}, **keys)
    assert refused.value.code == "role_missing"


PATHS = {
    "login_attribute_path": "nick",
    "name_attribute_path": "full",
    "role_attribute_path": "role",
    "groups_attribute_path": "info.groups",
}
CLAIMS: dict[str, Any] = {
    "nick": "ada",
    "full": "Ada Lovelace",
    "role": "Editor",
    "info": {"groups": ["engineers", "analysts"]},
}


def found(person: Any) -> tuple[Any, ...]:
    return person.login, person.name, person.role, person.groups


def test_each_path_asks_the_id_token_first(idp: Idp) -> None:
    other = {"nick": "b", "full": "B", "role": "Admin", "info": {"groups": ["x"]}, "sub": "u1"}
    person = idp.login(id_token={"email": ADA, **CLAIMS}, api={"": other}, **PATHS)
    assert found(person) == ("ada", "Ada Lovelace", "Editor", ("engineers", "analysts"))
    assert idp.api_paths() == [], "nothing was missing, so that UserInfo is not asked"


@pytest.mark.parametrize("missing", CLAIMS)
def test_each_path_asks_userinfo_next(idp: Idp, missing: str) -> None:
    known = {name: value for name, value in CLAIMS.items() if name != missing}
    userinfo = {"sub": "u1", missing: CLAIMS[missing]}
    person = idp.login(id_token={"email": ADA, **known}, api={"": userinfo}, **PATHS)
    assert found(person) == ("ada", "Ada Lovelace", "Editor", ("engineers", "analysts"))
    assert idp.api_paths() == ["/api"]


def test_userinfo_that_fails_is_done_without_where_there_is_an_id_token(idp: Idp) -> None:
    assert idp.login(id_token={"email": ADA}, api={"": 500}).email == ADA
    with pytest.raises(UpstreamUnavailable):
        idp.login(id_token=None, api={"": 500})


def test_userinfo_without_the_id_tokens_subject_is_not_asked_about_the_person(idp: Idp) -> None:
    keys = {"role_attribute_path": "role"}
    for userinfo in ({"role": "Admin"}, {"role": "Admin", "sub": "u2"}):
        assert idp.login(id_token={"email": ADA}, api={"": userinfo}, **keys).role == "Viewer"


@pytest.mark.parametrize(
    ("changes", "key", "role"),
    [
        ({}, None, "Editor"),
        ({"sub": "u2"}, None, "Viewer"),
        ({"iss": "https://evil.example.com"}, None, "Viewer"),
        ({"exp": NOW - 120}, None, "Viewer"),
        ({}, ec.generate_private_key(ec.SECP256R1()), "Viewer"),
    ],
    ids=["good", "another-person", "another-issuer", "expired", "another-key"],
)
def test_an_access_token_that_is_a_jwt(idp: Idp, changes: Any, key: Any, role: str) -> None:
    claims = {"iss": idp.server.url, "sub": "u1", "exp": NOW + 60, "role": "Editor", **changes}
    access_token = sign(claims, key) if key else sign(claims)
    keys = {"role_attribute_path": "role"}
    assert idp.login(id_token={"email": ADA}, access_token=access_token, **keys).role == role


def test_an_id_token_under_another_name_in_the_token_response(idp: Idp) -> None:
    keys = {"id_token_attribute_name": "identity"}
    assert idp.login(id_token={"email": ADA}, tokens={"id_token": "no.t.me"}, **keys).email == ADA


@pytest.mark.parametrize(
    ("claims", "lifetime", "seconds"),
    [({"exp": NOW + 600}, 3600, 600), ({"exp": NOW + 7200}, 3600, 3600)],
)
def test_a_session_lives_no_longer_than_the_provider_vouches_and_its_lifetime(
    idp: Idp, claims: dict[str, Any], lifetime: int, seconds: int
) -> None:
    record = idp.record(id_token={"email": ADA, **claims}, lifetime=lifetime)
    assert (record.expires_at - NOW, record.ends_at - NOW) == (seconds, lifetime)


@pytest.mark.parametrize(("keys", "kept"), [({}, "R"), ({"use_refresh_token": False}, None)])
def test_a_refresh_token_is_used_unless_switched_off(idp: Idp, keys: Any, kept: Any) -> None:
    tokens = {"refresh_token": "R"}
    assert idp.record(id_token={"email": ADA}, tokens=tokens, **keys).refresh_token == kept


TEAMS = {"values": [{"workspace": {"slug": "acme"}}, {"workspace": {"slug": "labs"}}]}
SLUGS = "values[*].workspace.slug"


@pytest.mark.parametrize(
    ("keys", "api", "admitted", "asked"),
    [
        ({"path": SLUGS, "url": True}, {"/spaces": TEAMS}, True, "/api/spaces"),
        ({"path": "values", "url": True}, {"/spaces": {"values": [7]}}, True, "/api/spaces"),
        ({"path": "values", "url": True}, {"/spaces": {"values": ["x"]}}, False, "/api/spaces"),
        ({"path": SLUGS, "url": True}, {"/spaces": 500}, False, "/api/spaces"),
        ({"path": "", "url": True}, {"/spaces": ["acme"]}, False, None),
        ({"path": "", "url": False}, {"/teams": [{"id": 7}, {"id": 9}]}, True, "/api/teams"),
        ({"path": "", "url": False}, {"/teams": [{"id": 9}]}, False, "/api/teams"),
        ({"path": "", "url": False}, {"/teams": 404}, False, "/api/teams"),
    ],
)
def test_teams_are_asked_for(idp: Idp, keys: Any, api: Any, admitted: bool, asked: Any) -> None:
    section = {"team_ids": "acme 7", "team_ids_attribute_path": keys["path"]}
    if keys["url"]:
        section["teams_url"] = f"{idp.server.url}/api/spaces"
    told = {"id_token": {"email": ADA}, "api": api, **section}
    if admitted:
        assert idp.login(**told).email == ADA
    else:
        with pytest.raises(AdmissionRefused) as refused:
            idp.login(**told)
        assert refused.value.code == "team_not_allowed"
    assert [path for path in idp.api_paths() if path != "/api"] == ([asked] if asked else [])


def test_with_teams_url_no_claim_stands_in_for_it(idp: Idp) -> None:
    section = {
        "team_ids": "acme",
        "team_ids_attribute_path": "teams",
        "teams_url": f"{idp.server.url}/api/spaces",
    }
    with pytest.raises(AdmissionRefused):
        idp.login(id_token={"email": ADA, "teams": ["acme"]}, api={"/spaces": 500}, **section)


@pytest.mark.parametrize(
    ("claims", "asked"), [({}, True), ({"teams": [{"id": 7}], "organizations": ["acme"]}, False)]
)
def test_a_claim_spares_the_request(idp: Idp, claims: dict[str, Any], asked: bool) -> None:
    api = {"/teams": [{"id": 7}], "/orgs": [{"login": "acme"}]}
    section = {"team_ids": "7", "allowed_organizations": "acme"}
    assert idp.login(id_token={"email": ADA, **claims}, api=api, **section).email == ADA
    assert ("/api/teams" in idp.api_paths(), "/api/orgs" in idp.api_paths()) == (asked, asked)


@pytest.mark.parametrize(
    ("orgs", "admitted"),
    [([{"login": "acme"}], True), ([{"login": "Acme"}], False), ([], False), (500, False)],
    ids=str,
)
def test_organizations_are_asked_for(idp: Idp, orgs: Any, admitted: bool) -> None:
    told = {"id_token": {"email": ADA}, "api": {"/orgs": orgs}, "allowed_organizations": "acme"}
    if admitted:
        assert idp.login(**told).email == ADA
    else:
        with pytest.raises(AdmissionRefused) as refused:
            idp.login(**told)
        assert refused.value.code == "organization_not_allowed"
    assert idp.api_paths()[-1] == "/api/orgs"


@pytest.mark.parametrize(
    ("email", "admitted"),
    [("ada@mycompany.com", True), ("ada@MyCompany.ORG", True), ("ada@a.mycompany.com", False)],
)
def test_domains(idp: Idp, email: str, admitted: bool) -> None:
    told = {"id_token": {"email": email}, "allowed_domains": "mycompany.com mycompany.org"}
    if admitted:
        assert idp.login(**told).email == email
    else:
        with pytest.raises(AdmissionRefused) as refused:
            idp.login(**told)
        assert refused.value.code == "domain_not_allowed"


@pytest.mark.parametrize(("workspace", "admitted"), [("acme", True), ("other", False)])
def test_somebody_from_bitbucket(idp: Idp, workspace: str, admitted: bool) -> None:
    """Plain OAuth 2.0: the API says who it is, where they belong, and how to write to them."""
    told: dict[str, Any] = {
        "preset": "bitbucket",
        "teams_url": f"{idp.server.url}/api/permissions/workspaces",
        "team_ids": workspace,
        "api": {
            "": {"username": "ada", "display_name": "Ada Lovelace", "uuid": "{2f5a}"},
            "/emails": {"values": [{"email": ADA, "is_primary": True, "is_confirmed": True}]},
            "/permissions/workspaces": TEAMS,
        },
    }
    if admitted:
        person = idp.login(**told)
        assert (person.login, person.name, person.email) == ("ada", "Ada Lovelace", ADA)
    else:
        with pytest.raises(AdmissionRefused):
            idp.login(**told)
    assert idp.api_paths() == ["/api", "/api/emails", "/api/permissions/workspaces"]
