"""Grafana's ini dialect and what one version takes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedjwt.errors import RequestRefused
from embedjwt.grafana.ini import IniError, parse_ini, quote_ini
from embedjwt.grafana.jwt_settings import read_ini
from embedjwt.grafana.versions import KEY_SINCE, parse_version


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("k = v", "v"),
        ("k: v", "v"),
        ("  k=  v  ", "v"),
        ("k =", ""),
        ("k = a ; comment", "a"),
        ("k = a#b", "a"),
        ("k = `a ; b # c`", "a ; b # c"),
        ("k = `a`b`", "a`b"),
        ('k = """a # "b" ;"""', 'a # "b" ;'),
        ('k = "a b"', "a b"),
        ("k = 'a b'", "a b"),
        ('k = "a" "b"', '"a" "b"'),
        ("k = 'a' || 'b'", "'a' || 'b'"),
        ("k = a = b", "a = b"),
        ('"k" = v', "v"),
        ("`k` = v", "v"),
        (r"k = 1\:Editor:1:Editor", r"1\:Editor:1:Editor"),
        ("k = a \\\n  b", "a b"),
        ("k = a\\\nb\\\nc\nx = y", "abc"),
        ("k = `a\nb` ; c", "a\nb"),
        ("k = 1\nk = 2", "2"),
    ],
)
def test_values(line, value):
    assert parse_ini(f"# top\n\n[s]\n{line}\n")["s"]["k"] == value


def test_sections_merge_and_case_counts():
    text = "\ufeffapp_mode = development\r\n[a] ; x\nk = 1\n[A]\nk = 2\n[a]\nj = 3"

    assert parse_ini(text) == {
        "DEFAULT": {"app_mode": "development"},
        "a": {"k": "1", "j": "3"},
        "A": {"k": "2"},
    }


@pytest.mark.parametrize("text", ["[a\n", "no delimiter", '"k = 1', "k = `open\nfor ever"])
def test_what_grafana_cannot_start_with(text):
    with pytest.raises(IniError):
        parse_ini(text)


@given(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])))
def test_a_quoted_value_comes_back(value):
    assert parse_ini(f"k = {quote_ini(value)}\nj = 1")["DEFAULT"] == {"k": value, "j": "1"}


@pytest.mark.parametrize("value", ["a\nb", "a\rb"])
def test_a_line_break_is_not_quoted(value):
    with pytest.raises(IniError):
        quote_ini(value)


def test_a_broken_line_is_told_with_the_file_s_name():
    with pytest.raises(IniError, match=r"^/etc/g\.ini, line 2: expected key = value") as broken:
        read_ini("[auth.jwt]\nenabled\n", name="/etc/g.ini")
    assert broken.value.hint == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[security]\n# GF_AUTH_JWT_ENABLED\n", "such as GF_AUTH_JWT_ENABLED are not looked at"),
        ("", "such as GF_AUTH_JWT_ENABLED are not looked at"),
        ("GF_AUTH_JWT_ENABLED=true\n", "it looks like environment variables"),
        ("export GF_AUTH_JWT_ENABLED=true\n", "it looks like environment variables"),
        ("x:\n  - name: GF_AUTH_JWT_ENABLED\n", "it looks like environment variables"),
        ('x:\n  GF_AUTH_JWT_ENABLED: "true"\n', "it looks like environment variables"),
        ("grafana.ini:\n  security:\n    a: b\n", "it looks like YAML"),
        ("  auth.jwt:\n    enabled: true\n", "it looks like YAML"),
        ("[Auth.JWT]\nenabled = true\n", "[Auth.JWT] is another one"),
        ("[ auth.jwt ]\nenabled = true\n", "[ auth.jwt ] is another one"),
    ],
)
def test_no_section_at_all(text, words):
    absent = read_ini(text, name="g.ini").absent

    assert absent.startswith("g.ini has no [auth.jwt] section")
    assert words in absent


@pytest.mark.parametrize(
    ("text", "kind"),
    [("---\ngrafana.ini:\n", "YAML"), ("x\nGF_AUTH_JWT_A=1\n", "environment variables")],
)
def test_what_is_no_ini_is_told_apart(text, kind):
    with pytest.raises(IniError) as broken:
        read_ini(text)
    assert f"it looks like {kind}" in broken.value.hint


