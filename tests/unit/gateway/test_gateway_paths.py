"""The one reading of a path: what it is, and what has none."""

from __future__ import annotations

import pytest

from embedjwt.gateway.paths import MAX_PATH, PathRefused, has_parameter, segments_of

READ = {
    "/": (),
    "/d-solo/cpu": ("d-solo", "cpu"),
    "/d-solo/cpu/": ("d-solo", "cpu"),
    "/apis/dashboard.grafana.app/": ("apis", "dashboard.grafana.app"),
    "/public/img/a%20b.png": ("public", "img", "a b.png"),
    "/api/x/%C3%A9t%C3%A9": ("api", "x", "été"),
    "/%61pi/%61dmin": ("api", "admin"),
    "/a/100%25": ("a", "100%"),
    "/a/%25zz": ("a", "%zz"),
    "/a/..b/.c/d..": ("a", "..b", ".c", "d.."),
    "/a/x=1&y,z+w|~!$'()*@:": ("a", "x=1&y,z+w|~!$'()*@:"),
    # Looks like dots, and is none for whoever compares bytes.
    "/%EF%BC%8E%EF%BC%8E/a": ("．．", "a"),
}


@pytest.mark.parametrize("raw", READ)
def test_a_normal_path_is_read(raw: str) -> None:
    assert segments_of(raw) == READ[raw]


REFUSED = {
    "no path": ["", "a", "*", "http://a/b", "%2fa"],
    "dots": ["/.", "/..", "/a/../b", "/%2e", "/%2E%2e/a", "/.%2e", "/...", "/..%20", "/a/%20/b"],
    "empty": ["//", "//a", "/a//b", "/a//"],
    "separators": ["/a%2fb", "/a%2Fb", "/a\\b", "/a%5cb", "/a;b", "/a%3Bb"],
    "ends": ["/a?b", "/a%3fb", "/a#b", "/a%23b"],
    "twice": ["/%252e", "/%25%32%65", "/a%2541", "/%%32%65"],
    "broken": ["/%", "/%2", "/a%g1", "/%u002e"],
    "not UTF-8": ["/%ff", "/%c0%ae", "/%ed%a0%80", "/%f5%80%80%80"],
    "controls": ["/%00", "/a%0a", "/%7f", "/%c2%85", "/a\x00", "/a\n", "/a b", "/a\x7f"],
    "raw bytes": ["/\xc3\xa9", "/\xff", "/．"],
}


@pytest.mark.parametrize("raw", [raw for group in REFUSED.values() for raw in group], ids=repr)
def test_another_path_is_refused(raw: str) -> None:
    with pytest.raises(PathRefused) as refused:
        segments_of(raw)
    assert (refused.value.code, refused.value.status) == ("path_not_normal", 400)
    assert refused.value.hint


def test_a_path_has_a_longest_length() -> None:
    longest = "/" + "a" * (MAX_PATH - 1)
    assert segments_of(longest) == ("a" * (MAX_PATH - 1),)
    with pytest.raises(PathRefused):
        segments_of(longest + "a")


NAMED = [
    "auth_token=x",
    "auth_token",
    "auth_token=",
    "orgId=1&auth_token=x",
    "auth_token=a;b",
    "auth_token=%zz",
    "%61uth_token=x",
    "a=1&%61%75%74%68%5f%74%6F%6b%65%6e=x",
    "&&auth%5Ftoken=x",
]
NOT_NAMED = [
    "",
    "orgId=1&panelId=3",
    "x_auth_token=1",
    "auth_tokens=1",
    "AUTH_TOKEN=1",
    "a=auth_token",
    "a=auth_token=1",
    "auth+token=1",
    "a;auth_token=1",
    "%2561uth_token=1",
    "%zzauth_token=1",
    "a=%61uth_token",
]


@pytest.mark.parametrize("query", NAMED)
def test_a_query_names_a_parameter(query: str) -> None:
    assert has_parameter(query, "auth_token")


@pytest.mark.parametrize("query", NOT_NAMED, ids=repr)
def test_a_query_does_not_name_a_parameter(query: str) -> None:
    assert not has_parameter(query, "auth_token")
