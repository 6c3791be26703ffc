"""Grafana's settings made into embedjwt's: the same people, with the same roles."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedjwt.admission import Admission
from embedjwt.config import AdmissionSettings, ConfigError, MappingSettings, Settings
from embedjwt.config import parse_settings as parse
from embedjwt.errors import AdmissionRefused
from embedjwt.grafana.importing import Import, NothingToImport, import_grafana
from embedjwt.grafana.importing.document import Table, render
from embedjwt.grafana.importing.draft import Line
from embedjwt.grafana.importing.issuers import issuer_of
from embedjwt.grafana.importing.toml import toml_value
from embedjwt.grafana.ini import IniError, parse_ini, quote_ini
from embedjwt.grafana.oauth_settings import CONNECTORS, read_grafana_files
from embedjwt.identity import Documents, Identity, VerifiedClaims
from embedjwt.mapping import Mapper
from tests_support import ROOT

FILES = sorted((ROOT / "tests/data/grafana-ini").glob("*.ini"))
SERVER = "[server]\nroot_url = https://grafana.example.com\n"


def imported(*texts: str) -> Import:
    return import_grafana(read_grafana_files([(f"{n}.ini", t) for n, t in enumerate(texts)]))


def of_file(name: str) -> Import:
    return imported((ROOT / f"tests/data/grafana-ini/{name}.ini").read_text())


def settings_of(result: Import) -> Settings:
    return parse(tomllib.loads(result.text), {}, base=Path("/etc/embedjwt"), origin="embedjwt.toml")


def generic(**keys: str) -> str:
    given = {
        "enabled": "true",
        "client_id": "grafana",
        "auth_url": "https://sso.example.com/login",
        "token_url": "https://sso.example.com/token",
        "api_url": "https://sso.example.com/me",
    }
    return section("auth.generic_oauth", **(given | keys))


def section(name: str, /, **keys: str) -> str:
    lines = [f"{key} = {quote_ini(value)}" for key, value in keys.items()]
    return "\n".join([SERVER, f"[{name}]", *lines, ""])


def identity_of(
    settings: Settings, id_token: dict[str, Any] | None, userinfo: dict[str, Any] | None = None
) -> Identity:
    """Who this is, if they are let in."""
    source = settings.source[0]
    documents = Documents(
        id_token=VerifiedClaims(id_token) if id_token else None,
        userinfo=VerifiedClaims(userinfo) if userinfo else None,
    )
    identity = Mapper(settings.mapping_of(source)).identity(documents, settings.grafana[0])
    Admission(settings.admission_of(source)).check(identity, documents)
    return identity


def said(result: Import) -> dict[str, str]:
    """The reason for each thing that is not carried over."""
    return {one.origin: one.reason for one in result.left}


class TestEverySetting:
    @pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
    def test_is_accounted_for(self, file: Path) -> None:
        text = file.read_text()
        grafana = read_grafana_files([("grafana.ini", text)])
        result = import_grafana(grafana)
        accounts = " ".join([*(c.origin for c in result.carried), *(x.origin for x in result.left)])
        for name in CONNECTORS:
            if grafana.is_on(name, "enabled"):
                missing = [s.origin for s in grafana.section(name).values()
                           if s.origin not in accounts]  # fmt: skip
                assert missing == []

    @pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
    def test_says_no_secret(self, file: Path) -> None:
        result = of_file(file.stem)
        for secret in result.secrets.values():
            assert secret not in result.text
            assert secret not in repr(result)

    def test_of_grafanas_own_example(self) -> None:
        result = of_file("generic")
        source = settings_of(result).source[0]
        assert (source.type, source.name, source.client_id) == (
            "oidc",
            "OAuth",
            "YOUR_APP_CLIENT_ID",
        )
        assert source.requested_scopes == ("user:email",)
        assert source.issuer is None
        assert settings_of(result).admission.allowed_domains == ("mycompany.com", "mycompany.org")
        assert result.secrets == {"client-secret": "YOUR_APP_CLIENT_SECRET"}
        assert "[auth.generic_oauth] icon" in said(result)

    def test_at_once(self) -> None:
        result = of_file("keycloak-everything")
        text = result.text.replace("Operations = 0", "Operations = 7")
        settings = parse(tomllib.loads(text), {}, base=Path("/etc/embedjwt"), origin="x")
        source, target = settings.source[0], settings.grafana[0]
        assert source.issuer == "https://sso.example.com/realms/acme"
        assert source.auth_url.endswith("/protocol/openid-connect/auth?hd=example.com")
        assert (source.auth_style, source.use_pkce, source.use_refresh_token) == (
            "InHeader",
            True,
            True,
        )
        assert (source.allow_sign_up, source.auto_login) == (False, True)
        assert source.tls_client_ca == Path("/etc/grafana/ca.pem")
        assert not source.tls_skip_verify_insecure
        assert "post_logout_redirect_uri" in source.signout_redirect_url
        assert settings.mapping.email_attribute_path == 'mail || "e-mail"'
        assert settings.mapping.org_mapping == (
            "acme:Main Org.:Editor",
            "ops:Operations:Admin",
            "*:3:Viewer",
        )
        assert settings.admission.allowed_groups == ("/staff", "/Guests and friends")
        assert settings.admission.team_ids == ("150", "300")
        assert (target.url, target.header_name) == (
            "https://grafana.example.com/grafana",
            "X-Grafana-Token",
        )
        assert (target.auto_assign_org_id, target.auto_assign_org_role) == (2, "Editor")
        assert target.orgs == {"Main Org.": 1, "Operations": 7}
        assert result.secrets == {"client-secret": "hunter2;#\"'"}
        assert set(said(result)) == {
            "[auth.generic_oauth] use_pkce = false",
            "[auth.generic_oauth] tls_skip_verify_insecure",
            "[auth.generic_oauth] login_prompt",
            "[auth.generic_oauth] icon",
            "[auth.generic_oauth] validate_id_token",
            "[auth.generic_oauth] made_up_key",
            "[auth] signout_redirect_url",
            "[auth] oauth_allow_insecure_email_lookup",
            "[auth.jwt] enabled",
            "[auth.anonymous] enabled",
            "[auth.ldap] enabled",
            "[security] allow_embedding = false",
        }

    def test_unknown_organizations_are_refused_until_somebody_looks_them_up(self) -> None:
        result = of_file("keycloak-everything")
        with pytest.raises(ConfigError) as refused:
            settings_of(result)
        assert [problem.key for problem in refused.value.problems] == ["grafana.0.orgs.Operations"]
        assert "grafana.0.orgs.Operations" in {todo.key for todo in result.todo if todo.blocks}


class TestIssuer:
    @pytest.mark.parametrize(
        ("auth_url", "issuer"),
        [
            ("https://acme.eu.auth0.com/authorize", "https://acme.eu.auth0.com/"),
            ("https://acme.onelogin.com/oidc/2/auth", "https://acme.onelogin.com/oidc/2"),
            (
                "https://aab1234.my.centrify.com/OAuth2/Authorize/grafana",
                "https://aab1234.my.centrify.com/grafana/",
            ),
            (
                "https://Sso.example.com:8443/auth/realms/a%20b/protocol/openid-connect/auth",
                "https://sso.example.com:8443/auth/realms/a%20b",
            ),
            ("https://acme.okta.com/oauth2/v1/authorize", "https://acme.okta.com"),
            (
                "https://acme.okta.com/oauth2/aus1/v1/authorize",
                "https://acme.okta.com/oauth2/aus1",
            ),
            ("https://accounts.google.com/o/oauth2/v2/auth", "https://accounts.google.com"),
            ("https://gitlab.com/oauth/authorize", "https://gitlab.com"),
            (
                "https://login.microsoftonline.com/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
                "/oauth2/v2.0/authorize",
                "https://login.microsoftonline.com/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee/v2.0",
            ),
        ],
    )
    def test_of_known_providers(self, auth_url: str, issuer: str) -> None:
        found = issuer_of(auth_url)
        assert found is not None
        assert (found.url, found.sure) == (issuer, True)
        result = imported(generic(auth_url=auth_url, scopes="openid email"))
        assert settings_of(result).source[0].issuer == issuer

    @pytest.mark.parametrize(
        "auth_url",
        [
            "https://login.example.com/authorize",
            "https://evil.com/.auth0.com/authorize",
            "https://auth0.com.evil.com/authorize",
            "https://accounts.google.com.evil.com/o/oauth2/v2/auth",
            "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
            "https://login.microsoftonline.com/acme.onmicrosoft.com/oauth2/v2.0/authorize",
            "https://acme.okta.com@evil.com/oauth2/v1/authorize",
            "https://pool.auth.eu-west-1.amazoncognito.com/oauth2/authorize",
            "https://[::1",
            "nonsense",
        ],
    )
    def test_of_others_is_a_thing_to_fill_in(self, auth_url: str) -> None:
        found = issuer_of(auth_url)
        assert found is None or not found.sure
        result = imported(generic(auth_url=auth_url, scopes="openid email"))
        assert "issuer" not in tomllib.loads(result.text)["source"][0]
        assert "\n# issuer = " in result.text
        assert [todo.key for todo in result.todo if todo.blocks] == ["source.0.issuer"]
        with pytest.raises(ConfigError):
            settings_of(result)

    def test_is_not_asked_for_where_no_id_token_is(self) -> None:
        result = imported(generic(scopes="openid email", empty_scopes="true"))
        assert settings_of(result).source[0].requested_scopes == ()
        assert [todo for todo in result.todo if todo.blocks] == []


WORDS = st.text(st.characters(codec="utf-8", exclude_characters='",'), min_size=1).filter(
    lambda word: not any(c.isspace() or not c.isprintable() for c in word) and word[0] != "["
)
LISTS = st.lists(WORDS, max_size=4).map(tuple)
PATHS = st.sampled_from(
    [
        "",
        "role",
        "contains(info.roles[*], 'admin') && 'Admin' || 'Viewer'",
        'resource_access."grafana".roles[0]',
        "orgs || `[]`",
        "a.b[?c=='#;'] | [0]",
        '"Ünïcode" || "\\u00e9"',
        "join(' ', ['\"', 'x'])",
    ]
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        **{key: PATHS for key in MappingSettings.model_fields if key.endswith("_path")},
        "team_ids_attribute_path": PATHS,
        "email_attribute_name": WORDS,
        **dict.fromkeys(("role_attribute_strict", "allow_assign_grafana_admin"), st.booleans()),
        "org_mapping": st.lists(
            st.builds(lambda a, b: f"{a}:{b}:Viewer", WORDS, st.integers(1, 9)), max_size=3
        ).map(tuple),
        **dict.fromkeys(
            ("allowed_domains", "allowed_groups", "allowed_organizations", "team_ids"), LISTS
        ),
    },
)


def as_ini(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@given(SETTINGS)
def test_what_comes_out_is_what_went_in(keys: dict[str, Any]) -> None:
    result = imported(generic(**{key: as_ini(value) for key, value in keys.items()}))
    settings = settings_of(result)
    source = settings.source[0]
    for model, out in (
        (MappingSettings, settings.mapping_of(source)),
        (AdmissionSettings, settings.admission_of(source)),
    ):
        went_in = {key: value for key, value in keys.items() if key in model.model_fields}
        assert out == model.model_validate(went_in)


@given(st.text(), st.lists(st.text(), max_size=3), st.dictionaries(st.text(), st.integers()))
def test_any_text_survives_toml(text: str, items: list[str], table: dict[str, int]) -> None:
    lines = [Line("a", text, comment=text), Line("b", items), Line("c", table), Line("d", True)]
    written = render([Table("[t]", lines, "a table")])
    assert tomllib.loads(written)["t"] == {"a": text, "b": items, "c": table, "d": True}
    assert tomllib.loads(render([Table("[t]", [Line("a", text, live=False)])])) == {"t": {}}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", '"plain"'),
        ("it's", '"it\'s"'),
        ('a."b"', "'a.\"b\"'"),
        ("x == \"y\" && 'z'[0]", "'''x == \"y\" && 'z'[0]'''"),
        ("ends in \"'", '"ends in \\"\'"'),
        ("two\nlines", '"two\\nlines"'),
        ("\u202eturned", '"\\u202Eturned"'),
        ("\U000e0001", '"\\U000E0001"'),
    ],
)
def test_toml_is_readable(value: str, written: str) -> None:
    assert toml_value(value) == written


class TestSources:
    def test_of_variables(self) -> None:
        result = of_file("environment")
        raw = tomllib.loads(result.text)
        assert raw["source"][0]["name"] == 'Company "SSO"'
        assert raw["source"][0]["client_secret_file"] == "/run/secrets/oauth"
        assert raw["source"][0]["issuer"] == "https://sso.example.com/realms/acme"
        assert raw["mapping"]["role_attribute_path"].startswith("contains(roles[*], 'admin')")
        assert result.secrets == {}
        blocking = {todo.key for todo in result.todo if todo.blocks}
        assert blocking == {"source.0.client_secret_file", "admission.allowed_domains"}

    def test_what_is_unknown_admits_nobody(self) -> None:
        result = imported(generic(allowed_domains="${DOMAINS}"))
        with pytest.raises(AdmissionRefused):
            identity_of(settings_of(result), None, {"email": "ada@example.com"})

    def test_what_is_unknown_is_refused_where_it_cannot_be_closed(self) -> None:
        result = imported(generic(role_attribute_path="${ROLE}", allow_sign_up="$__env{UP}"))
        with pytest.raises(ConfigError) as refused:
            settings_of(result)
        keys = {problem.key for problem in refused.value.problems}
        assert keys == {"mapping.role_attribute_path", "source.0.allow_sign_up"}

    def test_a_secret_only_grafana_knows(self) -> None:
        result = imported(generic(client_secret="${SECRET}"))
        assert '# client_secret_file = "client-secret"' in result.text
        (todo,) = [todo for todo in result.todo if todo.blocks]
        assert "EMBEDJWT_SOURCE__0__CLIENT_SECRET" in todo.do

    def test_a_secret_in_a_file_stays_there(self) -> None:
        result = imported(generic(client_secret="$__file{/etc/grafana/secret}"))
        assert settings_of(result).source[0].client_secret_file == Path("/etc/grafana/secret")
        assert result.secrets == {}

    def test_later_files_win_and_variables_win_over_all(self) -> None:
        variables = (
            "GF_AUTH_GENERIC_OAUTH_CLIENT_ID=from-variables\nWHO=me\nGF_AUTH_GENERIC_OAUTH_NAME=\n"
        )
        first = generic(client_id="first", name="first", allowed_groups="${WHO}")
        result = imported(variables, first, generic(client_id="second", name="second"))
        settings = settings_of(result)
        assert settings.source[0].client_id == "from-variables"
        assert settings.source[0].name == "second"
        assert settings.admission.allowed_groups == ("me",)

    def test_empty_values_leave_grafana_s_defaults(self) -> None:
        result = imported(generic(scopes="", role_attribute_path=""))
        assert settings_of(result).source[0].requested_scopes == ("user:email",)

    def test_a_section_that_comes_twice_is_one(self) -> None:
        text = generic(name="one") + "[auth.generic_oauth]\nname = two\nallowed_groups = a\n"
        settings = settings_of(imported(text))
        assert settings.source[0].name == "two"
        assert settings.source[0].client_id == "grafana"
        assert settings.admission.allowed_groups == ("a",)

    @pytest.mark.parametrize(
        ("line", "value"),
        [
            ("GF_AUTH_GITHUB_CLIENT_ID=a b#c # d", "a b#c"),
            ("GF_AUTH_GITHUB_CLIENT_ID='a # \"b\"' # c", 'a # "b"'),
            ('export GF_AUTH_GITHUB_CLIENT_ID="a \\"b\\" \\n"', 'a "b" \\n'),
            ("  GF_AUTH_GITHUB_CLIENT_ID=  x  ", "x"),
        ],
    )
    def test_lines_of_variables(self, line: str, value: str) -> None:
        grafana = read_grafana_files([("env", f"# a comment\n\n{line}\n")])
        assert grafana.section("auth.github")["client_id"].value == value

    @pytest.mark.parametrize(
        ("text", "hint"),
        [
            ("grafana.ini:\n  auth.generic_oauth:\n    enabled: true\n", "Helm"),
            ("environment:\n  - GF_AUTH_GITHUB_ENABLED=true\n", "KEY=VALUE"),
            ("GF_AUTH_GITHUB_NAME='open\n", ""),
            ("[auth.github\nenabled = true\n", ""),
        ],
    )
    def test_other_kinds_of_file_are_named(self, text: str, hint: str) -> None:
        with pytest.raises(IniError) as refused:
            imported(text)
        assert refused.value.detail.startswith("0.ini")
        assert hint in refused.value.hint

    @pytest.mark.parametrize("text", ["", "[auth.github]\nclient_id = x\n", "[server]\ndomain=a\n"])
    def test_nothing_enabled(self, text: str) -> None:
        with pytest.raises(NothingToImport) as refused:
            imported(text)
        assert "[auth.github]" in refused.value.hint


class TestNamed:
    def test_okta_asks_userinfo_for_groups_and_roles(self) -> None:
        settings = settings_of(of_file("okta"))
        assert settings.source[0].issuer == "https://acme.okta.com"
        assert "offline_access" in settings.source[0].scopes
        thin = {"sub": "00u1", "iat": 1, "email": "ada@example.com", "name": "Ada"}
        groups = {"groups": ["Everyone", "Admins"], "departments": ["it"]}
        identity = identity_of(settings, thin, {"sub": "00u1", **groups})
        assert (identity.role, identity.login) == ("Admin", "ada@example.com")
        assert identity.orgs == ("it",)
        # Groups of the ID token are not what Grafana compared.
        with pytest.raises(AdmissionRefused):
            identity_of(settings, {**thin, **groups}, {"sub": "00u1", "groups": ["Guests"]})

    def test_okta_without_an_e_mail(self) -> None:
        settings = settings_of(of_file("okta"))
        userinfo = {"sub": "1", "groups": ["Everyone"]}
        token = {"sub": "1", "iat": 1, "preferred_username": "ada@example.com"}
        identity = identity_of(settings, token, userinfo)
        assert (identity.login, identity.email) == ("ada@example.com", "ada@example.com")

    def test_gitlab(self) -> None:
        settings = settings_of(of_file("gitlab"))
        source = settings.source[0]
        assert (source.issuer, source.auth_url, source.api_url) == (
            "https://gitlab.example.com",
            None,
            None,
        )
        assert source.scopes == ("openid", "email", "profile")
        token = {
            "sub": "7",
            "iat": 1,
            "email": "ada@example.com",
            "email_verified": True,
            "preferred_username": "ada",
            "groups_direct": ["acme/admins"],
        }
        userinfo = {"sub": "7", "groups": ["acme", "acme/admins"]}
        identity = identity_of(settings, token, userinfo)
        assert (identity.login, identity.role, identity.orgs) == (
            "ada",
            "Admin",
            ("acme", "acme/admins"),
        )
        with pytest.raises(AdmissionRefused) as refused:
            identity_of(settings, {**token, "email_verified": False}, userinfo)
        assert refused.value.code == "organization_not_allowed"

    def test_google(self) -> None:
        settings = settings_of(of_file("google"))
        assert settings.source[0].auth_url.endswith("/v2/auth?hd=example.com")
        assert settings.mapping.skip_org_role_sync
        ada = {"sub": "1", "iat": 1, "email": "ada@example.com", "email_verified": True}
        assert identity_of(settings, {**ada, "hd": "example.com"}).login == "ada@example.com"
        for wrong in ({}, {"hd": "evil.com"}, {"hd": "example.com", "email_verified": False}):
            with pytest.raises(AdmissionRefused):
                identity_of(settings, {**ada, **wrong})

    @pytest.mark.parametrize("keys", [{}, {"allowed_domains": "example.com", "validate_hd": "no"}])
    def test_google_without_domains_wants_a_verified_address(self, keys: dict[str, str]) -> None:
        text = section("auth.google", enabled="true", client_id="x", hosted_domain="a.com", **keys)
        settings = settings_of(imported(text))
        ada = {"sub": "1", "iat": 1, "email": "ada@example.com"}
        assert identity_of(settings, {**ada, "email_verified": True}).email == "ada@example.com"
        with pytest.raises(AdmissionRefused):
            identity_of(settings, {**ada, "email_verified": False})

    def test_google_groups_admit_nobody(self) -> None:
        text = section("auth.google", enabled="true", client_id="x", allowed_groups="a@b.com")
        result = imported(text)
        assert (
            "nobody is let in"
            in {one.origin: one.do for one in result.left}["[auth.google] allowed_groups"]
        )
        claims = {"sub": "1", "email": "a@b.com", "email_verified": True, "groups": ["a@b.com"]}
        with pytest.raises(AdmissionRefused):
            identity_of(settings_of(result), claims)

    def test_azuread(self) -> None:
        settings = settings_of(of_file("azuread"))
        tenant, group = (
            "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
            "99999999-8888-7777-6666-555555555555",
        )
        source = settings.source[0]
        assert source.issuer == f"https://login.microsoftonline.com/{tenant}/v2.0"
        assert source.auth_url.endswith("?domain_hint=example.com")
        assert "offline_access" in source.scopes
        ada = {"sub": "p", "tid": tenant, "preferred_username": "ada@example.com"}
        ada |= {"groups": [group], "roles": ["viewer", "Editor"]}
        identity = identity_of(settings, ada)
        assert (identity.email, identity.login) == ("ada@example.com", "ada@example.com")
        assert (identity.role, identity.orgs) == ("Editor", (group,))
        for wrong in ({"tid": "another"}, {"groups": []}):
            with pytest.raises(AdmissionRefused):
                identity_of(settings, {**ada, **wrong, "roles": ["Admin"]})

    def test_azuread_for_many_tenants_is_refused(self) -> None:
        url = "https://login.microsoftonline.com/common/oauth2/v2.0/"
        text = section(
            "auth.azuread",
            enabled="true",
            client_id="x",
            auth_url=url + "authorize",
            token_url=url + "token",
        )
        result = imported(text)
        assert [todo.key for todo in result.todo if todo.blocks] == ["source.0.issuer"]
        with pytest.raises(ConfigError):
            settings_of(result)

    def test_github(self) -> None:
        result = of_file("github")
        settings = settings_of(result)
        source = settings.source[0]
        assert source.requested_scopes == ("user:email", "read:org")
        assert source.teams_url == "https://api.github.com/user/teams?per_page=100"
        assert settings.admission.team_ids_attribute_path == "[*].id"
        assert set(said(result)) == {
            "[auth.github] allowed_organizations",
            "[auth.github] role_attribute_path",
            "[auth.github] org_mapping",
            "[auth] oauth_allow_insecure_email_lookup",
        }
        octocat = {"login": "octocat", "id": 1, "name": "Mona", "email": "mona@example.com"}
        with pytest.raises(AdmissionRefused):  # nobody has looked up teams
            identity_of(settings, None, octocat)

    def test_what_a_connector_does_not_read_is_not_carried(self) -> None:
        text = section("auth.github", enabled="true", client_id="x", login_attribute_path="email")
        result = imported(text)
        assert "[auth.github] login_attribute_path" in said(result)
        assert settings_of(result).mapping.login_attribute_path == ""

    def test_several_sections_are_several_sources(self) -> None:
        result = of_file("several")
        settings = settings_of(result)
        github, okta = settings.source
        assert (github.name, okta.name) == ("github", "okta")
        assert (github.subject_prefix, okta.subject_prefix) == ("github:", "okta:")
        assert github.client_secret_file.name == "client-secret-github"
        assert set(result.secrets) == {"client-secret-github", "client-secret-okta"}
        assert settings.admission_of(github).allowed_organizations == ("acme",)
        assert settings.admission_of(okta).allowed_organizations == ()
        assert settings.admission_of(okta).allowed_domains == ("example.com",)
        assert settings.mapping_of(github).email_attribute_path == ""
        assert not any(source.auto_login for source in settings.source)
        assert said(result)["[auth.google]"] == "skipped: enabled is false"


class TestAround:
    @pytest.mark.parametrize(
        ("server", "url"),
        [
            ("", "http://localhost:3000"),
            ("[server]\nprotocol=https\ndomain=g.example.com\nhttp_port=8443\n",
             "https://g.example.com:8443"),
            ("[server]\nroot_url = https://g.example.com/sub/\n", "https://g.example.com/sub"),
        ],
    )  # fmt: skip
    def test_the_url(self, server: str, url: str) -> None:
        result = imported(generic().replace(SERVER, server))
        assert settings_of(result).grafana[0].url == url
        assert ("grafana.0.url" in {todo.key for todo in result.todo}) == (not server)

    def test_auto_login_of_all(self) -> None:
        result = imported(generic(auto_login="false") + "[auth]\noauth_auto_login = true\n")
        assert settings_of(result).source[0].auto_login

    def test_skipping_role_sync_of_all_makes_no_admins(self) -> None:
        text = generic(allow_assign_grafana_admin="true")
        result = imported(text + "[auth]\noauth_skip_org_role_update_sync = true\n")
        mapping = settings_of(result).mapping
        assert (mapping.skip_org_role_sync, mapping.allow_assign_grafana_admin) == (True, False)
        assert "[auth.generic_oauth] allow_assign_grafana_admin" in said(result)

    def test_insecure_tls_is_not_carried(self) -> None:
        result = imported(generic(tls_skip_verify_insecure="true"))
        assert not settings_of(result).source[0].tls_skip_verify_insecure
        assert "[auth.generic_oauth] tls_skip_verify_insecure" in said(result)

    def test_newcomers_with_an_organization_of_their_own(self) -> None:
        result = imported(generic() + "[users]\nauto_assign_org = false\n")
        assert "[users] auto_assign_org" in said(result)

    def test_a_password_in_a_url_is_not_shown(self) -> None:
        result = imported(generic(api_url="https://u:hunter2@sso.example.com/me"))
        assert "hunter2" not in repr(result.carried)
        with pytest.raises(ConfigError):
            settings_of(result)

    def test_a_managed_identity_is_named(self) -> None:
        result = imported(generic(client_authentication="managed_identity"))
        assert "[auth.generic_oauth] client_authentication" in said(result)

    def test_hostile_text_stays_a_text(self) -> None:
        name = 'x"\n[keys]\nstore = "database"'
        result = imported(generic().replace("[auth.generic_oauth]", "[auth.generic_oauth]\nname = "
                                            f'"""{name}"""'))  # fmt: skip
        raw = tomllib.loads(result.text)
        assert raw["source"][0]["name"] == name
        assert "keys" not in raw

    def test_the_ini_dialect_is_grafana_s(self) -> None:
        assert parse_ini(generic(client_secret="a;b#c"))["auth.generic_oauth"]["client_secret"] == (
            "a;b#c"
        )
