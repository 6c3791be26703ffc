"""``explain`` for people of an ``oidc`` source: the API's answers, and what a login differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from embedjwt.config import Settings
from embedjwt.explain import run_cases

JANE = {"sub": "42", "email": "jane@example.com"}
PLAIN = {
    "issuer": "",
    "auth_url": "https://git.example.com/authorize",
    "token_url": "https://git.example.com/token",
    "api_url": "https://git.example.com/user",
}


@pytest.fixture
def got(make_settings: Callable[..., Settings]) -> Callable[..., dict[str, Any]]:
    """What comes of one case at an ``oidc`` source with these keys."""

    def run(keys: dict[str, Any], **case: Any) -> dict[str, Any]:
        named = {"type": "oidc", "issuer": "https://idp.example.com", "client_id": "c"}
        settings = make_settings(source=[{**named, "client_secret": "s", **keys}])
        [result] = run_cases(
            settings,
            settings.grafana[0],
            [{"name": "one", "expect": {"denied": None}, **case}],
            settings.source[0],
        ).cases
        return dict(result.got)

    return run


@pytest.mark.parametrize(
    ("keys", "answers", "denied"),
    [
        ({"team_ids": [7]}, {"teams": [{"id": 7}]}, None),
        ({"team_ids": [7]}, {"teams": [{"id": 8}]}, "team_not_allowed"),
        ({"team_ids": [7]}, {}, "team_not_allowed"),
        (
            {
                "team_ids": ["acme"],
                "teams_url": "https://git.example.com/workspaces",
                "team_ids_attribute_path": "values[*].workspace.slug",
            },
            {"teams": {"values": [{"workspace": {"slug": "acme"}}]}},
            None,
        ),
        (
            {"team_ids": [7], "teams_url": "https://git.example.com/teams"},
            {"teams": [{"id": 7}]},
            "team_not_allowed",
        ),
        ({"allowed_organizations": ["acme"]}, {"orgs": [{"login": "acme"}]}, None),
        ({"allowed_organizations": ["acme"]}, {"orgs": []}, "organization_not_allowed"),
    ],
)
def test_gates_that_the_api_opens(
    got: Callable[..., dict[str, Any]],
    keys: dict[str, Any],
    answers: dict[str, Any],
    denied: str | None,
) -> None:
    assert got(keys, id_token=JANE, **answers)["denied"] == denied


def test_the_e_mail_of_last_resort(got: Callable[..., dict[str, Any]]) -> None:
    emails = [{"email": "old@example.com"}, {"email": "j@example.com", "primary": True}]
    assert got({}, id_token={"sub": "42"}, emails=emails)["email"] == "j@example.com"


@pytest.mark.parametrize("answers", [{"teams": {"id": 7}}, {"orgs": "acme"}, {"emails": [1]}])
def test_answers_of_another_shape(
    got: Callable[..., dict[str, Any]], answers: dict[str, Any]
) -> None:
    assert "no list of objects" in got({}, id_token=JANE, **answers)["error"]


@pytest.mark.parametrize(
    ("keys", "documents", "dropped"),
    [
        ({}, {"id_token": JANE, "userinfo": JANE, "access_token": JANE}, []),
        ({}, {"id_token": JANE, "userinfo": {"email": "x@example.com"}}, ["userinfo"]),
        ({}, {"id_token": JANE, "userinfo": {**JANE, "sub": "43"}}, ["userinfo"]),
        ({}, {"id_token": JANE, "access_token": {"sub": "43"}}, ["access_token"]),
        ({}, {"userinfo": JANE}, ["userinfo"]),
        (PLAIN, {"userinfo": JANE}, []),
        (PLAIN, {"id_token": JANE}, ["id_token"]),
        (PLAIN, {"userinfo": JANE, "access_token": JANE}, ["access_token"]),
    ],
)
def test_documents_that_a_login_would_not_use_are_said(
    got: Callable[..., dict[str, Any]],
    keys: dict[str, Any],
    documents: dict[str, Any],
    dropped: list[str],
) -> None:
    notes = got(keys, **documents).get("notes", [])
    assert [note.split("not use ")[1].split(":")[0] for note in notes] == dropped
