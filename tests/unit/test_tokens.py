"""Identity → claims → token: what is in it, how long it lives, when it is handed out again."""

from __future__ import annotations

import gc
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedjwt.errors import KeysUnavailable, SessionRefused
from embedjwt.identity import Identity
from embedjwt.keys import DirectoryKeyStore, KeyRing, Ring, files
from embedjwt.keys.document import to_json
from embedjwt.keys.operations import Operator
from embedjwt.keys.timing import Timing
from embedjwt.tokens import EmbedToken, TokenIssuer, identity_claims

NOW = 1_800_000_000
ISSUER = "https://embed.example.com"
GRAFANA = "https://grafana.example.com"
ADA = Identity(sub="1", login="ada", email="ada@example.com", role="Editor")


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """A key store, and everything that issues from it."""

    store: DirectoryKeyStore
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.keys = KeyRing(self.store, "ES256", self.clock, propagation_delay=120)

    def issuer(self, **options: Any) -> TokenIssuer:
        return TokenIssuer(ISSUER, self.keys, self.clock, **{"reuse": True, **options})

    def swap_keys(self) -> None:
        """The active key becomes next and the other active."""
        swapped = {"active": "next", "next": "active"}
        records = (replace(k, state=swapped[k.state]) for k in self.store.ring().records)
        files.write(self.store.ring_file, to_json(Ring(tuple(records))), files.PRIVATE)
        self.keys.refresh()

    def verify(self, token: str) -> dict[str, Any]:
        """The claims, by a library that knows only the published set."""
        published = jwt.PyJWKSet.from_json(self.keys.current.jwks.decode())
        key = published[jwt.get_unverified_header(token)["kid"]]
        checks = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
        return jwt.decode(token, key, algorithms=["ES256"], audience=GRAFANA, options=checks)


@pytest.fixture(scope="module")
def store() -> Iterator[DirectoryKeyStore]:
    with tempfile.TemporaryDirectory(prefix="embedjwt-") as parent:
        made = DirectoryKeyStore(Path(parent) / "jwks", None)
        timing = Timing(0, verifier_cache_ttl=3600, token_ttl=300, propagation_delay=120)
        Operator(made, timing, "ES256", lambda: NOW, "test").init()
        yield made


@pytest.fixture
def world(store: DirectoryKeyStore) -> World:
    return World(store)


def issue(
    issuer: TokenIssuer, identity: Identity = ADA, ttl: int = 300, session: int | None = None
) -> EmbedToken:
    return issuer.issue(identity, audience=GRAFANA, ttl=ttl, session_expires_at=session)


