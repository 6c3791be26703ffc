"""No encoding of a path makes a forbidden target reachable, and no memory changes an answer."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from embedjwt.config.gateway import GatewayRule
from embedjwt.gateway.paths import PathRefused, segments_of
from embedjwt.gateway.rules import PathRules, Reach, Visitor

FORBIDDEN = [
    "/api/admin/settings",
    "/api/org/users",
    "/api/user",
    "/explore",
    "/public/../api/admin/settings",
    "/public/./../login",
    "/d-solo/mem/x",
    "/api/dashboards/uid/mem",
    "/api/datasources/uid/prom",
    "/api/datasources/proxy/uid/p/../../../admin",
    "/public//../admin",
    "/render/d-solo/cpu/x",
]
ALLOWED = [
    "/d-solo/cpu/cpu-usage",
    "/public/build/app.js",
    "/api/dashboards/uid/cpu",
    "/api/datasources/uid/prom/resources/api/v1/labels",
    "/api/live/ws",
]
WIRE = "abc/.%;\\?# 2e5fFcC0uU\x00\x7f\xe9*{}"


def fresh_reach() -> Reach:
    rule = GatewayRule(allow=("panel",), dashboards=("cpu",))
    viewer = Visitor(frozenset({"Viewer"}), frozenset(), "", "default")
    return PathRules([rule]).reach_of(viewer)


SHARED = fresh_reach()


@st.composite
def encoded(draw: st.DrawFn, paths: list[str], keep: str = "", rounds: int = 1) -> str:
    """One of the paths with any of its characters in percent form, once or more often."""
    path = draw(st.sampled_from(paths))
    for _ in range(draw(st.integers(1, rounds))):
        path = "".join(
            draw(st.sampled_from([c, f"%{ord(c):02x}", f"%{ord(c):02X}"])) if c not in keep else c
            for c in path
        )
    return path


@given(encoded(FORBIDDEN, rounds=3))
def test_no_encoding_reaches_a_forbidden_target(path: str) -> None:
    assert fresh_reach().check("GET", path) is not None


@given(encoded(FORBIDDEN, keep="/"))
def test_no_encoded_segment_reaches_a_forbidden_target(path: str) -> None:
    assert fresh_reach().check("GET", path) is not None


@given(encoded(ALLOWED, keep="/"))
def test_an_encoded_allowed_path_stays_allowed(path: str) -> None:
    assert fresh_reach().check("GET", path) is None


@given(st.text(WIRE).map("/".__add__))
def test_a_reading_reads_as_itself(raw: str) -> None:
    try:
        segments = segments_of(raw)
    except PathRefused:
        return
    again = "/" + "/".join(quote(segment, safe="") for segment in segments)
    assert segments_of(again) == segments
    for segment in segments:
        assert segment.strip(".")
        assert not set(segment) & set("/\\;?#\x00\x7f")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["GET", "HEAD", "POST", "PUT", ""]),
            st.one_of(
                encoded(ALLOWED + FORBIDDEN, rounds=2),
                st.text(WIRE),
                st.sampled_from(ALLOWED + FORBIDDEN),
            ),
        ),
        max_size=8,
    )
)
def test_what_is_remembered_never_changes_an_answer(requests: list[tuple[str, str]]) -> None:
    for method, path in [*requests, *reversed(requests)]:
        assert SHARED.check(method, path) == fresh_reach().check(method, path)
