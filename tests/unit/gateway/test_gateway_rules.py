"""What people may reach, by the default rules and by written ones."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from pydantic import ValidationError

from embedjwt.config.gateway import GatewayRule, GatewaySettings, read_pattern
from embedjwt.gateway.panel import DASHBOARD, PANEL
from embedjwt.gateway.rules import PathRules, Reach, Visitor
from tests_support import ROOT

HOSTILE = [
    json.loads(line)
    for line in (ROOT / "tests/data/hostile_paths.txt").read_text().splitlines()
    if line.startswith('"')
]

RECORDED, RECORDED_LISTS = (
    [line for line in part.splitlines() if line and not line.startswith("#")]
    for part in (ROOT / "tests/data/grafana-10.0-panel-requests.txt").read_text().split("---")
)

# What real panels ask for, by version of Grafana, as its sources have it.
PANEL_REQUESTS = [
    "GET /d-solo/cpu/cpu-usage",
    "HEAD /d-solo/cpu",
    "GET /d-solo/cpu/cpu-usage/",
    "GET /public/build/app.1f2e3d.js",
    "GET /public/fonts/inter/Inter-Regular.woff2",
    "GET /public/plugins/natel-discrete-panel/module.js",
    "GET /public/plugins/my%20panel/img/a%20b.svg",
    "GET /api/frontend/settings/",
    "GET /bootdata",
    "GET /apis/preferences.grafana.app/v1/namespaces/default/preferences/merged",
    "POST /apis/features.grafana.app/v0alpha1/namespaces/default/ofrep/v1/evaluate/flags",
    "GET /api/plugins/grafana-lokiexplore-app/settings",
    "GET /apis/plugins.grafana.app/v0alpha1/namespaces/default/metas",
    "GET /api/dashboards/uid/cpu",
    "GET /apis/dashboard.grafana.app/",
    "GET /apis/dashboard.grafana.app/v1beta1/namespaces/default/dashboards/cpu/dto",
    "GET /apis/dashboard.grafana.app/v2/namespaces/stacks-1/dashboards/cpu/dto",
    "GET /api/folders/ops",
    "GET /apis/folder.grafana.app/v1beta1/namespaces/default/folders/ops/parents",
    "GET /api/library-elements/lib",
    "POST /api/ds/query",
    "POST /apis/query.grafana.app/v0alpha1/namespaces/default/query",
    "GET /api/datasources/uid/P1809F7CD0C75ACF3/resources/api/v1/label/job/values",
    "POST /api/datasources/uid/P1809F7CD0C75ACF3/resources/api/v1/labels",
    "GET /api/datasources/uid/P1809F7CD0C75ACF3/resources",
    "GET /api/datasources/3/resources/api/v1/labels",
    "GET /apis/prometheus.grafana.app/v0alpha1/namespaces/default/datasources/p/resources/api/v1/x",
    "GET /api/datasources/proxy/uid/graphite/metrics/find",
    "POST /api/datasources/proxy/uid/es/_msearch",
    "GET /api/datasources/proxy/7/query",
    "GET /api/datasources/correlations",
    "GET /api/annotations",
    "GET /apis/annotation.grafana.app/v0alpha1/namespaces/default/search",
    "GET /api/prometheus/grafana/api/v1/rules",
    "GET /api/alerts/states-for-dashboard",
    "GET /api/live/ws",
    "GET /avatar/d41d8cd98f00b204e9800998ecf8427e",
    "POST /api/frontend-metrics",
    "POST /log-grafana-javascript-agent",
    "GET /api/login/ping",
]
DASHBOARD_REQUESTS = [
    "GET /d/cpu/cpu-usage",
    "GET /d/cpu",
    "GET /api/dashboards/uid/cpu/public-dashboards",
    "GET /api/annotations/tags",
    "GET /api/user/stars",
]


def visitor(**of: Any) -> Visitor:
    return Visitor(
        roles=frozenset(of.get("roles", {"Viewer"})),
        groups=frozenset(of.get("groups", ())),
        origin=of.get("origin", "https://app.example.com"),
        grafana=of.get("grafana", "default"),
    )


def reach(rules: list[dict[str, Any]], **of: Any) -> Reach:
    return PathRules([GatewayRule.model_validate(rule) for rule in rules]).reach_of(visitor(**of))


def answer(of: Reach, request: str) -> str | None:
    method, _, path = request.partition(" ")
    return of.check(method, path)


PANEL_ONLY = reach([])
WITH_DASHBOARDS = reach([{"allow": ["dashboard"]}])


@pytest.mark.parametrize("request_", [*PANEL_REQUESTS, *RECORDED])
def test_a_viewer_gets_what_a_panel_needs(request_: str) -> None:
    assert answer(PANEL_ONLY, request_) is None


@pytest.mark.parametrize("request_", DASHBOARD_REQUESTS)
def test_a_whole_dashboard_is_asked_for_by_name(request_: str) -> None:
    assert answer(PANEL_ONLY, request_) == "path_not_allowed"
    assert answer(WITH_DASHBOARDS, request_) is None


@pytest.mark.parametrize("request_", RECORDED_LISTS)
def test_a_panel_that_lists_what_there_is_needs_a_rule_of_its_own(request_: str) -> None:
    assert answer(PANEL_ONLY, request_) == "path_not_allowed"
    assert answer(reach([{"allow": [request_]}]), request_) is None


def test_there_are_enough_hostile_requests() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 120


@pytest.mark.parametrize("request_", HOSTILE, ids=ascii)
def test_a_hostile_request_is_refused(request_: str) -> None:
    assert answer(PANEL_ONLY, request_) is not None
    assert answer(WITH_DASHBOARDS, request_) is not None


@pytest.mark.parametrize("role", ["Editor", "Admin", "GrafanaAdmin"])
def test_who_may_edit_reaches_everything_by_default(role: str) -> None:
    everything = reach([], roles={"Viewer", role})
    for request_ in ("GET /", "GET /admin", "OPTIONS /x", "PUT /api/user", "GET /a/b/c/d/"):
        assert answer(everything, request_) is None
    # Everything that has one reading: another path could be another target's.
    assert answer(everything, "GET /public/../admin") == "path_not_normal"


def test_a_person_without_a_role_sees_panels_by_default() -> None:
    assert answer(reach([], roles=set()), "GET /d-solo/cpu") is None


MATCHING = [
    # pattern, requests allowed, requests not allowed
    ("/a/b", ["GET /a/b", "OPTIONS /a/b", "PURGE /a/b/"], ["GET /a", "GET /a/b/c", "GET /"]),
    ("GET /a", ["GET /a", "HEAD /a"], ["POST /a", "OPTIONS /a", "get /a"]),
    ("HEAD /a", ["HEAD /a"], ["GET /a"]),
    ("POST,PUT /a", ["POST /a", "PUT /a"], ["GET /a", "POST,PUT /a"]),
    ("/", ["GET /"], ["GET /a"]),
    ("/*", ["GET /a", "GET /**"], ["GET /", "GET /a/b"]),
    ("/a/*/c", ["GET /a/b/c", "GET /a/%2A/c"], ["GET /a/c", "GET /a/b/b/c"]),
    ("/a/**", ["GET /a", "GET /a/", "GET /a/b/c/d"], ["GET /", "GET /b", "GET /ab"]),
    ("/**", ["GET /", "GET /a/b"], ["GET //", "GET /a/../b"]),
    ("/*/b/**", ["GET /a/b", "GET /x/b/c"], ["GET /b", "GET /a/c"]),
    ("/d/{dashboard}", ["GET /d/cpu", "GET /d/any"], ["GET /d", "GET /d/cpu/x"]),
    ("/a/été", ["GET /a/%C3%A9t%C3%A9"], ["GET /a/\xe9t\xe9", "GET /a/ete"]),
    ("/A", ["GET /A"], ["GET /a"]),
]


@pytest.mark.parametrize(("pattern", "allowed", "refused"), MATCHING, ids=lambda x: str(x)[:30])
def test_matching(pattern: str, allowed: list[str], refused: list[str]) -> None:
    of = reach([{"allow": [pattern]}])
    assert [r for r in allowed if answer(of, r) is not None] == []
    assert [r for r in refused if answer(of, r) is None] == []


def test_dashboards_limit_what_is_shown() -> None:
    limited = reach([{"allow": ["dashboard"], "dashboards": ["cpu", "disk"]}])
    shown = ["/d-solo/{}/x", "/d/{}", "/api/dashboards/uid/{}"]
    shown.append("/apis/dashboard.grafana.app/v1/namespaces/default/dashboards/{}/dto")
    for path in shown:
        for uid in ("cpu", "disk", "%63pu"):
            assert answer(limited, f"GET {path.format(uid)}") is None
        for uid in ("mem", "CPU", "cpu2", "*", "{dashboard}", "%7Bdashboard%7D", ""):
            assert answer(limited, f"GET {path.format(uid)}") is not None
    assert answer(limited, "POST /api/ds/query") is None


WHO = [
    ({}, {}, True),
    ({"roles": ["Viewer", "Editor"]}, {"roles": {"Editor"}}, True),
    ({"roles": ["Editor"]}, {"roles": {"Viewer"}}, False),
    ({"roles": ["None"]}, {"roles": set()}, False),
    ({"groups": ["ops", "dev"]}, {"groups": {"dev", "x"}}, True),
    ({"groups": ["ops"]}, {"groups": {"Ops"}}, False),
    ({"origins": ["https://app.example.com"]}, {}, True),
    ({"origins": ["https://app.example.com:443"]}, {}, True),
    ({"origins": ["https://app.example.com"]}, {"origin": "https://b.example.com"}, False),
    ({"origins": ["https://app.example.com"]}, {"origin": ""}, False),
    ({"grafana": ["main"]}, {"grafana": "main"}, True),
    ({"grafana": ["main"]}, {"grafana": "default"}, False),
    ({"roles": ["Viewer"], "groups": ["ops"]}, {"groups": {"ops"}}, True),
    ({"roles": ["Viewer"], "groups": ["ops"]}, {"groups": {"dev"}}, False),
    ({"roles": ["Admin"], "groups": ["ops"]}, {"groups": {"ops"}}, False),
]


@pytest.mark.parametrize(("who", "of", "applies"), WHO, ids=range(len(WHO)))
def test_whom_a_rule_applies_to(who: dict[str, Any], of: dict[str, Any], applies: bool) -> None:
    found = answer(reach([{**who, "allow": ["/x"]}], **of), "GET /x")
    assert found == (None if applies else "path_not_allowed")


def test_rules_replace_the_default_and_add_up() -> None:
    rules = [
        {"allow": ["/a"]},
        {"groups": ["ops"], "allow": ["/b", "/d/{dashboard}"], "dashboards": ["one"]},
        {"groups": ["dev"], "allow": ["/d/{dashboard}"], "dashboards": ["two"]},
    ]
    both = reach(rules, groups={"ops", "dev"})
    for path in ("/a", "/b", "/d/one", "/d/two"):
        assert both.check("GET", path) is None
    assert both.check("GET", "/d/three") == "path_not_allowed"
    assert reach(rules).check("GET", "/b") == "path_not_allowed"
    assert reach(rules, roles={"Admin"}).check("GET", "/d-solo/x") == "path_not_allowed"
    nobody = reach([{"groups": ["ops"], "allow": ["everything"]}])
    assert nobody.check("GET", "/") == "path_not_allowed"


def test_people_of_the_same_rules_share_a_reach() -> None:
    rules = PathRules([GatewayRule(allow=("/a",)), GatewayRule(groups=("ops",), allow=("/b",))])
    assert rules.reach_of(visitor()) is rules.reach_of(visitor(groups={"dev"}))
    assert rules.reach_of(visitor()) is not rules.reach_of(visitor(groups={"ops"}))


def test_what_is_remembered_stays_bounded_and_right() -> None:
    of = reach([{"allow": ["GET /a/*"]}])
    for number in range(10_000):
        assert of.check("GET", f"/a/{number}") is None
        assert of.check("POST", f"/a/{number}") == "path_not_allowed"
    of.check("GET", "/a/" + "b" * 4000)
    assert len(of._answers) <= 2048
    assert max(len(path) for _, path in of._answers) < 600
    many = PathRules([GatewayRule(groups=(f"g{n}",), allow=("/a",)) for n in range(500)])
    for number in range(500):
        many.reach_of(visitor(groups={f"g{number}"}))
    assert len(many._reaches) <= 64


def test_matching_takes_no_long_time() -> None:
    stars = ["/" + "*/" * depth + "**" for depth in range(200)]
    of = reach([{"allow": ["POST " + pattern for pattern in stars]}])
    started = time.perf_counter()
    assert of.check("POST", "/" + "a/" * 4000) is None
    assert of.check("GET", "/" + "*/" * 4000 + "b") == "path_not_allowed"
    assert time.perf_counter() - started < 1


def test_the_sets_are_good_patterns() -> None:
    patterns = [read_pattern(text) for text in (*PANEL, *DASHBOARD)]
    assert len(set(patterns)) == len(patterns)
    assert {m for p in patterns for m in p.methods} == {"GET", "HEAD", "POST"}
    assert all(p.methods and p.segments[:1] != ("*",) for p in patterns)


BAD = [
    ({"allow": []}, "at least 1"),
    ({}, "required"),
    ({"allow": ["panels"]}, "is no pattern"),
    ({"allow": ["get /a"]}, "in capitals"),
    ({"allow": ["GET/a"]}, "one space"),
    ({"allow": ["GET  /a"]}, "one space"),
    ({"allow": [" /a"]}, "one space"),
    ({"allow": ["GET, POST /a"]}, "one space"),
    ({"allow": ["https://grafana.example.com/a"]}, "is no pattern"),
    ({"allow": ["/a//b"]}, "empty segment"),
    ({"allow": ["/a/"]}, "none at the end"),
    ({"allow": ["/a/../b"]}, "segment of dots"),
    ({"allow": ["/a/**/b"]}, "stands only last"),
    ({"allow": ["/a/b*"]}, "any one segment"),
    ({"allow": ["/a/{uid}"]}, "{dashboard}"),
    ({"allow": ["/a?b=1"]}, "queries are not looked at"),
    ({"allow": ["/a%20b"]}, "decoded"),
    ({"allow": ["panel"], "roles": ["viewer"]}, "'Viewer'"),
    ({"allow": ["panel"], "origins": ["*"]}, "wildcard"),
    ({"allow": ["panel"], "dashboards": ["a/b"]}, "pattern"),
    ({"allow": ["panel", "everything"], "dashboards": ["cpu"]}, 'cannot limit "everything"'),
    ({"allow": ["/d/*"], "dashboards": ["cpu"]}, "limits only patterns"),
    ({"allow": ["panel"], "paths": ["/a"]}, "Extra inputs"),
]


@pytest.mark.parametrize(("rule", "says"), BAD, ids=range(len(BAD)))
def test_a_bad_rule_says_what_to_write(rule: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        GatewayRule.model_validate(rule)
    assert says in str(refused.value)


def test_settings_have_defaults_and_limits() -> None:
    settings = GatewaySettings()
    assert (settings.proxy, settings.lifetime, settings.rule) == (None, 3600, ())
    assert (settings.cookie_name, settings.rule_mode) == ("embedjwt_gateway", "enforce")
    read = GatewaySettings.model_validate(
        {"proxy": "nginx", "lifetime": "2h", "rule": [{"allow": "panel", "groups": "a, b"}]}
    )
    assert read.lifetime == 7200
    assert (read.rule[0].allow, read.rule[0].groups) == (("panel",), ("a", "b"))
    for bad in ({"lifetime": 59}, {"lifetime": "32d"}, {"proxy": "apache"}, {"cookie_name": "a b"}):
        with pytest.raises(ValidationError):
            GatewaySettings.model_validate(bad)
