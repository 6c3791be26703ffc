"""What is answered without waiting is what would have been answered with all care."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.wrappers import Request

from embedjwt.web.gateway.auth import QuickAuth
from gateway_in_process import COOKIE, HOST, InProcess, answered, asking, gateway_in


@dataclass(frozen=True)
class TwoPeople:
    """A gateway that two people use, by their cookies' values."""

    inside: InProcess = field(repr=False)
    jane: str
    joe: str

    def remember(self) -> None:
        """All there is to remember of both, and nothing else."""
        self.inside.decisions.forget(None)
        for value in (self.jane, self.joe):
            self.inside.gateway.decide(asking(f"{COOKIE}={value}"))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> TwoPeople:
    inside = gateway_in(tmp_path_factory.mktemp("gateway"))
    return TwoPeople(inside, inside.open("jane"), inside.open("joe"))


CRUMBS = [
    f"{COOKIE}=JANE",
    f"{COOKIE}=JOE",
    f"{COOKIE}=",
    f"{COOKIE}=JANE.x",
    f"{COOKIE} =JANE",
    f"{COOKIE}= JOE",
    f'{COOKIE}="JANE"',
    f"{COOKIE}2=JOE",
    # A browser takes this for another name, and lets any subdomain set it.
    f"\xa0{COOKIE}=JOE",
    f"\x1f{COOKIE}=JANE",
    f"\x85{COOKIE}=JANE",
    f"{COOKIE}=JANE\xa0",
    "theme=dark",
    "grafana_session=1",
    'open="',
    'shut"',
    COOKIE,
    "",
]

REQUESTS = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "DELETE"]),
        "uri": st.sampled_from(
            [
                "/d-solo/abc/_?panelId=3",
                "/api/ds/query?ds_type=prometheus",
                "/api/live/ws",
                "/public/build/app.js",
                "/admin",
                "/login",
                "/d-solo/../admin",
                "/d-solo/abc/_?auth_token=x",
                "/d-solo/abc/_?auth%5ftoken=x",
                "d-solo",
                None,
            ]
        ),
        "host": st.sampled_from([HOST, HOST.upper(), f"{HOST}:443", f"{HOST}:444", "x", None]),
        "peer": st.sampled_from(["127.0.0.1", "::ffff:127.0.0.1", "192.0.2.1", ""]),
        "ambiguous": st.sampled_from([set(), {"x-original-uri"}, {"x-user"}, {"authorization"}]),
        "Origin": st.sampled_from([None, f"https://{HOST}", "https://app.example.com", "null"]),
        "Upgrade": st.sampled_from([None, "websocket"]),
        "Authorization": st.sampled_from([None, "Bearer x", "Basic eDp5"]),
    }
)
USUAL: dict[str, Any] = {
    "method": "GET",
    "uri": "/d-solo/abc/_?panelId=3",
    "host": HOST,
    "peer": "127.0.0.1",
    "ambiguous": set(),
}


def compare(people: TwoPeople, cookie: str, request: dict[str, Any]) -> None:
    cookie = cookie.replace("JANE", people.jane).replace("JOE", people.joe)
    environ = asking(cookie, **request)
    people.remember()
    quickly = answered(QuickAuth(people.inside.gateway, people.inside.auth), environ)
    people.inside.decisions.forget(None)
    carefully = answered(people.inside.auth, environ)
    assert quickly == carefully


@given(request=REQUESTS, other=st.sampled_from(["", "; theme=dark"]))
def test_every_kind_of_request(people: TwoPeople, request: dict[str, Any], other: str) -> None:
    compare(people, f"{COOKIE}=JANE{other}", request)


@given(
    crumbs=st.lists(st.sampled_from(CRUMBS), max_size=5),
    separator=st.sampled_from(["; ", ";", " ;\t"]),
)
def test_every_kind_of_cookie_header(people: TwoPeople, crumbs: list[str], separator: str) -> None:
    compare(people, separator.join(crumbs), USUAL)


@given(crumbs=st.lists(st.sampled_from(CRUMBS), max_size=5))
def test_what_is_remembered_is_found_by_the_value_of_the_cookie_alone(
    people: TwoPeople, crumbs: list[str]
) -> None:
    """Not by what another reading of the header takes for it: that may be anybody's."""
    cookie = "; ".join(crumbs).replace("JANE", people.jane).replace("JOE", people.joe)
    environ = asking(cookie)
    decisions = people.inside.decisions
    decisions.forget(None)
    answered(people.inside.auth, environ)
    values = set(Request(environ).cookies.getlist(COOKIE))
    read = [value for value in values if decisions.get(value, "default")]
    assert len(decisions) == len(read)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"uri": "/api/ds/query", "method": "POST", "Origin": f"https://{HOST}"},
        {"uri": "/api/live/ws", "Upgrade": "websocket", "Origin": f"https://{HOST}"},
        {"host": f"{HOST.upper()}:443"},
    ],
    ids=["panel", "query", "live", "port"],
)
@pytest.mark.parametrize(
    "cookie", [f"{COOKIE}=JANE", f"a=1; {COOKIE}=JANE;b=2", f'j="{{}}"; {COOKIE}=JANE']
)
def test_what_panels_ask_is_answered_at_once(
    people: TwoPeople, cookie: str, request_: dict[str, Any]
) -> None:
    people.remember()
    environ = asking(cookie.replace("JANE", people.jane), **USUAL | request_)
    assert people.inside.gateway.quick(environ) is not None


def test_of_a_key_that_does_not_sign_any_more_nothing_is_answered_at_once(tmp_path: Path) -> None:
    inside = gateway_in(tmp_path)
    environ = asking(f"{COOKIE}={inside.open('jane')}")
    before = answered(inside.auth, environ)
    assert inside.gateway.quick(environ) is not None
    kid = inside.service.keys.signing_key().kid
    inside.service.operator.revoke(kid, reason="test")
    inside.service.keys.refresh()
    assert inside.gateway.quick(environ) is None
    after = answered(inside.auth, environ)
    assert after[0] == 200
    assert after != before
