"""embedjwt's own session as a source: found by its cookie, renewed in time, over at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from werkzeug.test import create_environ
from werkzeug.wrappers import Request, Response

from embedjwt.database import Database
from embedjwt.errors import SessionRefused, UpstreamUnavailable
from embedjwt.identity import Documents, VerifiedClaims
from embedjwt.oidc.logins import RenewalUnfinished
from embedjwt.sessions import SessionCookie, SessionRecord, SessionStore
from embedjwt.sources.oidc import RENEW_BEFORE, RETRY_AFTER, Opener, OwnSessions, Renew
from tests_support import FakeClock

NOW = 1_800_000_000


def record(**changes: object) -> SessionRecord:
    claims = VerifiedClaims({"sub": "u1", "email": "jane@example.com"})
    whole = SessionRecord(
        source="acme",
        issuer="https://idp.example.com",
        sub="u1",
        sid="s1",
        documents=Documents(id_token=claims),
        created_at=NOW,
        expires_at=NOW + 600,
        ends_at=NOW + 3600,
        refresh_token="r1",
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


class Provider:
    """What renewals come to: a function, and how often it was called."""

    def __init__(self) -> None:
        self.calls = 0
        self.answer: Renew = lambda old, now: replace(old, expires_at=now + 600, refresh_token="r2")

    def __call__(self, old: SessionRecord, now: int) -> SessionRecord:
        self.calls += 1
        return self.answer(old, now)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> SessionStore:
    tmp_path.chmod(0o700)
    return SessionStore(Database(f"sqlite:///{tmp_path / 'state.db'}"), clock)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def cookie(clock: FakeClock) -> SessionCookie:
    return SessionCookie(
        "embedjwt_session", [b"k" * 32], secure=True, samesite="lax", max_age=3600, clock=clock
    )


@pytest.fixture
def sessions(store: SessionStore, provider: Provider, cookie: SessionCookie) -> OwnSessions:
    return OwnSessions(
        cookie, store, provider, {"acme": Opener("acme:", "https://idp.example.com")}
    )


@pytest.fixture
def signed_in(store: SessionStore, cookie: SessionCookie) -> Callable[..., Request]:
    """A request with the cookie of a new session."""

    def make(**changes: object) -> Request:
        response = Response()
        cookie.set(response, store.create(record(**changes)))
        value = response.headers["Set-Cookie"].split(";")[0]
        return Request(create_environ(headers={"Cookie": value}))

    return make


def test_the_session_of_a_cookie(sessions: OwnSessions, signed_in: Callable[..., Request]) -> None:
    session = sessions.session(signed_in(), NOW)
    assert session is not None
    assert (session.source, session.subject_prefix) == ("acme", "acme:")
    assert session.expires_at == NOW + 600
    assert session.ambient is True
    assert session.id
    assert session.documents.id_token == {"sub": "u1", "email": "jane@example.com"}


def test_one_object_for_one_session(
    sessions: OwnSessions, signed_in: Callable[..., Request]
) -> None:
    """What was decided about a session is remembered by it."""
    request, other = signed_in(), signed_in()
    assert sessions.session(request, NOW) is sessions.session(request, NOW + 1)
    assert sessions.session(request, NOW) is not sessions.session(other, NOW)


def test_nothing_of_ours_is_nobody(sessions: OwnSessions) -> None:
    assert sessions.session(Request(create_environ()), NOW) is None


def test_a_tampered_cookie_is_refused(sessions: OwnSessions) -> None:
    environ = create_environ(headers={"Cookie": "__Host-embedjwt_session=forged"})
    with pytest.raises(SessionRefused):
        sessions.session(Request(environ), NOW)


def test_ended_is_ended_at_once(
    sessions: OwnSessions, signed_in: Callable[..., Request], store: SessionStore
) -> None:
    request = signed_in()
    assert sessions.session(request, NOW) is not None
    assert store.end_upstream("acme", sub="u1", sid=None) == 1
    assert sessions.session(request, NOW) is None


def test_a_name_that_means_another_provider_now_opens_nothing(
    store: SessionStore,
    cookie: SessionCookie,
    provider: Provider,
    signed_in: Callable[..., Request],
) -> None:
    others = OwnSessions(cookie, store, provider, {"acme": Opener("", "https://other.example")})
    assert others.session(signed_in(), NOW) is None
    assert others.session(signed_in(expires_at=NOW + 1), NOW) is None
    assert provider.calls == 0, "nor does the other provider get to see its refresh token"


def test_a_source_that_is_gone_opens_nothing(
    store: SessionStore,
    cookie: SessionCookie,
    provider: Provider,
    signed_in: Callable[..., Request],
) -> None:
    others = OwnSessions(cookie, store, provider, {"other": Opener("", "https://idp.example.com")})
    assert others.session(signed_in(), NOW) is None


class TestRenewal:
    def at(self, clock: FakeClock, seconds: int) -> int:
        clock.now = NOW + seconds
        return int(clock.now)

    def test_only_when_it_is_time(
        self,
        sessions: OwnSessions,
        signed_in: Callable[..., Request],
        provider: Provider,
        clock: FakeClock,
    ) -> None:
        request = signed_in()
        sessions.session(request, self.at(clock, 600 - RENEW_BEFORE - 1))
        assert provider.calls == 0
        session = sessions.session(request, self.at(clock, 600 - RENEW_BEFORE))
        assert provider.calls == 1
        assert session is not None
        assert session.expires_at == NOW + 600 - RENEW_BEFORE + 600
        again = sessions.session(request, self.at(clock, 600))
        assert again is session
        assert provider.calls == 1

    def test_also_after_its_end(
        self,
        sessions: OwnSessions,
        signed_in: Callable[..., Request],
        clock: FakeClock,
    ) -> None:
        session = sessions.session(signed_in(), self.at(clock, 1200))
        assert session is not None
        assert session.expires_at == NOW + 1800

    @pytest.mark.parametrize(
        ("changes", "at"),
        [
            ({"refresh_token": None}, 600),
            ({"ends_at": NOW + 600}, 600),
        ],
        ids=["without-a-refresh-token", "at-its-absolute-end"],
    )
    def test_not_then(
        self,
        sessions: OwnSessions,
        signed_in: Callable[..., Request],
        provider: Provider,
        clock: FakeClock,
        changes: dict[str, object],
        at: int,
    ) -> None:
        assert sessions.session(signed_in(**changes), self.at(clock, at)) is None
        assert provider.calls == 0

    def test_refused_by_the_provider_is_the_end(
        self,
        sessions: OwnSessions,
        signed_in: Callable[..., Request],
        provider: Provider,
        clock: FakeClock,
    ) -> None:
        def refuse(old: SessionRecord, now: int) -> SessionRecord:
            raise SessionRefused("over", code="grant_refused")

        provider.answer = refuse
        request = signed_in()
        assert sessions.session(request, self.at(clock, 560)) is None
        assert sessions.session(request, self.at(clock, 561)) is None
        assert provider.calls == 1

    def test_while_the_provider_is_down(
        self,
        sessions: OwnSessions,
        signed_in: Callable[..., Request],
        provider: Provider,
        clock: FakeClock,
    ) -> None:
        """What is vouched for goes on; then it fails closed; nobody has to sign in again after."""

        def fail(old: SessionRecord, now: int) -> SessionRecord:
            raise UpstreamUnavailable("down")

        works = provider.answer
        provider.answer = fail
        request = signed_in()
        session = sessions.session(request, self.at(clock, 550))
        assert session is not None
        assert session.expires_at == NOW + 600
        assert sessions.session(request, self.at(clock, 551)) is not None
        assert provider.calls == 1, "a provider that is down is not asked with every request"
        with pytest.raises(UpstreamUnavailable):
            sessions.session(request, self.at(clock, 610))
        assert provider.calls == 2
        started = time.monotonic()
        with pytest.raises(UpstreamUnavailable):
            sessions.session(request, self.at(clock, 611))
        assert time.monotonic() - started < 2, "nobody waits for a provider that is known to fail"
        assert provider.calls == 2
        provider.answer = works
        assert sessions.session(request, self.at(clock, 610 + RETRY_AFTER + 1)) is not None

    def test_one_of_many_asks_the_provider(
        self,
        sessions: OwnSessions,
        signed_in: Callable[..., Request],
        provider: Provider,
        clock: FakeClock,
    ) -> None:
        """A refresh token that is used twice is taken for stolen by many providers."""
        release = threading.Event()

        def slow(old: SessionRecord, now: int) -> SessionRecord:
            release.wait(5)
            return replace(old, expires_at=now + 600, refresh_token="r2")

        provider.answer = slow
        request, now = signed_in(), self.at(clock, 700)
        ends: list[int | None] = []

        def ask() -> None:
            session = sessions.session(request, now)
            ends.append(None if session is None else session.expires_at)

        threads = [threading.Thread(target=ask) for _ in range(5)]
        for thread in threads:
            thread.start()
        release.set()
        for thread in threads:
            thread.join()
        assert provider.calls == 1
        assert ends == [now + 600] * 5

    def test_tokens_of_a_minute_are_not_renewed_with_every_request(
        self,
        sessions: OwnSessions,
        signed_in: Callable[..., Request],
        provider: Provider,
        clock: FakeClock,
    ) -> None:
        provider.answer = lambda old, now: replace(old, expires_at=now + 60)
        request = signed_in()
        for second in range(20):
            assert sessions.session(request, self.at(clock, 700 + second)) is not None
        assert provider.calls == 1
        assert sessions.session(request, self.at(clock, 731)) is not None
        assert provider.calls == 2

    def test_a_refresh_token_that_is_good_now_is_kept(
        self,
        sessions: OwnSessions,
        signed_in: Callable[..., Request],
        provider: Provider,
        clock: FakeClock,
    ) -> None:
        """The provider has taken the old one, and did not answer what was asked next."""
        seen: list[str | None] = []

        def halfway(old: SessionRecord, now: int) -> SessionRecord:
            seen.append(old.refresh_token)
            if len(seen) == 1:
                raise RenewalUnfinished(replace(old, refresh_token="r2"), "UserInfo is down")
            return replace(old, expires_at=now + 600)

        provider.answer = halfway
        request = signed_in()
        with pytest.raises(UpstreamUnavailable):
            sessions.session(request, self.at(clock, 700))
        assert sessions.session(request, self.at(clock, 700 + RETRY_AFTER + 1)) is not None
        assert seen == ["r1", "r2"]

    def test_a_logout_meanwhile_wins(
        self,
        sessions: OwnSessions,
        signed_in: Callable[..., Request],
        provider: Provider,
        store: SessionStore,
        clock: FakeClock,
    ) -> None:
        def logged_out(old: SessionRecord, now: int) -> SessionRecord:
            store.end_upstream("acme", sub=None, sid="s1")
            return replace(old, expires_at=now + 600)

        provider.answer = logged_out
        request = signed_in()
        assert sessions.session(request, self.at(clock, 590)) is None
        assert sessions.session(request, self.at(clock, 591)) is None
