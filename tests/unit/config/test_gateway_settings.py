"""``[gateway]`` as a part of the whole: what does not fit together is refused, or said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from embedjwt.config import ConfigError, Settings, warnings
from gateway_visitor import APP, BEHIND_GATEWAY, GRAFANA

Make = Callable[..., Settings]
PANEL = {"allow": ["panel"]}
BASE_PATH = {"grafana": [{"url": f"{GRAFANA}/base", "mode": "gateway"}]}


def gateway(*rules: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {**BEHIND_GATEWAY, "gateway": {"proxy": "nginx", "rule": list(rules), **keys}}


def two(*urls: str) -> dict[str, Any]:
    grafana = [
        {"name": str(number), "url": url, "mode": "gateway", "audience": str(number)}
        for number, url in enumerate(urls)
    ]
    return {**gateway(), "grafana": grafana}


def test_two_on_one_host_differ_in_their_paths(make_settings: Make) -> None:
    assert len(make_settings(**two(f"{GRAFANA}/a", f"{GRAFANA}/b")).behind_gateway) == 2


def test_off_by_default(make_settings: Make) -> None:
    assert make_settings().behind_gateway == ()
    assert make_settings(grafana=[{"url": GRAFANA, "mode": "gateway"}]).behind_gateway == ()
    assert make_settings(gateway={"proxy": "nginx"}).behind_gateway == ()


def test_serves_the_targets_that_say_so(make_settings: Make) -> None:
    grafana = [{"name": "a", "url": "https://a"}, {"name": "b", "url": GRAFANA, "mode": "gateway"}]
    settings = make_settings(**{**gateway(), "grafana": grafana})
    assert [target.name for target in settings.behind_gateway] == ["b"]


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        (gateway({**PANEL, "grafana": ["other"]}), "'other', which is no [[grafana]]"),
        (gateway({**PANEL, "origins": ["https://x.example"]}), "is no entry of [web] allowed_orig"),
        (gateway(PANEL, {**PANEL, "roles": ["viewer"]}), "gateway.rule.1.roles"),
        (gateway({"allow": []}), "gateway.rule.0.allow"),
        (gateway({"allow": ["get /x"]}), "methods in capitals"),
        (gateway(proxy="apache"), "gateway.proxy"),
        (gateway(proxi="nginx"), "proxy"),
        (two("https://a.example", "http://localhost:3000"), "must be all https or all http"),
        (two("https://a.example", "https://A.example:443"), "have the same url"),
        (two("https://a.example/x", "https://a.example/x"), "have the same url"),
        (gateway({"allow": ["GIT /x"]}), "names the method GIT"),
        (gateway(cookie_name="embedjwt_session"), "cookie_name is the same"),
        *(
            (
                {
                    **gateway(),
                    "grafana": [{"url": GRAFANA, "mode": "gateway", "header_name": name}],
                },
                "is taken out on the way",
            )
            for name in ("Authorization", "cookie")
        ),
    ],
)
def test_refused(make_settings: Make, tables: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make_settings(**tables)
    assert said in str(refused.value.diagnostics())


def test_rules_of_what_is_there(make_settings: Make) -> None:
    rule = {**PANEL, "grafana": ["default"], "origins": [APP], "roles": "Viewer"}
    (made,) = make_settings(**gateway(rule)).gateway.rule
    assert (made.grafana, made.origins, made.roles) == (("default",), (APP,), ("Viewer",))


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        (gateway(), None),
        ({**gateway(), "web": {"allowed_origins": [APP]}}, "trusted_proxies is empty"),
        ({**gateway(), "web": {"trusted_proxies": ["::1"]}}, "no page may open a session"),
        (gateway({**PANEL, "groups": ["a"]}), "groups_attribute_path is unset"),
        (
            {**gateway({"allow": ["GET /base/d/x"]}), **BASE_PATH},
            "leave out /base",
        ),
        ({**gateway({"allow": ["GET /based/x", "panel"]}), **BASE_PATH}, None),
        (gateway(rule_mode="log"), "people may reach all"),
        ({**gateway(), "grafana": [{"url": GRAFANA}]}, "[gateway] proxy has no effect"),
        ({"grafana": [{"url": GRAFANA, "mode": "gateway"}]}, "set [gateway] proxy"),
    ],
)
def test_said_at_every_start(make_settings: Make, tables: dict[str, Any], said: str | None) -> None:
    told = [text for text in warnings(make_settings(**tables)) if "gateway" in text]
    assert len(told) == (0 if said is None else 1)
    assert said is None or said in told[0]


def test_from_the_environment(make_settings: Make) -> None:
    environ = {
        "EMBEDJWT_GATEWAY__PROXY": "caddy",
        "EMBEDJWT_GATEWAY__RULE__0__ALLOW": '["panel", "GET,POST /api/x"]',
        "EMBEDJWT_GATEWAY__RULE__1__ALLOW": "GET,POST /api/y",
        "EMBEDJWT_GATEWAY__RULE__0__GROUPS": "a, b",
    }
    settings = make_settings(environ, grafana=BEHIND_GATEWAY["grafana"])
    assert settings.gateway.proxy == "caddy"
    assert settings.gateway.rule[0].groups == ("a", "b")
    assert settings.gateway.rule[0].allow == ("panel", "GET,POST /api/x")
    assert settings.gateway.rule[1].allow == ("GET,POST /api/y",)
