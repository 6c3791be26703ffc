"""Opaque tokens: what their issuer is asked, what of its answers is believed, and how often."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sources_kit as kit
from werkzeug.wrappers import Request

from embedjwt.config.problems import ConfigError
from embedjwt.errors import EmbedJWTError, SessionRefused, UpstreamUnavailable
from embedjwt.sources.introspection import UNTOLD_LIFE
from embedjwt.sources.remote import RETRY_AFTER
from embedjwt.sources.single_flight import MAX_AT_ONCE, REFUSAL_AGE
from loopback_server import LoopbackServer, reply, running_server

TOKEN = "opaque-1.~+/=="
ACTIVE = {
    "active": True,
    "iss": "",
    "sub": "u1",
    "aud": ["embed", "other"],
    "scope": "openid dashboards",
    "exp": kit.NOW + 600,
    "username": "jane",
}
SOON = 10
"""Seconds within which something has surely happened that happens at all."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    # Of many connections at once, what is beyond the queue (by default five) is reset.
    monkeypatch.setattr(ThreadingHTTPServer, "request_queue_size", 128)
    with running_server() as server:
        server.answers_json("/introspect", {**ACTIVE, "iss": server.url})
        yield server


@pytest.fixture
def source(server: LoopbackServer) -> dict[str, Any]:
    return {
        "type": "introspection",
        "issuer": server.url,
        "introspection_url": f"{server.url}/introspect",
        "client_id": "embed me",
        "client_secret": "s:3",
        "audience": ["embed"],
        "required_scopes": ["dashboards"],
    }


def refusal(chain: Any, request: Request, now: int = kit.NOW) -> EmbedJWTError:
    with pytest.raises(EmbedJWTError) as refused:
        chain.session(request, now)
    return refused.value


def test_what_is_asked_and_what_comes_of_it(chain, source, server) -> None:
    session = chain({**source, "name": "api", "subject_prefix": "a:"}).session(
        kit.bearer(TOKEN), kit.NOW
    )
    assert (session.source, session.subject_prefix, session.ambient) == ("api", "a:", False)
    assert session.expires_at == kit.NOW + 600
    expected = {name: value for name, value in ACTIVE.items() if name != "active"}
    assert session.documents.id_token == {**expected, "iss": server.url}
    assert session.documents.userinfo is None
    (asked,) = server.asked
    assert (asked.method, asked.form) == (
        "POST",
        {"token": TOKEN, "token_type_hint": "access_token"},
    )
    kind, _, credentials = asked.headers["authorization"].partition(" ")
    assert (kind, base64.b64decode(credentials)) == ("Basic", b"embed%20me:s%3A3")


@pytest.mark.parametrize(
    ("settings", "form", "basic"),
    [
        ({"auth_style": "InParams"}, {"client_id": "embed me", "client_secret": "s:3"}, False),
        ({"auth_style": "InHeader"}, {}, True),
        ({"client_secret": None}, {"client_id": "embed me"}, False),
    ],
    ids=["in-params", "in-header", "public"],
)
def test_how_the_client_authenticates(chain, source, server, settings, form, basic) -> None:
    given = {name: v for name, v in {**source, **settings}.items() if v is not None}
    chain(given).session(kit.bearer(TOKEN), kit.NOW)
    (asked,) = server.asked
    assert asked.form == {"token": TOKEN, "token_type_hint": "access_token", **form}
    assert ("authorization" in asked.headers) is basic


def test_auto_detect_tries_the_other_way_once(chain, source, server) -> None:
    good = {**ACTIVE, "iss": server.url}

    def only_in_params(handler: BaseHTTPRequestHandler) -> None:
        wrong = "Authorization" in handler.headers
        body = b'{"error": "invalid_client"}' if wrong else json.dumps(good).encode()
        reply(handler, body, 401 if wrong else 200, {})

    server.answers["/introspect"] = only_in_params
    sources = chain(source)
    for token in ("one", "two"):
        assert sources.session(kit.bearer(token), kit.NOW).source == "introspection"
    assert ["authorization" in asked.headers for asked in server.asked] == [True, False, False]


