"""The printed sections: exact text, only known keys, and what an older Grafana loses."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from embedjwt.config.model import Settings
from embedjwt.errors import RequestRefused
from embedjwt.grafana.ini import parse_ini
from embedjwt.grafana.settings import grafana_config
from embedjwt.grafana.verifier import read_ini
from embedjwt.grafana.versions import ENVIRONMENT_SINCE, KEY_SINCE

EVERYTHING = {
    "role_attribute_path": "role",
    "groups_attribute_path": "groups",
    "allow_assign_grafana_admin": True,
    "org_attribute_path": "orgs",
    "org_mapping": [r"a\:b:Dev:Editor", "*:5:Viewer"],
}


def configure(mapping=None, *, issuer="https://embed.example.com", development=False, **target):
    data = {
        "issuer": issuer,
        "development": development,
        "source": [{"type": "cookie", "secret_keys": ["k"]}],
        "mapping": mapping or {},
        "grafana": [{"url": "https://grafana.example.com", "audience": "grafana", **target}],
    }
    settings = Settings.model_validate(data, context={"development": development})
    return settings, settings.grafana[0]


def printed(mapping=None, *, version=(13, 1), format="ini", jwks="url", **more):
    settings, target = configure(mapping, **more)
    return grafana_config(settings, target, version=version, format=format, jwks=jwks)


def from_env(text):
    """An environment file as Grafana sees it: section and key out of each name."""
    pairs = [part.split("=", 1) for part in shlex.split(text, comments=True)]
    sections = {"GF_AUTH_JWT_": "auth.jwt", "GF_SECURITY_": "security", "GF_USERS_": "users"}
    read = {section: {} for section in sections.values()}
    for name, value in pairs:
        prefix = next(p for p in sections if name.startswith(p))
        read[sections[prefix]][name.removeprefix(prefix).lower()] = value
    return {"DEFAULT": {}, **read}


def go_template(text):
    """The one action that a value may hold: a text literal."""
    assert "{{" not in text.replace('{{ "{{" }}', "")
    return text.replace('{{ "{{" }}', "{{")


def from_helm(text):
    """The chart: YAML, ``tpl`` on text, one line of ini for each key."""
    lines = []
    for line in text.splitlines():
        key, _, value = line.strip().partition(": ")
        if line.startswith("    ") and not key.startswith("#"):
            plain = json.loads(value)
            plain = str(plain).lower() if isinstance(plain, bool) else plain
            lines.append(f"{key} = {go_template(plain)}")
        elif line.startswith("  ") and not key.startswith("#"):
            lines.append(f"[{key.removesuffix(':')}]")
    return parse_ini("\n".join(lines))


def test_the_text_for_an_ordinary_grafana():
    assert printed({"role_attribute_path": "role"}).text == (
        """\
# For the Grafana 'default' at https://grafana.example.com, version 13.1,
# to trust the tokens of https://embed.example.com. Restart Grafana after pasting.

[auth.jwt]
enabled = true
header_name = X-JWT-Assertion
# the token comes as ?auth_token= in the panel's URL
url_login = true
jwk_set_url = https://embed.example.com/.well-known/jwks.json
cache_ttl = 60m
expect_claims = {"iss": "https://embed.example.com", "aud": "grafana"}
username_claim = login
email_claim = email
auto_sign_up = true
role_attribute_path = role
# a token without a role is refused
role_attribute_strict = true
allow_assign_grafana_admin = false

[security]
# without it browsers say "Refused to display"
allow_embedding = true
# Tokens need no cookie. Should people also sign in to this Grafana inside frames of another
# site: cookie_samesite = none, with cookie_secure = true.

