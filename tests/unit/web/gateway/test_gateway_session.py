"""``/gateway/session`` and ``/gateway/enter``: how the cookie is opened, renewed and closed."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from flask import Flask

from gateway_visitor import (
    APP,
    AS_SCRIPT,
    AS_TAB,
    BEHIND_GATEWAY,
    COOKIE,
    CROSS_SITE,
    GRAFANA,
    PANEL,
    Visitor,
)
from tests_support import FakeClock

Bearer = Callable[..., dict[str, str]]
OWN_HOST = "embed.example.com"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(**BEHIND_GATEWAY)


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app)


@pytest.fixture
def page(app: Flask) -> Visitor:
    """The host page at embedjwt's own host."""
    return Visitor(app, OWN_HOST)


def login_of(visitor: Visitor) -> str:
    token = visitor.ask().headers["X-JWT-Assertion"]
    return str(jwt.decode(token, options={"verify_signature": False})["login"])


def test_on_grafanas_host_it_sets_the_cookie(visitor: Visitor, bearer: Bearer, clock: FakeClock):
    answer = visitor.open(bearer(), panel={"dashboard": "cpu", "panel": 3})
    assert answer.status_code == 200
    assert answer.json == {
        "expires_at": int(clock()) + 3600,
        "expires_in": 3600,
        "refresh_in": 3540,
        "server_time": int(clock()),
        "grafana": {
            "name": "default",
            "url": GRAFANA,
            "header_name": "X-JWT-Assertion",
            "mode": "gateway",
        },
        "url": f"{GRAFANA}{PANEL}",
    }
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"
    name, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert name.startswith(f"{COOKIE}=")
    assert set(attributes) == {"Max-Age=43200", "Secure", "HttpOnly", "Path=/", "SameSite=Lax"}
    assert len(answer.headers["Set-Cookie"]) < 400


def test_across_sites_the_cookie_is_partitioned(visitor: Visitor, bearer: Bearer) -> None:
    answer = visitor.open({**bearer(), **CROSS_SITE})
    assert "; SameSite=None; Partitioned" in answer.headers["Set-Cookie"]
    closed = visitor.close(**CROSS_SITE).headers["Set-Cookie"]
    assert "Max-Age=0" in closed
    assert "; SameSite=None; Partitioned" in closed


def test_a_session_without_a_known_end_has_the_configured_one(
    make_app: Callable[..., Flask], clock: FakeClock
) -> None:
    source = [{"type": "proxy", "preset": "oauth2-proxy"}]
    app = make_app(**{**BEHIND_GATEWAY, "source": source})
    headers = {"X-Auth-Request-User": "u9", "X-Auth-Request-Email": "jane@example.com"}
    answer = Visitor(app, OWN_HOST).open(headers)
    assert answer.json["expires_in"] == 3600


class TestRenewal:
    def test_the_same_person_keeps_the_session(
        self, visitor: Visitor, bearer: Bearer, clock: FakeClock
    ) -> None:
        visitor.open(bearer())
        before = visitor.cookie
        clock.now += 3000
        answer = visitor.open(bearer())
        assert answer.json["expires_in"] == 3600
        assert visitor.cookie.split(".")[0] == before.split(".")[0]
        visitor.cookie = before  # another tab's request that was under way
        clock.now += 3000
        assert visitor.ask().status_code == 200

    def test_another_person_ends_it(self, visitor: Visitor, bearer: Bearer) -> None:
        visitor.open(bearer())
        before = visitor.cookie
        visitor.open(bearer(sub="u2", email="bob@example.com"))
        assert login_of(visitor) == "bob@example.com"
        visitor.cookie = before
        assert visitor.ask(**AS_SCRIPT).status_code == 401

    def test_with_fewer_rights_it_is_less_within_a_second(self, make_app, bearer: Bearer) -> None:
        app = make_app(**BEHIND_GATEWAY, mapping={"role_attribute_path": "role"})
        visitor = Visitor(app)
        visitor.open(bearer(role="Admin"))
        assert visitor.ask("/api/admin/users").status_code == 200
        before = visitor.cookie
        visitor.open(bearer(role="Viewer"))
        time.sleep(1.1)
        for cookie in (visitor.cookie, before):
            visitor.cookie = cookie
            answer = visitor.ask("/api/admin/users", **AS_SCRIPT)
            assert (answer.status_code, answer.json["code"]) == (403, "path_not_allowed")

    def test_the_cookie_alone_says_how_long_it_lasts(
        self, visitor: Visitor, bearer: Bearer, clock: FakeClock
    ) -> None:
        visitor.open(bearer())
        clock.now += 600
        answer = visitor.open({})
        assert (answer.status_code, answer.json["expires_in"]) == (200, 3000)

    def test_a_session_that_is_over_is_not_renewed_by_its_cookie(
        self, visitor: Visitor, bearer: Bearer, clock: FakeClock
    ) -> None:
        visitor.open(bearer())
        clock.now += 3601
        assert visitor.open({}).json["code"] == "login_required"
        assert visitor.open(bearer()).status_code == 200
        assert visitor.ask().status_code == 200