def test_the_endpoint_is_found_by_discovery(chain, source, server) -> None:
    del source["introspection_url"]
    server.answers_json(
        "/.well-known/openid-configuration",
        {
            "issuer": server.url,
            "introspection_endpoint": f"{server.url}/introspect",
            "introspection_endpoint_auth_methods_supported": ["client_secret_post"],
        },
    )
    sources = chain(source)
    for token in ("one", "two"):
        sources.session(kit.bearer(token), kit.NOW)
    assert server.paths() == ["/.well-known/openid-configuration", "/introspect", "/introspect"]
    assert server.asked[1].form["client_secret"] == "s:3"


@pytest.mark.parametrize(
    ("place", "header", "ambient"),
    [
        ({}, ("Authorization", f"bearer {TOKEN}"), False),
        ({"header": "X-Token"}, ("X-Token", TOKEN), False),
        ({"cookie": "at"}, ("Cookie", "at=opaque-1"), True),
    ],
    ids=["bearer", "header", "cookie"],
)
def test_places(chain, source, place, header, ambient) -> None:
    session = chain({**source, **place}).session(kit.request([header]), kit.NOW)
    assert session.ambient is ambient


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "inactive": ({"active": False}, "token_inactive"),
    "active-missing": ({"active": None}, "token_inactive"),
    "active-a-text": ({"active": "true"}, "token_inactive"),
    "active-one": ({"active": 1}, "token_inactive"),
    "other-issuer": ({"iss": "https://other.example.com"}, "issuer_unknown"),
    "issuer-with-slash": ({"iss": "{url}/"}, "issuer_unknown"),
    "issuer-a-list": ({"iss": ["{url}"]}, "issuer_unknown"),
    "other-audience": ({"aud": "other"}, "audience_mismatch"),
    "part-of-an-audience": ({"aud": "embedded"}, "audience_mismatch"),
    "no-audience": ({"aud": None}, "audience_mismatch"),
    "audience-an-object": ({"aud": {"embed": 1}}, "audience_mismatch"),
    "scope-missing": ({"scope": "openid"}, "scope_missing"),
    "no-scope": ({"scope": None}, "scope_missing"),
    "part-of-a-scope": ({"scope": "dashboards2 dash"}, "scope_missing"),
    "scope-a-list": ({"scope": ["dashboards"]}, "scope_missing"),
    "no-sub": ({"sub": None}, "claim_invalid"),
    "empty-sub": ({"sub": ""}, "claim_invalid"),
    "number-sub": ({"sub": 42}, "claim_invalid"),
    "expired": ({"exp": kit.NOW - 60}, "token_expired"),
    "exp-a-text": ({"exp": "1"}, "claim_invalid"),
    "exp-true": ({"exp": True}, "claim_invalid"),
    "not-yet": ({"nbf": kit.NOW + 61}, "token_not_yet_valid"),
    "made-tomorrow": ({"iat": kit.NOW + 86400}, "token_not_yet_valid"),
    "refresh-token": ({"typ": "Refresh"}, "token_type_not_accepted"),
    "id-token": ({"typ": "ID"}, "token_type_not_accepted"),
    "hydra-refresh-token": ({"token_use": "refresh_token"}, "token_type_not_accepted"),
    "dpop": ({"token_type": "DPoP"}, "token_type_not_accepted"),
    "bound-to-a-key": ({"cnf": {"jkt": "x"}}, "token_type_not_accepted"),
    "kind-a-number": ({"token_type": 1}, "token_type_not_accepted"),
}


