"""Keys of ``[mapping]`` and ``[admission]`` in a source: they hold for its people alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from embedjwt.config import AdmissionSettings, ConfigError, MappingSettings, Settings, warnings
from embedjwt.config.mapping import Overrides
from embedjwt.grafana.settings import grafana_config
from embedjwt.oidc.redirects import redirect_uris
from tests_support import MINIMAL

Make = Callable[..., Settings]
JWT = MINIMAL["source"][0]


def source(**keys: Any) -> dict[str, Any]:
    return {**JWT, **keys}


def other(**keys: Any) -> dict[str, Any]:
    return source(**{"name": "other", "issuer": "https://idp2.example.com", **keys})


def oidc(**keys: Any) -> dict[str, Any]:
    named = {"type": "oidc", "issuer": "https://idp.example.com", "client_id": "c"}
    return {**named, "client_secret": "s", **keys}


def test_every_key_of_both_tables() -> None:
    tables = set(MappingSettings.model_fields) | set(AdmissionSettings.model_fields)
    assert set(Overrides.model_fields) == tables


def test_the_sources_own_key_wins(make_settings: Make) -> None:
    settings = make_settings(
        source=[source(login_attribute_path="a", allowed_domains=["a.example"]), other()],
        mapping={"login_attribute_path": "t", "name_attribute_path": "n"},
        admission={"allowed_domains": ["t.example"], "allowed_groups": ["g"]},
    )
    first, second = settings.source
    assert settings.mapping_of(first).login_attribute_path == "a"
    assert settings.mapping_of(first).name_attribute_path == "n"
    assert settings.mapping_of(second).login_attribute_path == "t"
    assert settings.admission_of(first).allowed_domains == ("a.example",)
    assert settings.admission_of(first).allowed_groups == ("g",)
    assert settings.admission_of(second).allowed_domains == ("t.example",)


def test_empty_is_an_answer_too(make_settings: Make) -> None:
    settings = make_settings(
        source=[source(login_attribute_path="", allowed_domains=[])],
        mapping={"login_attribute_path": "t"},
        admission={"allowed_domains": ["t.example"]},
    )
    assert settings.mapping_of(settings.source[0]).login_attribute_path == ""
    assert settings.admission_of(settings.source[0]).allowed_domains == ()


def test_a_preset_only_proposes(make_settings: Make) -> None:
    keycloak = oidc(preset="keycloak")
    proposed = make_settings(source=[keycloak])
    path = proposed.mapping_of(proposed.source[0]).login_attribute_path
    assert path
    settings = make_settings(source=[keycloak], mapping={"login_attribute_path": "t"})
    assert settings.mapping_of(settings.source[0]).login_attribute_path == "t"
    settings = make_settings(source=[oidc(preset="keycloak", login_attribute_path="own")])
    assert settings.mapping_of(settings.source[0]).login_attribute_path == "own"


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        ([source(allow_assign_grafana_admin=True, skip_org_role_sync=True)], "exclude each other"),
        ([source(skip_org_role_sync=True), other()], "skip_org_role_sync differs"),
        ([source(enabled=False)], "enabled = false"),
        ([source(role_attribute_path="a ||")], "role_attribute_path"),
        ([oidc(preset="auth0", issuer=None)], "needs domain"),
        ([oidc(issuer="")], "needs issuer"),
        ([oidc(issuer="", auth_url="https://a", token_url="https://t")], "api_url"),
        (
            [oidc(issuer="", auth_url="https://a", token_url="https://t", scopes="openid")],
            "asks for openid",
        ),
        ([oidc(algorithms=["HS256"])], "public-key"),
        ([oidc(tls_skip_verify_insecure=True)], "is refused"),
        ([oidc(tls_client_cert="c.pem")], "go together"),
        ([oidc(auth_style="Sideways")], "auth_style"),
    ],
)
def test_refused(make_settings: Make, sources: list[dict[str, Any]], says: str) -> None:
    cleaned = [{k: v for k, v in table.items() if v is not None} for table in sources]
    with pytest.raises(ConfigError) as refused:
        make_settings(source=cleaned)
    assert says in str(refused.value.diagnostics())


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"preset": "google", "issuer": None}, "anybody in the world"),
        ({"preset": "google", "issuer": None, "allowed_domains": ["example.com"]}, None),
        ({}, None),
        ({"allowed_domains": ["@example.com"]}, "without the @"),
        ({"team_ids": [7], "teams_url": "https://idp.example.com/teams"}, "admits nobody"),
        ({"use_pkce": False}, "use_pkce"),
        ({"icon": "signin"}, "icon has no effect"),
    ],
)
def test_said_at_every_start(make_settings: Make, keys: dict[str, Any], says: str | None) -> None:
    table = {k: v for k, v in oidc(**keys).items() if v is not None}
    told = warnings(make_settings(source=[table]))
    assert [says in sentence for sentence in told] == ([True] if says else [])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (oidc(), True),
        (source(cookie="token"), True),
        (source(), False),
        ({"type": "cookie", "secret_keys": ["a host app's secret key"]}, True),
    ],
)
def test_pages_have_to_be_named(make_settings: Make, table: dict[str, Any], said: bool) -> None:
    told = warnings(make_settings(source=[table], web={}))
    assert any("allowed_origins is empty" in sentence for sentence in told) is said


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"use_pkce": False, "client_secret": ""}, "needs a client_secret"),
        ({"client_id": "<client id>"}, "still a placeholder"),
        ({"domain": "acme.example.com"}, "none is named"),
        ({"preset": "auth0", "domain": "https://acme.auth0.com/"}, "host name"),
        ({"preset": "entra-id", "tenant": "common"}, "does not work"),
        ({"preset": "cloudflare-access", "domain": "a.cloudflareaccess.com"}, "not one of type"),
    ],
)
def test_refused_with_a_word_of_help(make_settings: Make, keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make_settings(source=[oidc(**keys)])
    assert says in refused.value.diagnostics()


@pytest.mark.parametrize("switch", ["use_pkce", "use_refresh_token", "allow_sign_up", "enabled"])
def test_an_empty_switch_is_its_default(make_settings: Make, switch: str) -> None:
    [found] = make_settings(source=[oidc(**{switch: ""})]).source
    assert getattr(found, switch) is True


def test_what_a_provider_has_to_have_registered(make_settings: Make) -> None:
    one = make_settings(source=[oidc()])
    assert redirect_uris(one) == {"oidc": "https://embed.example.com/session/callback"}
    two = make_settings(source=[oidc(), source(), oidc(name="Acme & Co")])
    assert redirect_uris(two) == {
        "oidc": "https://embed.example.com/session/callback/oidc",
        "Acme & Co": "https://embed.example.com/session/callback/Acme%20%26%20Co",
    }


def test_a_source_that_is_off_is_not_there(make_settings: Make) -> None:
    settings = make_settings(source=[source(enabled=False), other()])
    assert [s.name for s in settings.source] == ["other"]


@pytest.mark.parametrize(
    ("keys", "scopes"),
    [
        ({}, ("openid", "profile", "email")),
        ({"scopes": "openid groups"}, ("openid", "groups")),
        ({"empty_scopes": True, "scopes": "openid"}, ()),
        (
            {
                "issuer": "",
                "auth_url": "https://a",
                "token_url": "https://t",
                "api_url": "https://u",
            },
            ("user:email",),
        ),
    ],
)
def test_scopes(make_settings: Make, keys: dict[str, Any], scopes: tuple[str, ...]) -> None:
    [found] = make_settings(source=[oidc(**keys)]).source
    assert found.requested_scopes == scopes  # type: ignore[union-attr]


class TestGrafanaHasToKnow:
    def config(self, settings: Settings) -> str:
        return grafana_config(settings, settings.grafana[0], version=(12, 0)).text

    def test_of_all_sources_together(self, make_settings: Make) -> None:
        settings = make_settings(
            source=[
                source(allow_assign_grafana_admin=True, org_mapping=["a:1:Editor"]),
                other(groups_attribute_path="groups", org_mapping=["b:7:Viewer"]),
            ]
        )
        text = self.config(settings)
        assert "allow_assign_grafana_admin = true" in text
        assert "groups_attribute_path = groups" in text
        assert r"1\:Editor:1:Editor" in text
        assert r"7\:Viewer:7:Viewer" in text

    @pytest.mark.parametrize(("allowed", "line"), [(True, "true"), (False, "false")])
    def test_whether_new_people_are_welcome(
        self, make_settings: Make, allowed: bool, line: str
    ) -> None:
        settings = make_settings(source=[oidc(allow_sign_up=allowed)])
        assert f"auto_sign_up = {line}" in self.config(settings)


def test_in_a_request(
    make_app: Callable[..., Flask], bearer: Callable[..., dict[str, str]]
) -> None:
    app = make_app(
        source=[source(role_attribute_path="'Editor'", allowed_domains=["example.com"])],
        mapping={"role_attribute_path": "'Admin'"},
        admission={"allowed_domains": ["elsewhere.example"]},
    )
    answer = app.test_client().post("/v1/embed-token", headers=bearer())
    assert answer.status_code == 200
    refused = bearer(email="jane@elsewhere.example")
    answer = app.test_client().post("/v1/embed-token", headers=refused)
    assert answer.get_json()["code"] == "domain_not_allowed"