@pytest.mark.parametrize(
    ("line", "placeholder"),
    [
        ("[auth.jwt]\njwk_set_url = https://$__env{HOST}/j", ("jwk_set_url", "$__env{HOST}")),
        ("[auth.jwt]\nexpect_claims = $__file{/run/x}", ("expect_claims", "$__file{/run/x}")),
        ("[auth.jwt]\nenabled = ${ON}", ("enabled", "${ON}")),
        ("[auth.jwt]\nheader_name = %(name)s", ("header_name", "%(name)s")),
        ("[security]\nallow_embedding = ${E}", ("allow_embedding", "${E}")),
        ("[users]\nauto_assign_org_id = ${E}", ("auto_assign_org_id", "${E}")),
        ("app_mode = ${M}", ("app_mode", "${M}")),
    ],
)
def test_what_grafana_would_expand_is_named(line, placeholder):
    assert read_ini(line).placeholders == (placeholder,)


def test_only_what_grafana_expands_is_a_placeholder():
    text = '[auth.jwt]\nexpect_claims = {"aud": "$a{"}\nother = ${X}\n[database]\nx = ${Y}'

    assert read_ini(text).placeholders == ()


def test_what_grafana_takes_and_what_it_ignores():
    settings = read_ini(
        """
app_mode = development
[auth.jwt]
enabled = YES
url_login = maybe
enable_login_token = true
expected_claims = {"iss": "x"}
cache_ttl = 1h30m
org_mapping = ["a:1:Viewer", "b:2"]
expect_claims =
[security]
allow_embedding = true
[users]
auto_assign_org = false
auto_assign_org_id = 4
auto_assign_org_role = Boss
"""
    )

    assert (settings.enabled, settings.url_login) == (True, False)
    assert settings.expect_claims == "{}"
    assert settings.ignored == ("enable_login_token", "expected_claims")
    assert settings.cache_ttl == 5400
    assert settings.org_mapping == ("a:1:Viewer", "b:2")
    assert (settings.app_mode, settings.allow_embedding) == ("development", True)
    assert (settings.auto_assign_org, settings.auto_assign_org_id) == (False, 4)
    assert settings.auto_assign_org_role == "Viewer"
    assert settings.unknown_role == "Boss"


@pytest.mark.parametrize(
    ("role", "version", "becomes"),
    [
        ("Admin", (10, 1), "Admin"),
        ("", (10, 1), "Viewer"),
        ("None", (10, 1), "Editor"),
        ("viewer", (10, 1), "Editor"),
        ("None", (10, 2), "None"),
        ("viewer", (10, 2), "Viewer"),
    ],
)
def test_the_role_of_new_people(role, version, becomes):
    text = f"[auth.jwt]\n[users]\nauto_assign_org_role = {role}"
    assert read_ini(text, version=version).auto_assign_org_role == becomes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60m", 3600), ("90s", 90), ("0", 0), ("1.5h", 5400), ("-1m", -60), ("60", 3600), ("", 3600)],
)
def test_cache_ttl_is_a_go_duration(text, seconds):
    assert read_ini(f"[auth.jwt]\ncache_ttl = {text}").cache_ttl == seconds


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("a:1:Viewer, b:2:Editor", ("a:1:Viewer", "b:2:Editor")),
        ("a:1:Viewer b:2:Editor", ("a:1:Viewer", "b:2:Editor")),
        ('"a b:1:Viewer" c:2', ("a b:1:Viewer", "c:2")),
        ("[1, 2]", ()),
        ("[broken", ()),
        ("", ()),
    ],
)
def test_org_mapping_is_split_like_every_list(text, entries):
    assert read_ini(f"[auth.jwt]\norg_mapping = `{text}`").org_mapping == entries


_VALUES = {"cache_ttl": "7m", "org_mapping": "a:1:Viewer"}


@pytest.mark.parametrize("key", KEY_SINCE)
def test_a_key_counts_from_the_release_that_brought_it(key):
    text = f"[auth.jwt]\n{key} = {_VALUES.get(key, 'true')}"
    since = KEY_SINCE[key]
    before = (since[0], since[1] - 1) if since[1] else (since[0] - 1, 9)

    assert read_ini(text, version=since).ignored == ()
    assert getattr(read_ini(text, version=since), key) != getattr(read_ini(""), key)
    assert read_ini(text, version=before).ignored == (key,)
    assert getattr(read_ini(text, version=before), key) == getattr(read_ini(""), key)


@pytest.mark.parametrize(
    ("text", "version"),
    [("12.1", (12, 1)), ("v12.1.3", (12, 1)), ("12", (12, 0)), ("13.1.0-pre", (13, 1))],
)
def test_versions(text, version):
    assert parse_version(text) == version


@pytest.mark.parametrize("text", ["", "latest", "7.5", "12.x", "12.1.3 or so", "-1", "1" * 5000])
def test_versions_that_are_refused(text):
    with pytest.raises(RequestRefused):
        parse_version(text)