@pytest.mark.parametrize(("changes", "code"), REFUSED.values(), ids=REFUSED)
def test_an_answer_that_vouches_for_nobody(chain, source, server, changes, code) -> None:
    answer = {**ACTIVE, "iss": server.url, **changes}
    for name, value in answer.items():
        if isinstance(value, str):
            answer[name] = value.replace("{url}", server.url)
    server.answers_json("/introspect", {k: v for k, v in answer.items() if v is not None})
    refused = refusal(chain(source), kit.bearer(TOKEN))
    assert (refused.code, refused.status) == (code, 401)
    assert TOKEN not in refused.diagnostics()


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({}, {"iss": None}),
        ({}, {"aud": "embed"}),
        ({"audience": []}, {"aud": None}),
        ({"audience": []}, {"aud": "anybody"}),
        ({"required_scopes": []}, {"scope": None}),
        ({}, {"token_type": "bearer", "typ": "Bearer", "token_use": "access_token"}),
        ({}, {"token_type": "access_token"}),
        ({}, {"exp": kit.NOW - 59}),
        ({}, {"nbf": kit.NOW + 60, "iat": kit.NOW + 60}),
    ],
)
def test_an_answer_that_vouches_for_somebody(chain, source, server, settings, changes) -> None:
    answer = {**ACTIVE, "iss": server.url, **changes}
    server.answers_json("/introspect", {k: v for k, v in answer.items() if v is not None})
    session = chain({**source, **settings}).session(kit.bearer(TOKEN), kit.NOW)
    assert session.documents.id_token["sub"] == "u1"


def test_a_session_whose_end_is_not_told(chain, source, server, clock) -> None:
    untold = {name: value for name, value in ACTIVE.items() if name not in ("exp", "iss")}
    server.answers_json("/introspect", untold)
    sources = chain(source)
    first = sources.session(kit.bearer(TOKEN), kit.NOW)
    assert first.expires_at == kit.NOW + UNTOLD_LIFE
    clock.seconds += 59
    assert sources.session(kit.bearer(TOKEN), kit.NOW + 59) is first
    clock.seconds += 1
    later = sources.session(kit.bearer(TOKEN), kit.NOW + 60)
    assert later.expires_at == kit.NOW + 60 + UNTOLD_LIFE


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "token_malformed"),
        ("=", "token_malformed"),
        ("a b", "token_malformed"),
        ("a=b", "token_malformed"),
        ("a,b", "token_malformed"),
        ("a%20b", "token_malformed"),
        ("\u00e4", "token_malformed"),
        ("a\tb", "token_malformed"),
        ("x" * (16 * 1024 + 1), "token_too_large"),
    ],
)
def test_what_no_bearer_token_looks_like_is_not_asked_about(
    chain, source, server, text, code
) -> None:
    assert refusal(chain(source), kit.bearer(text)).code == code
    assert server.asked == []


class TestUserInfo:
    @pytest.fixture
    def source(self, source: dict[str, Any], server: LoopbackServer) -> dict[str, Any]:
        return {**source, "api_url": f"{server.url}/userinfo"}

    def test_is_asked_with_the_token(self, chain, source, server) -> None:
        server.answers_json("/userinfo", {"sub": "u1", "email": "jane@example.com"})
        session = chain(source).session(kit.bearer(TOKEN), kit.NOW)
        assert session.documents.userinfo == {"sub": "u1", "email": "jane@example.com"}
        assert server.asked[1].headers["authorization"] == f"Bearer {TOKEN}"

    @pytest.mark.parametrize("document", [{"sub": "u2"}, {}, {"sub": ["u1"]}])
    def test_of_another_person_is_refused(self, chain, source, server, document) -> None:
        server.answers_json("/userinfo", document)
        assert refusal(chain(source), kit.bearer(TOKEN)).code == "userinfo_mismatch"

    def test_that_fails_is_not_done_without(self, chain, source, server) -> None:
        sources = chain(source)
        assert refusal(sources, kit.bearer(TOKEN)).code == "upstream_unavailable"
        server.answers_json("/userinfo", {"sub": "u1"})
        assert sources.session(kit.bearer("another"), kit.NOW).documents.userinfo == {"sub": "u1"}

    def test_is_not_asked_about_an_inactive_token(self, chain, source, server) -> None:
        server.answers_json("/introspect", {"active": False})
        refusal(chain(source), kit.bearer(TOKEN))
        assert server.paths() == ["/introspect"]


