"""Where browsers are sent to sign in, and what they get: no form in a frame, no cookie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from compare_kit import OPENID, Idp, oidc
from flask import Flask
from werkzeug.test import TestResponse

from embedjwt.config import Settings
from embedjwt.keys.build import key_store, operator
from embedjwt.oidc.own_login import OwnLogin
from embedjwt.service import build_service
from embedjwt.sources import build_sources
from embedjwt.web import build_app
from tests_support import MINIMAL, FakeClock

MakeApp = Callable[..., Flask]


def start(app: Flask, query: str = "", method: str = "GET", **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.test_client().open(f"/session/login{query}", method=method, headers=named)


def sent(answer: TestResponse) -> tuple[str, dict[str, str]] | None:
    """The provider's host, and what is asked for there; ``None`` where nobody is sent away."""
    if answer.status_code != 303:
        return None
    parts = urlsplit(answer.headers["Location"])
    return str(parts.hostname), {name: value[0] for name, value in parse_qs(parts.query).items()}


def test_the_callback_url_comes_from_the_issuer_alone(make_app: MakeApp) -> None:
    app = make_app(source=[oidc(**OPENID)])
    answer = start(app, Host="evil.example.com", X_Forwarded_Host="evil.example.com")
    where = sent(answer)
    assert where is not None
    assert where[1]["redirect_uri"] == f"{MINIMAL['issuer']}/session/callback"


CLICK = {"Sec_Fetch_User": "?1"}
BUTTON = {"method": "POST", "Sec_Fetch_Site": "same-origin"}
FRAME = {"Sec_Fetch_Dest": "iframe"}


@pytest.mark.parametrize(
    ("keys", "headers", "prompt"),
    [
        (OPENID, {}, "none"),
        (OPENID, CLICK, "none"),
        (OPENID, BUTTON, ""),
        (OPENID, FRAME, "none"),
        (OPENID, FRAME | CLICK, "none"),
        (OPENID, FRAME | BUTTON, "none"),
        ({}, {}, None),
        ({}, CLICK, ""),
        ({}, BUTTON, ""),
        ({}, FRAME, None),
        ({}, FRAME | CLICK, None),
        ({}, FRAME | BUTTON, None),
    ],
)
def test_a_login_form_only_after_a_click_and_never_in_a_frame(
    make_app: MakeApp, keys: dict[str, str], headers: dict[str, str], prompt: str | None
) -> None:
    """``prompt=none`` never shows anything; plain OAuth 2.0 has no such question."""
    where = sent(start(make_app(source=[oidc(**keys)]), **headers))
    assert prompt == (None if where is None else where[1].get("prompt", ""))


@pytest.mark.parametrize(
    ("auto", "query", "host"),
    [
        ((False, False), "", None),
        ((True, False), "", "a.example.com"),
        ((False, True), "", "b.example.com"),
        ((True, True), "", None),
        ((True, False), "?source=b", "b.example.com"),
    ],
)
def test_auto_login_among_several_providers(
    make_app: MakeApp, auto: tuple[bool, bool], query: str, host: str | None
) -> None:
    sources = [
        oidc(**OPENID, name=name, auto_login=on)
        | {"auth_url": f"https://{name}.example.com/authorize", "subject_prefix": f"{name}:"}
        for name, on in zip("ab", auto, strict=True)
    ]
    where = sent(start(make_app(source=sources), query))
    assert host == (None if where is None else where[0])


def test_one_provider_is_gone_to_without_a_choice(make_app: MakeApp) -> None:
    where = sent(start(make_app(source=[oidc(**OPENID, auto_login=False)])))
    assert where is not None
    assert where[0] == "idp.example.com"


def test_a_token_opens_no_session_and_sets_no_cookie(
    make_app: MakeApp, bearer: Callable[..., dict[str, str]]
) -> None:
    answer = make_app().test_client().post("/v1/embed-token", headers=bearer())
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


BYE = "https://sso.example.com/bye"


@pytest.mark.parametrize(("keys", "end"), [({"signout_redirect_url": BYE}, BYE), ({}, None)])
def test_where_a_logout_leads(
    idp: Idp,
    make_settings: Callable[..., Settings],
    clock: FakeClock,
    keys: dict[str, str],
    end: Any,
) -> None:
    settings = make_settings(source=[idp.section | keys])
    operator(settings, key_store(settings), "test", clock).init()
    sources = build_sources(settings, clock=clock)
    own = sources.own_login
    assert isinstance(own, OwnLogin)
    api = {"": {"login": "ada", "email": "ada@example.com"}}
    session_id = own.store.create(idp.record(api=api))
    app = build_app(build_service(settings, clock), sources)
    response = app.response_class()
    own.cookie.set(response, session_id)
    headers = {
        "Cookie": response.headers["Set-Cookie"].partition(";")[0],
        "Origin": "https://app.example.com",
        "Accept": "application/json",
    }
    answer = app.test_client(use_cookies=False).post("/session/logout", headers=headers)
    assert answer.get_json() == {"signed_out": True, "end_session_url": end}
    assert own.store.get(session_id) is None