[users]
auto_assign_org = true
# as in embedjwt.toml
auto_assign_org_id = 1
auto_assign_org_role = Viewer
"""
    )


@pytest.mark.parametrize("version", [(8, 0), (9, 2), (10, 2), (11, 6), (12, 0), (13, 1)], ids=str)
@pytest.mark.parametrize("audience", ["grafana", "a'b", "x # y ; z", "`b`", '"q"', "\\", "{{ x }}"])
def test_every_format_says_the_same(version, audience):
    def texts(format):
        config = printed(EVERYTHING, version=version, format=format, audience=audience)
        return config.text

    ini = parse_ini(texts("ini"))

    if version >= ENVIRONMENT_SINCE:
        assert from_env(texts("env")) == ini
    assert from_helm(texts("helm")) == ini
    assert json.loads(ini["auth.jwt"]["expect_claims"])["aud"] == audience
    assert set(ini["auth.jwt"]) <= {key for key in KEY_SINCE if KEY_SINCE[key] <= version}
    assert read_ini(texts("ini"), version=version).ignored == ()


@pytest.mark.parametrize("version", [(8, 0), (9, 1), (9, 2)], ids=str)
def test_no_environment_where_grafana_would_not_read_expect_claims(version):
    with pytest.raises(RequestRefused, match="GF_AUTH_JWT_EXPECT_CLAIMS") as refused:
        printed(version=version, format="env")

    assert "--format ini" in refused.value.hint


def test_the_environment_is_enough_since_9_3():
    text = printed(version=(9, 3), format="env").text

    assert json.loads(from_env(text)["auth.jwt"]["expect_claims"])["aud"] == "grafana"


def test_names_in_an_environment_file():
    lines = printed(EVERYTHING, format="env").text.splitlines()

    assert "GF_SECURITY_ALLOW_EMBEDDING=true" in lines
    assert "GF_USERS_AUTO_ASSIGN_ORG_ID=1" in lines
    assert (
        'GF_AUTH_JWT_EXPECT_CLAIMS=\'{"iss": "https://embed.example.com", "aud": "grafana"}\''
        in lines
    )


def test_org_mapping_takes_each_known_org_and_role_as_it_is():
    settings = read_ini(printed(EVERYTHING, orgs={"Dev": 2}, auto_assign_org_id=3).text)

    assert settings.org_attribute_path == "orgs"
    assert settings.org_mapping == tuple(
        rf"{org}\:{role}:{org}:{role}"
        for org in (2, 3, 5)
        for role in ("Admin", "Editor", "Viewer", "None")
    )


def test_no_org_keys_without_org_mapping():
    settings = read_ini(printed({"org_attribute_path": "orgs"}).text)

    assert (settings.org_attribute_path, settings.org_mapping) == ("", ())


def test_no_role_keys_where_roles_are_not_synced():
    keys = parse_ini(printed({"skip_org_role_sync": True, "org_mapping": "a:1"}).text)["auth.jwt"]

    assert keys["skip_org_role_sync"] == "true"
    assert not {"role_attribute_path", "role_attribute_strict", "org_mapping"} & set(keys)


@pytest.mark.parametrize(
    ("more", "key", "value"),
    [
        ({"mode": "gateway"}, "url_login", None),
        ({"version": (9, 0)}, "url_login", None),
        ({"header_name": "X-Embed"}, "header_name", "X-Embed"),
        ({"jwks": "file"}, "jwk_set_file", "jwks/jwks.json"),
        ({"jwks": "file"}, "cache_ttl", None),
        ({"audience": ""}, "expect_claims",
         '{"iss": "https://embed.example.com", "aud": "https://grafana.example.com"}'),
    ],
)  # fmt: skip
def test_single_keys(more, key, value):
    assert parse_ini(printed(**more).text)["auth.jwt"].get(key) == value


def test_the_key_file_may_lie_elsewhere_and_the_cache_may_be_short():
    settings, target = configure()
    short = settings.model_copy(
        update={"keys": settings.keys.model_copy(update={"verifier_cache_ttl": 90})}
    )
    elsewhere = Path("/etc/grafana/jwks.json")

    by_file = grafana_config(settings, target, version=(13, 1), jwks_file=elsewhere)
    by_url = grafana_config(short, target, version=(13, 1))

    assert read_ini(by_file.text).jwk_set_file == "/etc/grafana/jwks.json"
    assert read_ini(by_url.text).cache_ttl == 90


def test_a_default_role_that_this_grafana_does_not_have_is_left_out():
    old = printed(version=(10, 1), auto_assign_org_role="None").text
    new = printed(version=(10, 2), auto_assign_org_role="None").text

    assert "auto_assign_org_role" not in parse_ini(old)["users"]
    assert parse_ini(new)["users"]["auto_assign_org_role"] == "None"


@pytest.mark.parametrize(
    ("version", "mapping", "fields"),
    [
        ((13, 1), EVERYTHING, []),
        ((12, 0), EVERYTHING, []),
        ((11, 6), EVERYTHING, ["org_roles"]),
        ((10, 3), EVERYTHING, ["groups", "org_roles"]),
        ((10, 1), EVERYTHING, ["groups", "role", "org_roles"]),
        ((9, 1), EVERYTHING, ["groups", "role", "org_roles", "is_grafana_admin"]),
        ((8, 0), {}, ["role", "org_roles"]),
        ((8, 0), {"skip_org_role_sync": True}, []),
        ((11, 6), {}, []),
    ],
)
def test_losses(version, mapping, fields):
    losses = printed(mapping, version=version).losses

    assert [field for field, _ in losses] == fields
    assert all(sentence.endswith(".") for _, sentence in losses)


@pytest.mark.parametrize(
    "more",
    [{}, {"version": (10, 2), "auto_assign_org_role": "None"}, {"version": (10, 1)}],
    ids=str,
)
def test_no_warning_without_a_reason(more):
    assert printed(**more).warnings == ()


def test_grafana_cloud_is_told_apart():
    assert "Grafana Cloud" in printed(url="https://acme.grafana.net").warnings[0]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"issuer": "http://localhost:8000"}, "app_mode = development"),
        ({"issuer": "http://localhost:8000", "version": (10, 0)}, "--jwks file"),
        ({"jwks": "file"}, "at start only"),
        ({"mode": "gateway"}, "has to set X-JWT-Assertion on every request"),
        ({"mode": "gateway"}, "embedjwt gateway-config"),
        ({"version": (10, 1), "auto_assign_org_role": "None"}, "new people who get no role"),
        ({"version": (9, 0)}, "reverse proxy of your own"),
        ({"version": (9, 0)}, "9.1 (url_login)"),
        ({"version": (8, 3)}, "create the users"),
    ],
)
def test_warnings(more, words):
    others = printed().warnings if more else ()

    assert words in "\n".join(w for w in printed(**more).warnings if w not in others)


def test_keys_over_http_come_with_development_mode():
    ini, env, helm = (
        printed(issuer="http://localhost:8000", format=format).text
        for format in ("ini", "env", "helm")
    )
    assert read_ini(ini).app_mode == "development"
    assert "\nGF_DEFAULT_APP_MODE=development\n" in env
    assert helm.index('\n  app_mode: "development"\n') < helm.index("\n  auth.jwt:")
    assert read_ini(printed().text).app_mode == "production"


def test_keys_over_http_are_not_for_grafana_before_10_1():
    """As a Grafana 10.0 answers at its start: "jwt_set_url must have https scheme"."""
    told = printed(issuer="http://localhost:8000", version=(10, 0))

    assert read_ini(told.text).app_mode == "production"
    assert "does not start" in told.warnings[0]