class TestRemembering:
    @pytest.mark.parametrize(
        ("settings", "changes", "age"),
        [
            ({}, {}, 60),
            ({"cache_ttl": 20}, {}, 20),
            ({}, {"exp": kit.NOW + 7}, 7),
        ],
        ids=["a-minute", "as-told", "no-longer-than-the-token"],
    )
    def test_how_long(self, chain, source, server, clock, settings, changes, age) -> None:
        server.answers_json("/introspect", {**ACTIVE, "iss": server.url, **changes})
        sources = chain({**source, **settings})
        first = sources.session(kit.bearer(TOKEN), kit.NOW)
        clock.seconds += age - 1
        assert sources.session(kit.bearer(TOKEN), kit.NOW + age - 1) is first
        assert len(server.asked) == 1
        clock.seconds += 1
        assert sources.session(kit.bearer(TOKEN), kit.NOW + age) is not first
        assert len(server.asked) == 2

    def test_not_at_all(self, chain, source, server) -> None:
        sources = chain({**source, "cache_ttl": 0})
        for _ in range(2):
            sources.session(kit.bearer(TOKEN), kit.NOW)
        assert len(server.asked) == 2

    def test_revocation_is_noticed_within_the_minute(self, chain, source, server, clock) -> None:
        sources = chain(source)
        sources.session(kit.bearer(TOKEN), kit.NOW)
        server.answers_json("/introspect", {"active": False})
        clock.seconds += 60
        assert refusal(sources, kit.bearer(TOKEN), kit.NOW + 60).code == "token_inactive"

    def test_the_time_is_looked_at_on_every_request(self, chain, source) -> None:
        sources = chain(source)
        sources.session(kit.bearer(TOKEN), kit.NOW)
        assert refusal(sources, kit.bearer(TOKEN), kit.NOW + 660).code == "token_expired"

    def test_a_refusal_is_remembered_briefly(self, chain, source, server, clock) -> None:
        server.answers_json("/introspect", {"active": False})
        sources = chain(source)
        for _ in range(3):
            assert refusal(sources, kit.bearer(TOKEN)).code == "token_inactive"
        assert len(server.asked) == 1
        server.answers_json("/introspect", {**ACTIVE, "iss": server.url})
        clock.seconds += REFUSAL_AGE
        assert sources.session(kit.bearer(TOKEN), kit.NOW).source == "introspection"

    def test_a_flood_of_wrong_tokens_pushes_out_no_right_one(
        self, chain, source, server, monkeypatch
    ) -> None:
        monkeypatch.setattr("embedjwt.sources.single_flight.MAX_REMEMBERED", 3)
        sources = chain(source)
        first = sources.session(kit.bearer(TOKEN), kit.NOW)
        server.answers_json("/introspect", {"active": False})
        for number in range(5):
            refusal(sources, kit.bearer(f"wrong-{number}"))
        assert sources.session(kit.bearer(TOKEN), kit.NOW) is first
        refusal(sources, kit.bearer("wrong-0"))
        assert len(server.asked) == 7

    def test_one_token_is_not_taken_for_another(self, chain, source, server) -> None:
        def by_token(handler: BaseHTTPRequestHandler) -> None:
            token = server.asked[-1].form["token"]
            answer = {**ACTIVE, "iss": server.url, "sub": f"of {token}"}
            reply(handler, json.dumps(answer).encode(), 200, {})

        server.answers["/introspect"] = by_token
        sources = chain(source)
        for token in ("one", "two", "one"):
            session = sources.session(kit.bearer(token), kit.NOW)
            assert session.documents.id_token["sub"] == f"of {token}"


class Held:
    """An endpoint that answers only when released, and counts who waits at once."""

    def __init__(self, server: LoopbackServer) -> None:
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.url = server.url

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.released.wait(SOON)
        with self.lock:
            self.now -= 1
        reply(handler, json.dumps({**ACTIVE, "iss": self.url}).encode(), 200, {})


