"""Lets people sign in to a real Grafana by generic OAuth, and keeps who they became as data.

``PYTHONPATH=tests python tests/real_grafana/record_sign_ins.py --home DIRECTORY`` starts the
Grafana that is installed there, once for each ``[auth.generic_oauth]``, beside a provider that
says what a case has it say, and writes ``tests/data/grafana-<version>-sign-ins.json``;
``test_recorded_sign_ins.py`` then holds against it what the same section becomes in embedjwt.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import requests
from recording import Installed, main

from loopback_server import LoopbackServer, running_server

SECRET = "Grafana looks at no signature before 12, if nobody asks it to"
COMMON = {
    "enabled": "true",
    "name": "idp",
    "client_id": "grafana",
    "client_secret": "s3cret",
    "scopes": "openid email",
    "auth_url": "{idp}/authorize",
    "token_url": "{idp}/token",
    "api_url": "{idp}/api",
}
ROLES = (
    "contains(info.roles[*], 'admin') && 'Admin' || "
    "contains(info.roles[*], 'editor') && 'Editor' || 'Viewer'"
)
ADMINS = ROLES.replace("'Admin'", "'GrafanaAdmin'")


@dataclass(frozen=True)
class Person:
    """What the provider says: ``None`` for no ID token, ``api`` by what follows ``/api``."""

    name: str
    id_token: Mapping[str, Any] | None = field(default_factory=dict)
    api: Mapping[str, Any] = field(default_factory=dict)
    tokens: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """``[auth.generic_oauth]``, and the people who come."""

    name: str
    people: tuple[Person, ...]
    keys: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)

    def ini(self, idp: str) -> str:
        keys = {name: value.replace("{idp}", idp) for name, value in (COMMON | self.keys).items()}
        lines = ["[auth.generic_oauth]", *(f"{name} = {value}" for name, value in keys.items())]
        lines += ["[users]", *(f"{name} = {value}" for name, value in self.users.items())]
        return "\n".join([*lines, ""])


def said(name: str, /, **claims: Any) -> Person:
    """Somebody of whom the ID token says this."""
    return Person(name, claims)


def answered(name: str, /, **claims: Any) -> Person:
    """Somebody of whom UserInfo says this, and who has no ID token."""
    return Person(name, None, {"": claims})


MAIL = {"email": "{person}@example.com"}

EMAILS = (
    said("email", **MAIL),
    answered("email in UserInfo", **MAIL),
    Person("email in both", MAIL, {"": {"email": "other@example.com"}}),
    said("path", mail="{person}@example.com"),
    said("path within", info={"mail": "{person}@example.com"}),
    Person("path in UserInfo", {}, {"": {"mail": "{person}@example.com"}}),
    Person("email in UserInfo, path in the token", {"mail": "{person}@example.com"}, {"": MAIL}),
    said("attribute", attributes={"email:primary": ["{person}@example.com", "b@example.com"]}),
    said("attribute is empty", attributes={"email:primary": []}),
    said("attribute of another name", attributes={"email": ["{person}@example.com"]}),
    said("upn", upn="{person}@example.com"),
    said("upn with a name", upn="Ann <{person}@example.com>"),
    said("upn is none", upn="{person}"),
    Person("emails", {}, {"": {}, "/emails": [{"email": "b@x.org"}, MAIL | {"primary": True}]}),
    Person("emails, none primary", {}, {"": {}, "/emails": [MAIL]}),
    Person("emails in values", {}, {"/emails": {"values": [MAIL | {"is_primary": True}]}}),
    Person("emails fail", {}, {"/emails": 500}),
    Person("emails are odd", {}, {"/emails": "x"}),
    said("nothing"),
    said("email blank", email=""),
    Person("email blank, UserInfo has one", {"email": ""}, {"": MAIL}),
    Person("no ID token, UserInfo fails", None, {"": 500}),
)

LOGINS = (
    said("login", **MAIL, login="{person}"),
    said("username", **MAIL, username="{person}"),
    said("preferred_username", **MAIL, preferred_username="{person}"),
    said("path", **MAIL, nick="{person}"),
    said("path and login", **MAIL, nick="n-{person}", login="{person}"),
    said("path and username", **MAIL, nick="{person}", username="u-{person}"),
    Person("login in UserInfo", MAIL, {"": {"login": "{person}"}}),
    Person("username in the token, login in UserInfo", {**MAIL, "username": "{person}"},
           {"": {"login": "l-{person}"}}),
    said("none", **MAIL),
    said("login blank", **MAIL, login=""),
    said("name", **MAIL, name="Ann"),
    said("display_name", **MAIL, display_name="Ann"),
    said("name and display_name", **MAIL, name="Ann", display_name="Bea"),
    said("name path", **MAIL, full="Ann", name="Bea"),
    Person("name in UserInfo", MAIL, {"": {"name": "Ann"}}),
    Person("display_name in the token, name in UserInfo", {**MAIL, "display_name": "Ann"},
           {"": {"name": "Bea"}}),
)  # fmt: skip


def with_role(name: str, /, **claims: Any) -> Person:
    return said(name, **MAIL, **claims)


WORDS = (
    *(with_role(f"role {word}", role=word) for word in
      ("Viewer", "viewer", "EDITOR", "aDmin", "GrafanaAdmin", "grafanaadmin", "None", "Owner", "",
       " Viewer", "Viewer ", "read only")),
    with_role("no role"),
    with_role("role a list", role=["Admin"]),
    with_role("role a number", role=1),
    with_role("role null", role=None),
    Person("role in UserInfo", MAIL, {"": {"role": "Admin"}}),
    Person("role in both", {**MAIL, "role": "Viewer"}, {"": {"role": "Admin"}}),
    Person("odd role in the token, role in UserInfo", {**MAIL, "role": "Owner"},
           {"": {"role": "Admin"}}),
    Person("no ID token, role in UserInfo", None, {"": {**MAIL, "role": "Editor"}}),
)  # fmt: skip

EXAMPLES = (
    with_role("admin", info={"roles": ["engineer", "admin"]}),
    with_role("editor", info={"roles": ["editor"]}),
    with_role("neither", info={"roles": ["engineer"]}),
    with_role("no roles", info={}),
    with_role("no info"),
    with_role("roles no list", info={"roles": "admin"}),
    Person("roles in UserInfo", MAIL, {"": {"info": {"roles": ["admin"]}}}),
    Person("roles null in the token", {**MAIL, "info": {"roles": None}},
           {"": {"info": {"roles": ["admin"]}}}),
)  # fmt: skip

TEAMS = (
    Person("in a team", MAIL, {"/teams": [{"id": 7}, {"id": 150}]}),
    Person("in another team", MAIL, {"/teams": [{"id": 7}]}),
    Person("in no team", MAIL, {"/teams": []}),
    Person("teams fail", MAIL, {"/teams": 500}),
    Person("teams are odd", MAIL, {"/teams": {"id": 150}}),
    Person("team ids are strings", MAIL, {"/teams": [{"id": "150"}]}),
    with_role("teams in a claim", teams=[150], team_ids=["150"]),
)

WORKSPACES = (
    Person("in a workspace", MAIL, {"/own": {"values": [{"workspace": {"slug": "acme"}}]}}),
    Person("in another", MAIL, {"/own": {"values": [{"workspace": {"slug": "b"}}]}}),
    Person("odd", MAIL, {"/own": {"values": "acme"}}),
    Person("fails", MAIL, {"/own": 403}),
)

ORGANIZATIONS = (
    Person("in one", MAIL, {"/orgs": [{"login": "b"}, {"login": "acme"}]}),
    Person("in another", MAIL, {"/orgs": [{"login": "b"}]}),
    Person("other letters", MAIL, {"/orgs": [{"login": "ACME"}]}),
    Person("fail", MAIL, {"/orgs": 500}),
    Person("odd", MAIL, {"/orgs": {"login": "acme"}}),
    with_role("in a claim", orgs=[{"login": "acme"}], organizations=["acme"]),
)

DOMAINS = tuple(
    said(domain, email="{person}@" + domain)
    for domain in ("example.com", "EXAMPLE.com", "example.org", "sub.example.com", "notexample.com",
                   "example.com.evil.org", "other.org")
)  # fmt: skip

ALL = (
    Section("as it is", (*EMAILS, *LOGINS, *WORDS)),
    Section("e-mail paths", EMAILS, {"email_attribute_path": "mail || info.mail"}),
    Section("another e-mail attribute", EMAILS, {"email_attribute_name": "email"}),
    Section("login and name paths", LOGINS,
            {"login_attribute_path": "nick", "name_attribute_path": "full"}),
    Section("role words", WORDS, {"role_attribute_path": "role"}),
    Section("role words, strict", WORDS,
            {"role_attribute_path": "role", "role_attribute_strict": "true"}),
    Section("role words, server admins", WORDS,
            {"role_attribute_path": "role", "allow_assign_grafana_admin": "true"}),
    Section("role words, new people are editors", WORDS, {"role_attribute_path": "role"},
            {"auto_assign_org_role": "Editor"}),
    Section("role words, not synced", WORDS,
            {"role_attribute_path": "role", "skip_org_role_sync": "true"}),
    Section("the page's roles", EXAMPLES, {"role_attribute_path": ROLES}),
    Section("the page's roles, strict", EXAMPLES,
            {"role_attribute_path": ROLES, "role_attribute_strict": "true"}),
    Section("the page's server admins", EXAMPLES,
            {"role_attribute_path": ADMINS, "allow_assign_grafana_admin": "true"}),
    Section("no role path, strict", WORDS, {"role_attribute_strict": "true"}),
    Section("an ID token of another name",
            (Person("there", None, tokens={"jwt": MAIL}), Person("not there", MAIL),
             Person("both", {"email": "other@example.com"}, tokens={"jwt": MAIL})),
            {"id_token_attribute_name": "jwt"}),
    Section("teams", TEAMS, {"team_ids": "150,300"}),
    Section("teams of a URL", WORKSPACES,
            {"team_ids": "acme", "teams_url": "{idp}/api/own",
             "team_ids_attribute_path": "values[*].workspace.slug"}),
    Section("teams of a URL without a path", WORKSPACES,
            {"team_ids": "acme", "teams_url": "{idp}/api/own"}),
    Section("organizations", ORGANIZATIONS, {"allowed_organizations": "acme, other"}),
    Section("domains", DOMAINS, {"allowed_domains": "example.com example.org"}),
    Section("domains with commas", DOMAINS, {"allowed_domains": "example.com, example.org"}),
    Section("nobody new", (said("somebody", **MAIL),), {"allow_sign_up": "false"}),
    Section("no API", (*EMAILS[:4], *WORDS[:3]), {"api_url": ""}),
)  # fmt: skip


def filled(document: Any, person: str) -> Any:
    """With the person's name in it."""
    return json.loads(json.dumps(document).replace("{person}", person))