class TestWhoMayAsk:
    @pytest.mark.parametrize("origin", ["https://evil.example", "null", GRAFANA])
    def test_pages_on_the_list(self, visitor: Visitor, bearer: Bearer, origin: str) -> None:
        for answer in (
            visitor.open({**bearer(), "Origin": origin}),
            visitor.close(Origin=origin),
        ):
            assert (answer.status_code, answer.json["code"]) == (403, "origin_not_allowed")
            assert "Set-Cookie" not in answer.headers

    def test_closing_needs_an_origin(self, visitor: Visitor, bearer: Bearer) -> None:
        visitor.open(bearer())
        assert visitor.close(Origin="").status_code == 403
        assert visitor.ask().status_code == 200

    def test_nobody_is_signed_in(self, visitor: Visitor) -> None:
        assert visitor.open({}).json["code"] == "login_required"

    def test_who_is_not_admitted_gets_no_session(
        self, make_app: Callable[..., Flask], bearer: Bearer
    ) -> None:
        app = make_app(**BEHIND_GATEWAY, admission={"allowed_domains": ["acme.example"]})
        answer = Visitor(app).open(bearer())
        assert (answer.status_code, answer.json["code"]) == (403, "domain_not_allowed")

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"grafana": "other"}, "grafana_unknown"),
            ({"grafana": 1}, "invalid_request"),
            ({"panels": {}}, "invalid_request"),
            ({"panel": {"dashboard": ""}}, "invalid_request"),
            ({"ticket": 5}, "invalid_request"),
            ({"ticket": "made-up"}, "ticket_invalid"),
        ],
    )
    def test_bad_bodies(self, visitor: Visitor, bearer: Bearer, body, code) -> None:
        answer = visitor.open(bearer(), **body)
        assert answer.json["code"] == code
        assert "Set-Cookie" not in answer.headers

    def test_preflight(self, app: Flask) -> None:
        answer = app.test_client().options(
            "/gateway/session",
            headers={"Origin": APP, "Access-Control-Request-Method": "DELETE"},
        )
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Methods"] == "POST, DELETE"
        assert "authorization" in answer.headers["Access-Control-Allow-Headers"]


def test_closing_ends_it_everywhere(app: Flask, visitor: Visitor, bearer: Bearer) -> None:
    visitor.open(bearer())
    other_tab = Visitor(app)
    other_tab.cookie = visitor.cookie
    answer = visitor.close()
    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert other_tab.open({}).status_code == 401