@pytest.fixture
def held(server: LoopbackServer) -> Iterator[Held]:
    held = Held(server)
    server.answers["/introspect"] = held
    yield held
    held.released.set()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class TestAtOnce:
    def test_a_hundred_requests_for_one_token_are_one_call(
        self, chain, source, server, held
    ) -> None:
        sources = chain({**source, "timeout": 30})
        with ThreadPoolExecutor(100) as pool:
            waiting = [pool.submit(sources.session, kit.bearer(TOKEN), kit.NOW) for _ in range(100)]
            until(lambda: held.now == 1)
            held.released.set()
            sessions = {id(request.result(SOON)) for request in waiting}
        assert (len(sessions), len(server.asked)) == (1, 1)

    def test_no_more_than_sixteen_calls(self, chain, source, server, held) -> None:
        sources = chain({**source, "timeout": 30})
        with ThreadPoolExecutor(40) as pool:
            waiting = [
                pool.submit(sources.session, kit.bearer(f"t{number}"), kit.NOW)
                for number in range(40)
            ]
            until(lambda: held.now == MAX_AT_ONCE)
            held.released.set()
            for request in waiting:
                assert request.result(SOON).documents.id_token["sub"] == "u1"
        assert (held.most, len(server.asked)) == (MAX_AT_ONCE, 40)

    def test_whose_turn_does_not_come_in_time_fails(self, chain, source, server, held) -> None:
        sources = chain({**source, "timeout": 1})
        with ThreadPoolExecutor(MAX_AT_ONCE + 1) as pool:
            waiting = [
                pool.submit(sources.session, kit.bearer(f"t{number}"), kit.NOW)
                for number in range(MAX_AT_ONCE + 1)
            ]
            for request in waiting:
                assert isinstance(request.exception(SOON), UpstreamUnavailable)
        assert len(server.asked) <= MAX_AT_ONCE


class TestProviderDown:
    @pytest.mark.parametrize("status", [503, 429, 401])
    def test_nobody_asks_for_a_while(self, chain, source, server, clock, status) -> None:
        source["auth_style"] = "InHeader"
        server.answers_json("/introspect", {}, status)
        sources = chain(source)
        for number in range(3):
            refused = refusal(sources, kit.bearer(f"t{number}"))
            assert (refused.code, refused.status) == ("upstream_unavailable", 503)
        assert len(server.asked) == 1
        server.answers_json("/introspect", {**ACTIVE, "iss": server.url})
        clock.seconds += RETRY_AFTER
        assert sources.session(kit.bearer("t0"), kit.NOW).source == "introspection"

    def test_what_is_remembered_still_holds(self, chain, source, server) -> None:
        sources = chain(source)
        first = sources.session(kit.bearer(TOKEN), kit.NOW)
        server.answers_json("/introspect", {}, 500)
        refusal(sources, kit.bearer("another"))
        assert sources.session(kit.bearer(TOKEN), kit.NOW) is first

    def test_one_request_finds_out_whether_it_is_back(
        self, chain, source, server, clock, held
    ) -> None:
        server.answers_json("/introspect", {}, 503)
        sources = chain({**source, "timeout": 30})
        refusal(sources, kit.bearer(TOKEN))
        server.answers["/introspect"] = held
        clock.seconds += RETRY_AFTER
        with ThreadPoolExecutor(1) as pool:
            probe = pool.submit(sources.session, kit.bearer("probe"), kit.NOW)
            until(lambda: held.now == 1)
            assert refusal(sources, kit.bearer("another")).status == 503
            held.released.set()
            assert probe.result(SOON).source == "introspection"
        assert sources.session(kit.bearer("another"), kit.NOW).source == "introspection"

    @pytest.mark.parametrize(
        ("status", "body"),
        [(400, b"{}"), (500, b"{}"), (200, b"[]"), (200, b"no"), (302, b"{}")],
    )
    def test_a_token_it_stumbles_over_is_nobody_elses_matter(
        self, chain, source, server, status, body
    ) -> None:
        good = server.answers["/introspect"]
        server.answers_bytes("/introspect", body, status, Location=f"{server.url}/elsewhere")
        sources = chain(source)
        for _ in range(2):
            assert refusal(sources, kit.bearer("odd")).code == "upstream_unavailable"
        assert server.paths() == ["/introspect"]
        server.answers["/introspect"] = good
        assert sources.session(kit.bearer(TOKEN), kit.NOW).source == "introspection"

    def test_a_provider_that_hangs_is_not_waited_for_longer_than_told(
        self, chain, source, held
    ) -> None:
        begun = time.monotonic()
        refused = refusal(chain({**source, "timeout": 1}), kit.bearer(TOKEN))
        assert refused.code == "upstream_unavailable"
        assert time.monotonic() - begun < SOON / 2

    def test_hints_do_not_hold_the_token_or_the_secret(self, chain, source, server) -> None:
        server.answers_json("/introspect", {"error": TOKEN}, 500)
        text = refusal(chain(source), kit.bearer(TOKEN)).diagnostics()
        assert "/introspect" in text
        assert not re.search(r"opaque|s:3", text)