def provide(idp: LoopbackServer, person: Mapping[str, Any]) -> None:
    """From now on the provider speaks of this person."""
    tokens: dict[str, Any] = {"access_token": "opaque", "token_type": "Bearer", "expires_in": 600}
    if person["id_token"] is not None:
        tokens["id_token"] = jwt.encode(dict(person["id_token"]), SECRET, "HS256")
    for name, claims in person["tokens"].items():
        tokens[name] = jwt.encode(dict(claims), SECRET, "HS256")
    idp.answers.clear()
    idp.answers_json("/token", tokens, Content_Type="application/json")
    for path, document in person["api"].items():
        if isinstance(document, int):
            idp.answers_json(f"/api{path}", {}, document)
        else:
            idp.answers_json(f"/api{path}", document)


def sign_in(grafana: str, idp: LoopbackServer, person: Mapping[str, Any]) -> dict[str, Any]:
    """Who the person is to Grafana; ``refused`` where it lets nobody in."""
    provide(idp, person)
    browser = requests.Session()
    start = browser.get(f"{grafana}/login/generic_oauth", allow_redirects=False, timeout=20)
    asked = parse_qs(urlsplit(start.headers["Location"]).query)
    answer = browser.get(
        f"{grafana}/login/generic_oauth",
        params={"code": "c0de", "state": asked["state"][0]},
        allow_redirects=False,
        timeout=20,
    )
    who = browser.get(f"{grafana}/api/user", timeout=20)
    if who.status_code != 200:
        return {"refused": True, "status": answer.status_code}
    told = who.json()
    orgs = browser.get(f"{grafana}/api/user/orgs", timeout=20).json()
    return {
        "login": told["login"],
        "email": told["email"],
        "name": told["name"],
        "is_grafana_admin": told["isGrafanaAdmin"],
        "org_roles": {str(org["orgId"]): org["role"] for org in orgs},
    }


def record(grafana: Installed, section: Section, number: int) -> dict[str, Any]:
    """Everybody who comes under this section."""
    with tempfile.TemporaryDirectory() as temporary, running_server() as idp:
        told = []
        with grafana.running(section.ini(idp.url), Path(temporary)) as url:
            for index, one in enumerate(section.people):
                name = f"p{number}-{index}"
                given = {"id_token": one.id_token, "api": one.api, "tokens": one.tokens}
                person = filled(given, name)
                if person["id_token"] is not None:
                    person["id_token"].setdefault("sub", f"sub-{name}")
                if isinstance(person["api"].get(""), dict):
                    person["api"][""].setdefault("sub", f"sub-{name}")
                for claims in person["tokens"].values():
                    claims.setdefault("sub", f"sub-{name}")
                became = sign_in(url, idp, person)
                told.append({"name": one.name, **person, "became": became})
        return {"name": section.name, "ini": section.ini("{idp}"), "people": told}


if __name__ == "__main__":
    main("sign-ins", ALL, record)
