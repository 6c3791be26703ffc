"""UserInfo, e-mails, teams and organizations, as Grafana asks a provider's API."""

from __future__ import annotations

from typing import Any

import oidc_kit as kit
import pytest
from structlog.testing import capture_logs

from embedjwt.expressions import compile_expression
from embedjwt.oidc.lookups import organizations, primary_email, teams, userinfo

TOKEN = "opaque-ACCESS"


@pytest.fixture
def make(server):
    """A provider whose API is the server, with changes."""

    def make(path: str | None = None, **changes: Any) -> Any:
        compiled = compile_expression(path) if path else None
        values = {"api_url": f"{server.url}/api", "team_ids_attribute_path": compiled, **changes}
        return kit.provider_of(server.url, **values)

    return make


def logged(call: Any) -> tuple[Any, list[dict[str, Any]]]:
    with capture_logs() as lines:
        result = call()
    assert TOKEN not in str(lines)
    return result, [line for line in lines if line["event"] == "oidc.lookup_failed"]


def test_userinfo_is_asked_with_the_access_token(provider, server):
    server.answers_json("/userinfo", {"sub": "42", "email": "jane@example.com"})
    assert userinfo(provider, TOKEN, sub="42") == {"sub": "42", "email": "jane@example.com"}
    assert server.asked[-1].headers["authorization"] == f"Bearer {TOKEN}"


def test_userinfo_of_plain_oauth_needs_no_subject(make, server):
    server.answers_json("/api", {"login": "jane"})
    assert userinfo(make(), TOKEN, sub=None) == {"login": "jane"}


def test_no_userinfo_endpoint_is_no_failure(provider, server):
    kit.publish(server, userinfo_endpoint=None)
    assert logged(lambda: userinfo(provider, TOKEN, sub="42")) == (None, [])


@pytest.mark.parametrize(
    ("document", "sub"),
    [
        ({"sub": "43", "email": "mallory@example.com"}, "42"),
        ({"email": "jane@example.com"}, "42"),
        ({"sub": 42}, "42"),
        ({"sub": None}, "42"),
        ({}, ""),
        ([], None),
        ("jane", None),
        (None, None),
    ],
    ids=str,
)
def test_userinfo_about_somebody_else_is_dropped(provider, server, document, sub):
    server.answers_json("/userinfo", document)
    found, (line,) = logged(lambda: userinfo(provider, TOKEN, sub=sub))
    assert found is None
    assert (line["source"], line["what"], line["log_level"]) == ("idp", "userinfo", "warning")
    assert "mallory" not in str(line)


def test_signed_userinfo_is_not_supported(provider, server):
    text = kit.sign({"sub": "42"})
    server.answers_bytes("/userinfo", text.encode(), Content_Type="application/jwt")
    found, lines = logged(lambda: userinfo(provider, TOKEN, sub="42"))
    assert (found, len(lines)) == (None, 1)
    assert text not in str(lines)


def test_a_provider_that_is_down_says_nothing(provider, server):
    server.answers.clear()
    found, (line,) = logged(lambda: userinfo(provider, TOKEN, sub="42"))
    assert found is None
    assert "404" in line["hint"]


@pytest.mark.parametrize(
    ("document", "email"),
    [
        ([{"email": "a@x.org"}, {"email": "b@x.org", "primary": True}], "b@x.org"),
        (
            [{"email": "a@x.org", "is_primary": True}, {"email": "b@x.org", "primary": True}],
            "a@x.org",
        ),
        ({"values": [{"email": "b@x.org", "is_primary": True}]}, "b@x.org"),
        ([{"email": "a@x.org", "primary": "true"}, {"email": "b@x.org", "primary": 1}], None),
        ([{"primary": True}], None),
        ([{"primary": True, "email": 5}], None),
        ([], None),
        ({"values": []}, None),
    ],
    ids=str,
)
def test_the_primary_email(make, server, document, email):
    server.answers_json("/api/emails", document)
    assert logged(lambda: primary_email(make(), TOKEN)) == (email, [])