class TestBesideAJwtSource:
    """One carrier, two kinds of token: the JWT source is listed first."""

    def test_each_answers_for_its_own(self, chain, source, jwt_source, server) -> None:
        sources = chain(jwt_source, source)
        assert sources.session(kit.bearer(kit.token()), kit.NOW).source == "jwt"
        assert server.asked == []
        assert sources.session(kit.bearer(TOKEN), kit.NOW).source == "introspection"

    def test_a_jwt_of_an_unknown_issuer_is_asked_about(self, chain, source, jwt_source) -> None:
        foreign = kit.token(kit.claims(iss="https://other.example.com"))
        sources = chain(jwt_source, source)
        assert sources.session(kit.bearer(foreign), kit.NOW).source == "introspection"

    @pytest.mark.parametrize(
        ("token", "code"),
        [
            (kit.token(kit.claims(exp=kit.NOW - 90)), "token_expired"),
            (kit.token(kit.claims(aud="other")), "audience_mismatch"),
            (kit.token(key=kit.OTHER_RSA_KEY), "signature_invalid"),
            (kit.token(typ="logout+jwt"), "token_type_not_accepted"),
            (kit.token(crit=["x"]), "critical_header_unknown"),
        ],
        ids=["expired", "audience", "signature", "type", "critical"],
    )
    def test_a_jwt_of_a_known_issuer_stays_refused(
        self, chain, source, jwt_source, server, token, code
    ) -> None:
        assert refusal(chain(jwt_source, source), kit.bearer(token)).code == code
        assert server.asked == []

    @pytest.mark.parametrize(
        "elsewhere", [{"header": "X-Token"}, {"cookie": "at"}], ids=["header", "cookie"]
    )
    def test_of_another_carrier_changes_nothing(self, chain, source, jwt_source, elsewhere) -> None:
        refused = refusal(chain(jwt_source, {**source, **elsewhere}), kit.bearer(TOKEN))
        assert refused.code == "token_malformed"

    def test_listed_first_it_answers_for_all(self, chain, source, jwt_source, server) -> None:
        session = chain(source, jwt_source).session(kit.bearer(kit.token()), kit.NOW)
        assert session.source == "introspection"


def test_two_of_them_cannot_share_a_place(chain, source) -> None:
    with pytest.raises(ConfigError) as refused:
        chain(source, {**source, "name": "second"})
    assert [problem.key for problem in refused.value.problems] == ["source.1"]


def test_an_empty_carrier_is_nobody(chain, source, server) -> None:
    assert refusal(chain(source), kit.request({})).code == "login_required"
    assert not isinstance(refusal(chain(source), kit.request({})), SessionRefused)
    assert server.asked == []
