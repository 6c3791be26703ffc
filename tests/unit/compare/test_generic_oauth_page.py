"""Grafana's page on generic OAuth, setting by setting: what each does here."""

from __future__ import annotations

import ssl
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from compare_kit import EXAMPLE, OPENID, Idp, oidc

from embedjwt.config import ConfigError, Settings, parse_settings
from embedjwt.config.warnings import warnings
from embedjwt.errors import UpstreamUnavailable
from embedjwt.grafana.importing import import_grafana
from embedjwt.grafana.ini import parse_ini
from embedjwt.grafana.oauth_settings import read_grafana_files
from embedjwt.grafana.settings import grafana_config
from loopback_server import running_server

MakeSettings = Callable[..., Settings]


def problems(make_settings: MakeSettings, **tables: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        make_settings(**tables)
    return refused.value.diagnostics()


def test_the_example_section_as_it_stands(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings(source=[{"type": "oidc", **EXAMPLE}])
    (source,) = settings.source
    assert (source.name, source.client_id) == ("OAuth", "YOUR_APP_CLIENT_ID")
    assert source.client_secret.get_secret_value() == "YOUR_APP_CLIENT_SECRET"
    assert "YOUR_APP_CLIENT_SECRET" not in repr(settings)
    for key in ("auth_url", "token_url", "api_url"):
        assert getattr(source, key) == EXAMPLE[key]
    for key in ("tls_client_cert", "tls_client_key", "tls_client_ca"):
        assert getattr(source, key) == tmp_path / EXAMPLE[key]
    assert (source.use_pkce, source.allow_sign_up, source.auth_style) == (True, True, "AutoDetect")
    assert settings.admission_of(source).allowed_domains == ("mycompany.com", "mycompany.org")


def test_without_the_switches_of_the_example_the_safer_value_holds(
    make_settings: MakeSettings,
) -> None:
    (source,) = make_settings(source=[oidc()]).source
    assert (source.enabled, source.use_pkce, source.use_refresh_token) == (True, True, True)
    assert (source.tls_skip_verify_insecure, source.empty_scopes) == (False, False)
    assert (source.allow_sign_up, source.auto_login) == (True, False)


def test_enabled_false_takes_a_source_away(make_settings: MakeSettings) -> None:
    kept = make_settings(source=[oidc(name="a", enabled=False), oidc(name="b")]).source
    assert [source.name for source in kept] == ["b"]
    assert "nobody could be recognised" in problems(make_settings, source=[oidc(enabled=False)])


def test_icon_has_no_effect_and_that_is_said(make_settings: MakeSettings) -> None:
    assert "icon has no effect" in " ".join(warnings(make_settings(source=[oidc(icon="signin")])))


def test_pkce_switched_off_is_said(make_settings: MakeSettings) -> None:
    assert "use_pkce = false" in " ".join(
        warnings(make_settings(source=[oidc(use_pkce=False, client_secret="s")]))
    )


@pytest.mark.parametrize(
    ("keys", "scopes"),
    [
        ({}, ("user:email",)),
        ({"scopes": ""}, ("user:email",)),
        (OPENID, ("openid", "profile", "email")),
        ({"scopes": "account email"}, ("account", "email")),
        ({"scopes": "account,email"}, ("account", "email")),
        ({"empty_scopes": True}, ()),
        ({"empty_scopes": True, "scopes": "account"}, ()),
        (OPENID | {"empty_scopes": True}, ()),
    ],
    ids=str,
)
def test_scopes(make_settings: MakeSettings, keys: dict[str, Any], scopes: Any) -> None:
    (source,) = make_settings(source=[oidc(**keys)]).source
    assert source.requested_scopes == scopes


def test_an_id_token_is_not_asked_for_where_it_could_not_be_verified(
    make_settings: MakeSettings,
) -> None:
    assert "issuer is needed" in problems(make_settings, source=[oidc(scopes="openid email")])


@pytest.mark.parametrize("missing", ["auth_url", "token_url", "api_url"])
def test_endpoints_are_needed_where_nothing_is_discovered(
    make_settings: MakeSettings, missing: str
) -> None:
    section = {key: value for key, value in oidc().items() if key != missing}
    assert missing in problems(make_settings, source=[section])
    make_settings(source=[section | {"issuer": "https://idp.example.com"}])


@pytest.mark.parametrize(
    ("written", "style"),
    [
        ("", "AutoDetect"),
        ("AutoDetect", "AutoDetect"),
        ("autodetect", "AutoDetect"),
        ("InParams", "InParams"),
        ("INPARAMS", "InParams"),
        ("InHeader", "InHeader"),
        ("inheader", "InHeader"),
    ],
)
def test_auth_style(make_settings: MakeSettings, written: str, style: str) -> None:
    assert make_settings(source=[oidc(auth_style=written)]).source[0].auth_style == style


def test_another_auth_style_is_refused(make_settings: MakeSettings) -> None:
    assert "auth_style" in problems(make_settings, source=[oidc(auth_style="InCookie")])


@pytest.mark.parametrize(
    ("sources", "signed_up"),
    [
        ([oidc()], "true"),
        ([oidc(allow_sign_up=False)], "false"),
        ([oidc(name="a"), oidc(name="b", allow_sign_up=False)], "false"),
    ],
    ids=["default", "off", "off-in-one-of-two"],
)
def test_allow_sign_up_is_grafanas_to_obey(
    make_settings: MakeSettings, sources: list[dict[str, Any]], signed_up: str
) -> None:
    settings = make_settings(source=sources)
    text = grafana_config(settings, settings.grafana[0], version=(13, 1)).text
    assert parse_ini(text)["auth.jwt"]["auto_sign_up"] == signed_up


def test_groups_travel_to_team_sync(make_settings: MakeSettings) -> None:
    settings = make_settings(source=[oidc(groups_attribute_path="info.groups")])
    text = grafana_config(settings, settings.grafana[0], version=(13, 1)).text
    assert parse_ini(text)["auth.jwt"]["groups_attribute_path"] == "groups"


def test_unverified_tls_is_for_test_machines(make_settings: MakeSettings) -> None:
    source = [oidc(tls_skip_verify_insecure=True)]
    assert "tls_client_ca" in problems(make_settings, source=source)
    said = " ".join(warnings(make_settings(source=source, development=True)))
    assert "tls_skip_verify_insecure" in said


def test_the_tls_files_are_used_at_the_provider(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = authority.issue_cert("embedjwt.example.com")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    files = {key: EXAMPLE[key] for key in EXAMPLE if key.startswith("tls_client_")}
    with running_server(context) as server:
        idp = Idp(server, make_settings)
        person = {"api": {"": {"login": "ada", "email": "ada@example.com"}}}
        assert idp.login(**person, **files).login == "ada"
        for missing in (("tls_client_ca",), ("tls_client_cert", "tls_client_key")):
            others = {key: file for key, file in files.items() if key not in missing}
            with pytest.raises(UpstreamUnavailable):
                idp.login(**person, **others)


SECTIONS: dict[str, tuple[str, dict[str, str], str | None]] = {
    "auth0": (
        """
        scopes = openid profile email
        auth_url = https://acme.eu.auth0.com/authorize
        token_url = https://acme.eu.auth0.com/oauth/token
        api_url = https://acme.eu.auth0.com/userinfo
        use_pkce = true
        """,
        {"domain": "acme.eu.auth0.com"},
        "https://acme.eu.auth0.com/",
    ),
    "bitbucket": (
        """
        scopes = account email
        auth_url = https://bitbucket.org/site/oauth2/authorize
        token_url = https://bitbucket.org/site/oauth2/access_token
        api_url = https://api.bitbucket.org/2.0/user
        teams_url = https://api.bitbucket.org/2.0/user/permissions/workspaces
        team_ids_attribute_path = values[*].workspace.slug
        """,
        {},
        None,
    ),
    "centrify": (
        """
        scopes = openid profile email
        auth_url = https://acme.my.centrify.com/OAuth2/Authorize/grafana
        token_url = https://acme.my.centrify.com/OAuth2/Token/grafana
        api_url = https://acme.my.centrify.com/OAuth2/UserInfo/grafana
        """,
        {"domain": "acme.my.centrify.com", "application_id": "grafana"},
        "https://acme.my.centrify.com/grafana/",
    ),
    "onelogin": (
        """
        scopes = openid email name
        auth_url = https://acme.onelogin.com/oidc/2/auth
        token_url = https://acme.onelogin.com/oidc/2/token
        api_url = https://acme.onelogin.com/oidc/2/me
        """,
        {"domain": "acme.onelogin.com"},
        "https://acme.onelogin.com/oidc/2",
    ),
}
"""The page's sections for four providers, what their presets need, and the issuer."""


@pytest.mark.parametrize("name", SECTIONS)
def test_the_sections_of_four_providers(make_settings: MakeSettings, name: str) -> None:
    """Carried over, each is what it was; and the preset of that provider leads to the same."""
    text, keys, issuer = SECTIONS[name]
    head = "[auth.generic_oauth]\nenabled = true\nclient_id = x\nteam_ids =\n"
    ini = head + "\n".join(line.strip() for line in text.splitlines())
    given = parse_ini(ini)["auth.generic_oauth"]
    result = import_grafana(read_grafana_files([("grafana.ini", ini)]))
    carried = parse_settings(tomllib.loads(result.text), {}, base=Path("/etc"), origin="test")
    (source,) = carried.source
    for key in ("auth_url", "token_url", "api_url", "teams_url"):
        assert getattr(source, key) == given.get(key)
    assert (source.issuer, source.requested_scopes) == (issuer, tuple(given["scopes"].split()))
    section = {"type": "oidc", "preset": name, "client_id": "x", **keys}
    (preset,) = make_settings(source=[section]).source
    assert preset.issuer == issuer
    for key in ("auth_url", "token_url", "api_url", "teams_url"):
        assert getattr(preset, key) in (given.get(key), None), "given, or discovered"
