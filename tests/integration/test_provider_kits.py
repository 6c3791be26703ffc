"""The providers of the tests do what the tests that use them take for granted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import requests

from canaille_provider import CanailleProvider
from node_provider import NodeProvider
from openid_login import MAKES
from openid_person import LoginFormShown, LogoutFormShown, Person
from openid_providers import PEOPLE, NotSupported, ProviderKit, Setup

BYE = "http://localhost:1/bye"
USERINFO = "userinfo_endpoint"


@pytest.fixture(scope="module", params=MAKES, ids=lambda make: make.make)
def shared(request: pytest.FixtureRequest) -> Iterator[ProviderKit]:
    with request.param(Setup(post_logout_redirect_uris=[BYE])) as kit:
        yield kit


@pytest.fixture
def kit(shared: ProviderKit) -> Iterator[ProviderKit]:
    yield shared
    shared.normal()
    shared.start()


@pytest.fixture
def person() -> Iterator[Person]:
    with Person() as person:
        yield person


@pytest.fixture
def post_box() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """A URL, and the forms posted to it."""
    posted: list[dict[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            posted.append(parse_qs(self.rfile.read(length).decode()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://localhost:{server.server_port}/logout", posted
        server.shutdown()


def verified(kit: ProviderKit, token: str, audience: str | None = None) -> dict[str, Any]:
    jwks = jwt.PyJWKClient(kit.metadata["jwks_uri"])
    key = jwks.get_signing_key_from_jwt(token).key  # canaille's name no algorithm
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=[kit.algorithm],
        audience=audience or kit.client_id,
        issuer=kit.issuer,
    )
    return claims


def userinfo(kit: ProviderKit, tokens: dict[str, Any]) -> requests.Response:
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    return requests.get(kit.metadata[USERINFO], headers=bearer, timeout=30)


def silently(kit: ProviderKit, person: Person) -> dict[str, str]:
    return kit.authorize(person, prompt="none").arrival.query


def test_whoever_signed_in_comes_back_without_any_form(kit: ProviderKit, person: Person) -> None:
    with pytest.raises(LoginFormShown):
        kit.authorize(person)
    assert silently(kit, person)["error"] == "login_required"

    assert "code" in kit.sign_in(person, "ada").arrival.query

    again = kit.authorize(person).arrival
    assert again.query.keys() == {"code", "state", "iss"}
    assert again.query["iss"] == kit.issuer
    assert len(again.asked) == 1
    assert "code" in silently(kit, person)


@pytest.mark.parametrize("login", PEOPLE)
def test_the_tokens_say_who_it_is(kit: ProviderKit, person: Person, login: str) -> None:
    authorization = kit.sign_in(person, login)
    tokens = kit.redeem(authorization)
    claims = verified(kit, tokens["id_token"])
    assert claims["nonce"] == authorization.nonce
    for document in (claims, userinfo(kit, tokens).json()):
        assert document["sub"] == login
        assert document["email"] == f"{login}@example.com"
        assert sorted(document["groups"]) == sorted(PEOPLE[login]["groups"])


def test_a_refresh_token_works_once(kit: ProviderKit, person: Person) -> None:
    def refresh(token: str) -> requests.Response:
        return kit.post("token_endpoint", grant_type="refresh_token", refresh_token=token)

    first = kit.redeem(kit.sign_in(person, "ada"))["refresh_token"]
    second = refresh(first)
    assert second.status_code == 200
    assert second.json()["refresh_token"] != first
    assert refresh(first).json()["error"] == "invalid_grant"


def test_introspection_and_revocation(kit: ProviderKit, person: Person) -> None:
    token = kit.redeem(kit.sign_in(person, "ada"))["access_token"]
    assert kit.post("introspection_endpoint", token=token).json()["sub"] == "ada"
    assert kit.post("revocation_endpoint", token=token).status_code == 200
    assert kit.post("introspection_endpoint", token=token).json() == {"active": False}


def test_rotated_keys_replace_the_old_ones_and_sessions_survive(
    kit: ProviderKit, person: Person
) -> None:
    before = kit.redeem(kit.sign_in(person, "ada"))["id_token"]
    kit.rotate_keys()
    after = kit.redeem(kit.authorize(person, prompt="none"))["id_token"]
    assert verified(kit, after)["sub"] == "ada"
    with pytest.raises(jwt.PyJWKClientError):
        verified(kit, before)


def test_signing_out_ends_the_session(kit: ProviderKit, person: Person) -> None:
    kit.sign_in(person, "ada")
    with pytest.raises(LogoutFormShown):
        person.follow(kit.metadata["end_session_endpoint"])
    assert "code" in silently(kit, person)
    kit.sign_out(person)
    assert silently(kit, person)["error"] == "login_required"


def test_logout_started_by_the_client_comes_back(kit: ProviderKit, person: Person) -> None:
    hint = kit.redeem(kit.sign_in(person, "ada"))["id_token"]
    # canaille finds no client in an ID token whose aud is a list, hence client_id too.
    query = f"id_token_hint={hint}&client_id={kit.client_id}&state=s"
    url = f"{kit.metadata['end_session_endpoint']}?{query}&post_logout_redirect_uri={BYE}"
    assert person.follow(url, BYE, log_out=True).query == {"state": "s"}
    assert silently(kit, person)["error"] == "login_required"


@pytest.mark.parametrize(
    ("misbehave", "status", "at_least"),
    [
        (lambda kit: kit.slow(0.3, USERINFO), 200, 0.3),
        (lambda kit: kit.drip(0.001, USERINFO), 200, 0.1),
        (lambda kit: kit.fail(503, USERINFO), 503, 0.0),
    ],
    ids=["slow", "drip", "fail"],
)
def test_an_endpoint_misbehaves_until_told_otherwise(
    kit: ProviderKit,
    person: Person,
    misbehave: Callable[[ProviderKit], None],
    status: int,
    at_least: float,
) -> None:
    misbehave(kit)
    tokens = kit.redeem(kit.sign_in(person, "ada"))  # other endpoints are well
    asked, began = kit.asked(USERINFO), time.monotonic()
    assert userinfo(kit, tokens).status_code == status
    assert time.monotonic() - began >= at_least
    assert kit.asked(USERINFO) == asked + 1
    kit.normal()
    assert userinfo(kit, tokens).json()["sub"] == "ada"


def test_the_end_of_a_fault_lets_go_whoever_waits(kit: ProviderKit) -> None:
    kit.slow(60)
    answers: list[int] = []
    waiting = Thread(
        target=lambda: answers.append(requests.get(kit.metadata["jwks_uri"]).status_code)
    )
    waiting.start()
    waiting.join(0.3)
    assert answers == []
    kit.normal()
    waiting.join(10)
    assert answers == [200]


def test_sessions_survive_an_outage(kit: ProviderKit, person: Person) -> None:
    kit.sign_in(person, "ada")
    kit.stop()
    with pytest.raises(requests.ConnectionError):
        silently(kit, person)
    kit.start()
    assert "code" in silently(kit, person)


@pytest.mark.parametrize("make", MAKES, ids=lambda make: make.make)
def test_short_lives_and_consent(make: type[ProviderKit], person: Person) -> None:
    with make(Setup(first_party=False, id_token_ttl=60, access_token_ttl=90)) as kit:
        with pytest.raises(LoginFormShown):
            kit.authorize(person)
        tokens = kit.redeem(kit.sign_in(person, "ada"))  # which is to consent, too
        claims = verified(kit, tokens["id_token"])
        assert claims["exp"] - claims["iat"] == 60
        assert tokens["expires_in"] == 90
        assert "code" in silently(kit, person)


@pytest.mark.parametrize("session_required", [True, False])
def test_back_channel_logout(
    person: Person,
    post_box: tuple[str, list[dict[str, list[str]]]],
    session_required: bool,
) -> None:
    url, posted = post_box
    setup = Setup(backchannel_logout_uri=url, backchannel_logout_session_required=session_required)
    with NodeProvider(setup) as kit:
        session = verified(kit, kit.redeem(kit.sign_in(person, "ada"))["id_token"]).get("sid")
        assert (session is not None) == session_required
        kit.sign_out(person)
        (token,) = posted[0]["logout_token"]
        assert jwt.get_unverified_header(token)["typ"] == "logout+jwt"
        claims = verified(kit, token)
        assert claims["sub"] == "ada"
        assert claims.get("sid") == session
        assert claims["exp"] - claims["iat"] == 120
        assert claims["events"] == {"http://schemas.openid.net/event/backchannel-logout": {}}


def test_groups_in_userinfo_alone(person: Person) -> None:
    with NodeProvider(Setup(groups_in="userinfo")) as kit:
        tokens = kit.redeem(kit.sign_in(person, "ada"))
        assert "groups" not in verified(kit, tokens["id_token"])
        assert userinfo(kit, tokens).json()["groups"] == ["everyone", "admins"]


def test_access_tokens_that_are_jwts(person: Person) -> None:
    with NodeProvider(Setup(access_tokens="jwt")) as kit:
        tokens = kit.redeem(kit.sign_in(person, "ada"))
        claims = verified(kit, tokens["access_token"], "urn:embedjwt:tests")
        assert claims["groups"] == ["everyone", "admins"]
        assert userinfo(kit, tokens).status_code == 401


@pytest.mark.parametrize(
    "setup", [Setup(backchannel_logout_uri="http://localhost/"), Setup(groups_in="userinfo")]
)
def test_canaille_says_what_it_cannot_do(setup: Setup) -> None:
    with pytest.raises(NotSupported):
        CanailleProvider(setup)


def test_how_canaille_differs(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client of it must put up with; and it does check passwords."""
    with CanailleProvider() as kit:
        with monkeypatch.context() as wrong:
            wrong.setattr("openid_person.PASSWORD", "another")
            with pytest.raises(AssertionError, match="hops"):
                kit.sign_in(person, "ada")
        assert kit.metadata["authorization_response_iss_parameter_supported"] is True
        assert "iss" not in silently(kit, person)  # RFC 9207 asks for it in errors too
        tokens = kit.redeem(kit.sign_in(person, "ada"))
        claims = verified(kit, tokens["id_token"])
        assert claims["aud"] == [kit.client_id]
        assert isinstance(claims["auth_time"], float)
        # Its access tokens are JWTs much like its ID tokens: only nonce, amr and at_hash lack.
        access_token = verified(kit, tokens["access_token"])
        assert claims.keys() - access_token.keys() == {"nonce", "amr", "at_hash"}
        refreshed = kit.post(
            "token_endpoint", grant_type="refresh_token", refresh_token=tokens["refresh_token"]
        )
        assert "id_token" not in refreshed.json()
