"""Addresses of panels: what is asked for, and how it is written."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedjwt.errors import RequestRefused
from embedjwt.grafana.urls import MAX_URL_LENGTH, PanelRequest, panel_url

BASE = "https://grafana.example.com"


def url(panel, *, base=BASE, token=None):
    return panel_url(base, PanelRequest.parse(panel), token=token)


@pytest.mark.parametrize(
    ("panel", "expected"),
    [
        pytest.param({"dashboard": "abc", "panel": 3}, "/d-solo/abc/_?panelId=3", id="number"),
        pytest.param(
            {"dashboard": "abc", "panel": "panel-3"}, "/d-solo/abc/_?panelId=panel-3", id="name"
        ),
        pytest.param({"dashboard": "abc", "panel": 0}, "/d-solo/abc/_?panelId=0", id="zero"),
        pytest.param({"dashboard": "abc"}, "/d/abc/_?kiosk", id="whole"),
        pytest.param({"dashboard": "abc", "panel": None}, "/d/abc/_?kiosk", id="null"),
        pytest.param(
            {
                "vars": {"host": ["a b", "c&d=e"], "all": "$__all", "n": 1.5, "ok": True, "i": -2},
                "theme": "dark",
                "refresh": "30s",
                "timezone": "Europe/Oslo",
                "to": "now",
                "from": "now-6h/d",
                "org_id": 2,
                "slug": "über all.",
                "panel": 4,
                "dashboard": "aB-_9",
            },
            "/d-solo/aB-_9/%C3%BCber%20all.?orgId=2&panelId=4&from=now-6h%2Fd&to=now"
            "&timezone=Europe%2FOslo&refresh=30s&theme=dark&var-host=a%20b&var-host=c%26d%3De"
            "&var-all=%24__all&var-n=1.5&var-ok=true&var-i=-2",
            id="everything",
        ),
        pytest.param(
            {
                "dashboard": "abc",
                "hide_time_picker": True,
                "hide_variables": True,
                "vars": {"x": "", "none": []},
                "from": 1700000000000,
                "to": "2026-01-01T00:00:00.000Z",
            },
            "/d/abc/_?from=1700000000000&to=2026-01-01T00%3A00%3A00.000Z&var-x="
            "&_dash.hideTimePicker=true&_dash.hideVariables=true&kiosk",
            id="whole-with-everything",
        ),
    ],
)
def test_addresses(panel, expected):
    assert url(panel) == BASE + expected


@pytest.mark.parametrize("panel", [{"dashboard": "a"}, {"dashboard": "a", "panel": 1}], ids=str)
def test_the_token_comes_last(panel):
    assert url(panel, token="e30.e30.x-_").endswith("&auth_token=e30.e30.x-_")


@pytest.mark.parametrize("base", ["https://e.org/grafana", "https://e.org/grafana/"])
def test_a_grafana_below_a_path(base):
    address = url({"dashboard": "a", "panel": 1}, base=base)

    assert address == "https://e.org/grafana/d-solo/a/_?panelId=1"


@pytest.mark.parametrize(
    ("panel", "field"),
    [
        ({}, "dashboard"),
        ({"dashboard": None}, "dashboard"),
        ({"dashboard": ""}, "dashboard"),
        ({"dashboard": "../admin"}, "dashboard"),
        ({"dashboard": "a" * 41}, "dashboard"),
        ({"dashboard": "a\n"}, "dashboard"),
        ({"dashboard": 7}, "dashboard"),
        ({"panel": True}, "panel"),
        ({"panel": -1}, "panel"),
        ({"panel": 1.0}, "panel"),
        ({"panel": "3;x"}, "panel"),
        ({"panel": 10**5000}, "panel"),
        ({"slug": ".."}, "slug"),
        ({"slug": "a/b"}, "slug"),
        ({"slug": "%2e%2e"}, "slug"),
        ({"slug": "s" * 201}, "slug"),
        ({"org_id": 0}, "org_id"),
        ({"org_id": "1"}, "org_id"),
        ({"org_id": True}, "org_id"),
        ({"org_id": 2**63}, "org_id"),
        ({"from": "now&auth_token=x"}, "from"),
        ({"from": False}, "from"),
        ({"to": "x" * 65}, "to"),
        ({"timezone": "a b"}, "timezone"),
        ({"refresh": "often"}, "refresh"),
        ({"theme": "blue"}, "theme"),
        ({"hide_variables": "true"}, "hide_variables"),
        ({"vars": ["a"]}, "vars"),
        ({"vars": {"a&b": 1}}, "vars"),
        ({"vars": {"": 1}}, "vars"),
        ({"vars": {"a": None}}, "vars.a"),
        ({"vars": {"a": {}}}, "vars.a"),
        ({"vars": {"a": [["b"]]}}, "vars.a"),
        ({"vars": {"a": float("nan")}}, "vars.a"),
        ({"vars": {"a": 10**5000}}, "vars.a"),
        ({"vars": {"a": "\ud800"}}, "vars.a"),
        ({"vars": {"a": "b\r\n"}}, "vars.a"),
        ({"vars": {"a": "x" * 1001}}, "vars.a"),
        ({"vars": {f"v{i}": 1 for i in range(51)}}, "vars"),
        ({"vars": {"a": list(range(201))}}, "vars"),
    ],
)
def test_what_is_refused_names_its_field(panel, field):
    with pytest.raises(RequestRefused, match=rf"panel\.{field} ") as refused:
        PanelRequest.parse({"dashboard": "abc"} | panel if panel else {})

    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("name", "hint"),
    [("dashbord", "did you mean dashboard?"), ("var", "did you mean vars?"), ("zzz", "vars")],
)
def test_an_unknown_field_names_the_nearest(name, hint):
    with pytest.raises(RequestRefused) as refused:
        PanelRequest.parse({"dashboard": "abc", name: 1})

    assert name in refused.value.detail
    assert hint in refused.value.detail


def test_an_address_that_is_too_long():
    panel = {"dashboard": "a", "vars": {"a": ["x" * 900] * 9}}

    with pytest.raises(RequestRefused, match="longer than 8000"):
        url(panel)
    assert len(url({"dashboard": "a", "vars": {"a": ["x" * 900] * 8}})) <= MAX_URL_LENGTH


_texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)
_names = st.from_regex("[A-Za-z0-9_]{1,9}", fullmatch=True)


@given(st.dictionaries(_names, st.lists(_texts, max_size=6), max_size=6))
def test_values_come_back_as_they_went_in(variables):
    address = url({"dashboard": "a", "panel": 1, "vars": variables}, token="t")
    expected = [(f"var-{name}", value) for name, values in variables.items() for value in values]

    query = parse_qsl(urlsplit(address).query, keep_blank_values=True, strict_parsing=True)

    assert query == [("panelId", "1"), *expected, ("auth_token", "t")]
    assert urlsplit(address).path == "/d-solo/a/_"