# Claims


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"role": ""}, {}, id="least"),
        pytest.param({}, {"role": "Editor"}, id="role"),
        pytest.param({"name": "Ada"}, {"role": "Editor", "name": "Ada"}, id="name"),
        pytest.param(
            {"groups": ("b", "a")}, {"role": "Editor", "groups": ["b", "a"]}, id="groups-in-order"
        ),
        pytest.param({"is_grafana_admin": True}, {"role": "GrafanaAdmin"}, id="server-admin"),
        pytest.param(
            {"role": "", "is_grafana_admin": True}, {"role": "GrafanaAdmin"}, id="only-server-admin"
        ),
        pytest.param({"org_roles": {1: "Editor"}}, {"role": "Editor"}, id="orgs-not-mapped"),
        pytest.param(
            {"orgs_mapped": True, "org_roles": {10: "Viewer", 2: "Admin"}},
            {"orgs": ["2:Admin", "10:Viewer"]},
            id="orgs-by-id-replace-the-role",
        ),
        pytest.param(
            {"orgs_mapped": True, "org_roles": {1: "Viewer"}, "is_grafana_admin": True},
            {"orgs": ["1:Viewer"], "role": "GrafanaAdmin"},
            id="orgs-and-server-admin",
        ),
        pytest.param({"orgs_mapped": True, "org_roles": {}}, {}, id="orgs-mapped-to-none"),
        pytest.param({"orgs": ("ext",)}, {"role": "Editor"}, id="external-orgs-stay-here"),
    ],
)
def test_identity_claims(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    always = {"sub": "1", "login": "ada", "email": "ada@example.com"}
    assert identity_claims(replace(ADA, **changes)) == always | expected


def test_sub_login_and_email_are_there_even_when_empty() -> None:
    claims = identity_claims(Identity(sub="1", login="", email=""))
    assert claims == {"sub": "1", "login": "", "email": ""}


def test_a_token_has_the_registered_claims_and_the_identity(world: World) -> None:
    world.clock.now = NOW + 0.9
    token = issue(world.issuer())
    claims = world.verify(token.token)
    jti = claims.pop("jti")
    assert claims == {
        "iss": ISSUER,
        "aud": GRAFANA,
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 300,
        **identity_claims(ADA),
    }
    assert len(jti) >= 20
    assert {type(claims[name]) for name in ("iat", "nbf", "exp")} == {int}
    assert token.claims == {**claims, "jti": jti}
    assert (token.issued_at, token.expires_at) == (NOW, NOW + 300)
    assert token.kid == jwt.get_unverified_header(token.token)["kid"]


def test_a_token_does_not_show_itself(world: World) -> None:
    token = issue(world.issuer())
    for secret in (token.token, "ada@example.com", token.claims["jti"]):
        assert secret not in repr(token)


# Life


@given(ttl=st.integers(30, 3600), left=st.none() | st.integers(-100, 7200))
def test_life_is_the_ttl_or_what_is_left_of_the_session(
    store: DirectoryKeyStore, ttl: int, left: int | None
) -> None:
    issuer = World(store).issuer(reuse=False)
    session = None if left is None else NOW + left
    if left is not None and left < 5:
        with pytest.raises(SessionRefused) as refused:
            issue(issuer, ttl=ttl, session=session)
        assert refused.value.code == "session_expired"
        return
    token = issue(issuer, ttl=ttl, session=session)
    assert token.expires_at - token.issued_at == min(ttl, 7200 if left is None else left)
    assert token.claims["exp"] == token.expires_at


@pytest.mark.parametrize(
    ("life", "passed", "expires_in", "refresh_in"),
    [
        pytest.param(300, 0, 300, 240, id="a-fifth"),
        pytest.param(300, 100, 200, 140, id="later"),
        pytest.param(300, 239, 61, 1, id="nearly"),
        pytest.param(300, 240, 60, 0, id="due"),
        pytest.param(300, 299, 1, 0, id="overdue"),
        pytest.param(300, 300, 0, 0, id="dead"),
        pytest.param(300, 9000, 0, 0, id="long-dead"),
        pytest.param(3600, 0, 3600, 3540, id="at-most-a-minute"),
        pytest.param(30, 0, 30, 20, id="at-least-ten-seconds"),
        pytest.param(12, 0, 12, 6, id="never-more-than-half"),
        pytest.param(5, 0, 5, 3, id="shortest"),
    ],
)
def test_when_to_come_back(life: int, passed: int, expires_in: int, refresh_in: int) -> None:
    token = EmbedToken("t", {}, NOW, NOW + life, "kid")
    now = NOW + passed
    assert (token.expires_in(now), token.refresh_in(now)) == (expires_in, refresh_in)


@given(life=st.integers(5, 3600), passed=st.integers(0, 4000))
def test_the_caller_comes_back_in_time_and_not_at_once(life: int, passed: int) -> None:
    token = EmbedToken("t", {}, NOW, NOW + life, "kid")
    now = NOW + passed
    assert 0 <= token.refresh_in(now) <= token.expires_in(now)
    if token.expires_in(now):
        assert token.refresh_in(now) < token.expires_in(now)
    if token.is_fresh(now):
        assert token.refresh_in(now) > 0, "a token is handed out that must be replaced at once"


# Reuse


@pytest.mark.parametrize(
    ("step", "same"),
    [(0, True), (149, True), (149.9, True), (150, False), (9999, False), (-1, False)],
)
def test_a_fresh_token_is_handed_out_again(world: World, step: float, same: bool) -> None:
    issuer = world.issuer()
    first = issue(issuer)
    world.clock.now += step
    assert (issue(issuer).token == first.token) == same


OTHERS: dict[str, dict[str, Any]] = {
    "audience": {"audience": "https://other.example.com"},
    "ttl": {"ttl": 301},
    "session": {"session_expires_at": NOW + 10_000},
    **{
        name: {"identity": replace(ADA, **{name: value})}
        for name, value in {
            "sub": "2",
            "login": "bob",
            "email": "bob@example.com",
            "name": "Ada",
            "role": "Viewer",
            "is_grafana_admin": True,
            "groups": ("a",),
        }.items()
    },
    "orgs": {"identity": replace(ADA, orgs_mapped=True, org_roles={1: "Editor"})},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_request_gets_another_token(world: World, other: dict[str, Any]) -> None:
    issuer = world.issuer()
    usual: dict[str, Any] = {
        "identity": ADA,
        "audience": GRAFANA,
        "ttl": 300,
        "session_expires_at": None,
    }

    def ask(identity: Identity, **how: Any) -> str:
        return issuer.issue(identity, **how).token

    first = ask(**usual)
    assert ask(**usual | other) != first
    assert ask(**usual) == first


def test_without_reuse_every_token_is_new(world: World) -> None:
    issuer = world.issuer(reuse=False)
    first, second = issue(issuer), issue(issuer)
    assert first.token != second.token
    assert first.claims["jti"] != second.claims["jti"]


def test_a_session_that_ended_gets_no_remembered_token(world: World) -> None:
    issuer = world.issuer()
    issue(issuer, ttl=300, session=NOW + 9)
    world.clock.now += 4
    assert issue(issuer, ttl=300, session=NOW + 9)
    world.clock.now += 1
    with pytest.raises(SessionRefused):
        issue(issuer, ttl=300, session=NOW + 9)


def test_the_least_recently_used_is_forgotten_first(world: World) -> None:
    issuer = world.issuer(max_reused=2)
    people = [replace(ADA, sub=sub) for sub in "123"]
    first, second = (issue(issuer, person).token for person in people[:2])
    assert issue(issuer, people[0]).token == first
    issue(issuer, people[2])
    assert issue(issuer, people[0]).token == first
    assert issue(issuer, people[1]).token != second


def test_dead_tokens_are_not_kept(world: World) -> None:
    issuer = world.issuer()
    for number in range(5):
        issue(issuer, replace(ADA, sub=f"dead-{number}"))
    world.clock.now += 300
    issue(issuer)
    kept = [thing for thing in gc.get_objects() if isinstance(thing, EmbedToken)]
    assert not [token for token in kept if token.claims.get("sub", "").startswith("dead-")]


def test_a_token_of_a_key_that_signs_no_more_is_not_handed_out_again(world: World) -> None:
    issuer = world.issuer()
    first = issue(issuer)
    world.swap_keys()
    second = issue(issuer)
    assert second.kid != first.kid
    assert second.token != first.token


def test_where_no_key_may_sign_nothing_remembered_is_handed_out(world: World) -> None:
    issuer = world.issuer()
    issue(issuer, ttl=3600)
    aside = world.store.path / "aside"
    world.store.ring_file.rename(aside)
    try:
        world.clock.now += 120
        assert issue(issuer, ttl=3600)
        world.clock.now += 1
        with pytest.raises(KeysUnavailable) as refused:
            issue(issuer, ttl=3600)
    finally:
        aside.rename(world.store.ring_file)
    assert refused.value.code == "keys_stale"
    world.clock.now += 3  # a request looks at most every other second
    assert issue(issuer, ttl=3600)


def test_a_size_of_nothing_remembers_nothing(world: World) -> None:
    issuer = world.issuer(max_reused=0)
    assert issue(issuer).token != issue(issuer).token


REQUEST = st.tuples(
    st.sampled_from([ADA, replace(ADA, role="Viewer"), replace(ADA, groups=("a", "b"))]),
    st.sampled_from([30, 300]),
    st.none() | st.integers(5, 600),
)
STEP = st.just("swap keys") | st.sampled_from([0, 0, 1, 20, 149, 1000, -1, -400, 0.5]) | REQUEST


@given(steps=st.lists(STEP, max_size=40), size=st.integers(0, 3))
def test_every_token_is_one_that_could_have_been_made_now(
    store: DirectoryKeyStore, steps: list[Any], size: int
) -> None:
    """Whatever clock, keys and other requests did: the right person, key, life and session."""
    world = World(store)
    issuer = world.issuer(max_reused=size)
    for step in steps:
        if step == "swap keys":
            world.swap_keys()
        elif isinstance(step, int | float):
            world.clock.now += step
        else:
            identity, ttl, session = step
            now = int(world.clock.now)
            end = None if session is None else NOW + session
            if end is not None and end - now < 5:
                with pytest.raises(SessionRefused):
                    issue(issuer, identity, ttl, end)
                continue
            token = issue(issuer, identity, ttl, end)
            claims = world.verify(token.token)
            assert claims == token.claims
            assert identity_claims(identity).items() <= claims.items()
            assert ("groups" in claims) == bool(identity.groups)
            assert claims["nbf"] == claims["iat"] <= now < claims["exp"]
            assert now - claims["iat"] < (claims["exp"] - claims["iat"]) / 2
            assert claims["exp"] - claims["iat"] <= ttl
            assert end is None or claims["exp"] <= end
            assert token.kid == world.keys.signing_key().kid


def test_threads_share_tokens_and_never_mix_them(world: World) -> None:
    issuer = world.issuer(max_reused=3)
    people = [replace(ADA, sub=str(number)) for number in range(6)]
    wrong: list[object] = []

    def ask() -> None:
        try:
            for turn in range(60):
                person = people[turn % len(people)]
                token = issue(issuer, person)
                if token.claims["sub"] != person.sub or world.verify(token.token) != token.claims:
                    wrong.append(token)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