class TestTickets:
    def test_from_embedjwts_host_to_grafanas(
        self, page: Visitor, visitor: Visitor, bearer: Bearer
    ) -> None:
        answer = page.open(bearer(), panel={"dashboard": "cpu", "panel": 3})
        assert "Set-Cookie" not in answer.headers
        assert answer.json["ticket_expires_in"] == 30
        assert answer.json["session_url"] == f"{GRAFANA}/gateway/session"
        assert answer.json["enter_url"].startswith(f"{GRAFANA}/gateway/enter?ticket=")
        entered = visitor.enter(answer.json["enter_url"], **CROSS_SITE)
        assert entered.status_code == 302
        assert entered.headers["Location"] == f"{GRAFANA}{PANEL}"
        assert entered.headers["Referrer-Policy"] == "no-referrer"
        assert "; SameSite=None; Partitioned" in entered.headers["Set-Cookie"]
        assert login_of(visitor) == "jane@example.com"

    def test_redeemed_by_a_script(self, page: Visitor, visitor: Visitor, bearer: Bearer) -> None:
        ticket = page.open(bearer()).json["ticket"]
        answer = visitor.open({}, ticket=ticket)
        assert (answer.status_code, answer.json["expires_in"]) == (200, 3600)
        assert login_of(visitor) == "jane@example.com"

    def test_in_a_tab_of_its_own_the_cookie_is_lax(self, page, visitor, bearer) -> None:
        url = page.open(bearer()).json["enter_url"]
        entered = visitor.enter(url, **AS_TAB, **CROSS_SITE)
        assert "; SameSite=Lax" in entered.headers["Set-Cookie"]

    def test_good_once(self, app: Flask, page: Visitor, visitor: Visitor, bearer: Bearer) -> None:
        url = page.open(bearer()).json["enter_url"]
        visitor.enter(url)
        thief = Visitor(app)
        stolen = thief.enter(url)
        assert (stolen.status_code, thief.cookie) == (401, "")
        assert "ticket_invalid" in stolen.text
        reloaded = visitor.enter(url)
        assert (reloaded.status_code, reloaded.headers["Location"]) == (302, f"{GRAFANA}/")

    def test_good_for_half_a_minute(self, page, visitor, bearer, clock: FakeClock) -> None:
        url = page.open(bearer()).json["enter_url"]
        clock.now += 31
        assert visitor.enter(url).status_code == 401
        assert visitor.cookie == ""

    def test_of_another_person_it_ends_nobodys_session(
        self, app: Flask, page: Visitor, visitor: Visitor, bearer: Bearer
    ) -> None:
        """Any page may lead there; that somebody else is signed in now, only ours may say."""
        visitor.open(bearer())
        kept = visitor.cookie
        url = page.open(bearer(sub="u2", email="bob@example.com")).json["enter_url"]
        visitor.enter(url)
        assert login_of(visitor) == "bob@example.com"
        visitor.cookie = kept
        assert login_of(visitor) == "jane@example.com"

    def test_only_on_grafanas_host(self, page: Visitor, bearer: Bearer) -> None:
        ticket = page.open(bearer()).json["ticket"]
        assert page.open({}, ticket=ticket).json["code"] == "wrong_host"
        assert page.close().json["code"] == "wrong_host"

    def test_only_for_its_grafana(self, make_app, bearer: Bearer) -> None:
        two = {"name": "two", "url": "https://two.example.com", "mode": "gateway"}
        tables = {**BEHIND_GATEWAY, "grafana": [*BEHIND_GATEWAY["grafana"], two]}
        app = make_app(**tables)
        ticket = Visitor(app, OWN_HOST).open(bearer()).json["ticket"]
        assert Visitor(app, "two.example.com").open({}, ticket=ticket).status_code == 401

    def test_a_ticket_is_no_cookie_and_a_cookie_no_ticket(
        self, page: Visitor, visitor: Visitor, bearer: Bearer
    ) -> None:
        visitor.cookie = f"{COOKIE}={page.open(bearer()).json['ticket']}"
        assert visitor.ask(**AS_SCRIPT).status_code == 401
        visitor.open(bearer())
        session_id = visitor.cookie.removeprefix(f"{COOKIE}=").split(".")[0]
        assert visitor.open({}, ticket=session_id).json["code"] == "ticket_invalid"
        assert visitor.ask().status_code == 200

    @pytest.mark.parametrize(
        "to",
        [
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example",
            "/d/../../x",
            "javascript:alert(1)",
            "d-solo/cpu",
            "/a%0d%0aSet-Cookie:x",
        ],
    )
    def test_no_way_to_elsewhere(self, page, visitor, bearer: Bearer, to: str) -> None:
        ticket = page.open(bearer()).json["ticket"]
        answer = visitor.enter(f"/gateway/enter?{urlencode({'ticket': ticket, 'to': to})}")
        assert answer.status_code == 400
        assert "Location" not in answer.headers
        assert visitor.cookie == ""
        assert visitor.open({}, ticket=ticket).status_code == 200  # it was not used up


class TestEntering:
    """A browser comes for Grafana itself, by way of whoever signs it in."""

    def test_by_way_of_embedjwts_host(self, page, visitor: Visitor, bearer: Bearer) -> None:
        first = visitor.enter("/gateway/enter?to=/d-solo/cpu/_%3FpanelId%3D3", **AS_TAB)
        there = urlsplit(first.headers["Location"])
        assert (there.netloc, there.path) == (OWN_HOST, "/gateway/enter")
        assert parse_qs(there.query) == {"to": [f"{GRAFANA}{PANEL}"]}
        second = page.enter(f"{there.path}?{there.query}", **AS_TAB, **bearer())
        back = second.headers["Location"]
        assert back.startswith(f"{GRAFANA}/gateway/enter?ticket=")
        third = visitor.enter(back, **AS_TAB)
        assert third.headers["Location"] == f"{GRAFANA}{PANEL}"
        assert login_of(visitor) == "jane@example.com"

    def test_where_one_host_is_both(self, make_app, bearer: Bearer) -> None:
        grafana = [{"url": f"https://{OWN_HOST}/grafana", "mode": "gateway"}]
        visitor = Visitor(make_app(**{**BEHIND_GATEWAY, "grafana": grafana}), OWN_HOST)
        url = "/gateway/enter?to=/grafana/d-solo/cpu/_"
        hops = []
        while "/gateway/enter" in url and len(hops) < 5:
            url = visitor.enter(url, **AS_TAB, **bearer()).headers["Location"]
            url = url.removeprefix(f"https://{OWN_HOST}")
            hops.append(url)
        assert (len(hops), url) == (3, "/grafana/d-solo/cpu/_")
        assert visitor.ask("/grafana/d-solo/cpu/_").status_code == 200

    def test_nobody_is_signed_in(self, page: Visitor) -> None:
        answer = page.enter(f"/gateway/enter?to={GRAFANA}/", **AS_TAB)
        assert answer.status_code == 401
        assert "login_required" in answer.text

    @pytest.mark.parametrize(
        "to", ["", "/d/cpu", "https://evil.example/", f"{GRAFANA}.evil.example/", APP]
    )
    def test_only_to_a_grafana_behind_the_gateway(self, page, bearer: Bearer, to: str) -> None:
        answer = page.enter(f"/gateway/enter?to={to}", **AS_TAB, **bearer())
        assert answer.status_code == 400
        assert "Location" not in answer.headers