@pytest.mark.parametrize(
    ("call", "path"),
    [(primary_email, "/api/emails"), (teams, "/api/teams"), (organizations, "/api/orgs")],
    ids=["emails", "teams", "orgs"],
)
@pytest.mark.parametrize("document", [{}, {"values": {}}, "x", 5, None, [1], [[]]], ids=str)
def test_an_answer_of_another_shape(make, server, call, path, document):
    server.answers_json(path, document)
    found, lines = logged(lambda: call(make(), TOKEN))
    assert (found, len(lines)) == (None, 1)


@pytest.mark.parametrize("call", [primary_email, teams, organizations])
def test_a_request_that_fails(make, server, call):
    for arrange in (
        lambda path: server.answers_json(path, [], 403),
        lambda path: server.answers_bytes(path, b"<html>"),
        lambda path: server.answers_bytes(path, b"", 302, Location=f"{server.url}/elsewhere"),
    ):
        for path in ("/api/emails", "/api/teams", "/api/orgs"):
            arrange(path)
        found, lines = logged(lambda: call(make(), TOKEN))
        assert (found, len(lines)) == (None, 1)
    assert "/elsewhere" not in server.paths()


@pytest.mark.parametrize("call", [primary_email, teams, organizations])
def test_without_an_api_nothing_is_asked(make, server, call):
    assert logged(lambda: call(make(api_url=None), TOKEN)) == (None, [])
    assert server.asked == []


def test_a_query_of_the_api_stays(make, server):
    server.answers_json("/api/orgs", [{"login": "acme"}])
    provider = make(api_url=f"{server.url}/api/?version=2&x=a%20b")
    assert organizations(provider, TOKEN) == ("acme",)
    assert server.asked[-1].target == "/api/orgs?version=2&x=a%20b"


def test_organizations_are_logins(make, server):
    server.answers_json(
        "/api/orgs", [{"login": "acme"}, {"login": 5}, {"name": "x"}, {"login": ""}]
    )
    assert organizations(make(), TOKEN) == ("acme",)


def test_bitbucket_teams(make, server):
    """Grafana's own example of ``teams_url``."""
    server.answers_json(
        "/permissions", {"values": [{"workspace": {"slug": "acme"}}, {"workspace": {"slug": "b"}}]}
    )
    provider = make("values[*].workspace.slug", teams_url=f"{server.url}/permissions")
    assert teams(provider, TOKEN) == ("acme", "b")
    assert server.paths() == ["/permissions"]


@pytest.mark.parametrize(
    ("path", "document", "found"),
    [
        ("ids", {"ids": [1, 2.0, "3", None, True, 1.5, ["x"], ""]}, ("1", "2", "3")),
        ("ids", {}, ()),
        ("ids", {"ids": []}, ()),
        ("[].id", [{"id": 7}], ("7",)),
    ],
    ids=str,
)
def test_teams_of_teams_url(make, server, path, document, found):
    server.answers_json("/teams-url", document)
    provider = make(path, teams_url=f"{server.url}/teams-url")
    assert logged(lambda: teams(provider, TOKEN)) == (found, [])
    assert server.paths() == ["/teams-url"]


def test_teams_url_without_a_path_is_nobodys_team(make, server):
    provider = make(teams_url=f"{server.url}/teams-url")
    assert logged(lambda: teams(provider, TOKEN)) == ((), [])
    assert server.asked == []


@pytest.mark.parametrize(
    ("path", "document"),
    [("ids", {"ids": "7"}), ("ids", {"ids": {"7": 1}}), ("length(ids)", {})],
    ids=str,
)
def test_a_path_that_finds_no_list(make, server, path, document):
    server.answers_json("/teams-url", document)
    provider = make(path, teams_url=f"{server.url}/teams-url")
    found, lines = logged(lambda: teams(provider, TOKEN))
    assert (found, len(lines)) == (None, 1)


@pytest.mark.parametrize(
    ("path", "document", "found"),
    [
        (None, [{"id": 1}, {"id": 2, "name": "b"}], ("1", "2")),
        (None, [{"id": "1"}, {"id": True}, {"name": "b"}], ()),
        ("[].slug", [{"id": 1, "slug": "a"}], ("a",)),
        ("[].slug", [{"id": 1}], ("1",)),
        ("teams[].slug", {"teams": [{"slug": "a"}]}, ("a",)),
    ],
    ids=str,
)
def test_teams_below_the_api(make, server, path, document, found):
    server.answers_json("/api/teams", document)
    assert logged(lambda: teams(make(path), TOKEN)) == (found, [])
