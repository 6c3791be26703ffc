"""What is asked of a provider: in Grafana's order, and no more than an answer still needs."""

from __future__ import annotations

from typing import Any, ClassVar

import oidc_kit as kit
import pytest

from embedjwt.admission import Admission
from embedjwt.config import AdmissionSettings, MappingSettings
from embedjwt.errors import AdmissionRefused, UpstreamUnavailable
from embedjwt.expressions import compile_expression
from embedjwt.identity import Documents, VerifiedClaims
from embedjwt.mapping import Mapper
from embedjwt.oidc.gather import gather
from embedjwt.rules import Rules

TOKEN = "opaque-ACCESS"
WHOLE = {"sub": "42", "name": "Jane", "login": "jane", "email": "jane@example.com"}


@pytest.fixture
def asking(server):
    """What comes of an ID token, and the paths that were asked for it."""

    def ask(
        id_token: dict[str, Any] | None,
        *,
        mapping: dict[str, Any] | None = None,
        admission: dict[str, Any] | None = None,
        access_token: str = TOKEN,
        **changes: Any,
    ) -> tuple[Documents, list[str]]:
        rules = Rules(
            Mapper(MappingSettings(**mapping or {})),
            Admission(AdmissionSettings(**admission or {})),
        )
        if "api" in changes:
            changes["api_url"] = f"{server.url}{changes.pop('api')}"
        path = (admission or {}).get("team_ids_attribute_path")
        changes["team_ids_attribute_path"] = compile_expression(path) if path else None
        issuer = None if id_token is None else server.url
        if issuer is None:
            changes |= {"auth_url": f"{server.url}/a", "token_url": f"{server.url}/t", "scopes": ()}
        provider = kit.provider_of(issuer, **changes)
        claims = None if id_token is None else VerifiedClaims(id_token)
        documents = gather(provider, rules, claims, access_token, kit.NOW)
        return documents, [path for path in server.paths() if path not in (kit.DISCOVERY, "/jwks")]

    return ask


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in WHOLE.items() if name not in names}


@pytest.mark.parametrize(
    ("id_token", "mapping", "asked"),
    [
        (WHOLE, {}, []),
        (without("name"), {}, ["/userinfo"]),
        (without("login"), {}, ["/userinfo"]),
        (without("login"), {"login_attribute_path": "email"}, []),
        (WHOLE, {"groups_attribute_path": "groups"}, ["/userinfo"]),
        ({**WHOLE, "groups": ["a"]}, {"groups_attribute_path": "groups"}, []),
        (WHOLE, {"role_attribute_path": "role"}, ["/userinfo"]),
        ({**WHOLE, "role": "Editor"}, {"role_attribute_path": "role"}, []),
        (WHOLE, {"role_attribute_path": "role", "skip_org_role_sync": True}, []),
        (WHOLE, {"org_attribute_path": "orgs"}, ["/userinfo"]),
    ],
)
def test_userinfo_only_while_something_lacks_an_answer(server, asking, id_token, mapping, asked):
    server.answers_json("/userinfo", {**WHOLE, "groups": ["b"], "role": "Admin", "orgs": ["o"]})
    documents, paths = asking(id_token, mapping=mapping)
    assert paths == asked
    assert (documents.userinfo is not None) is bool(asked)


def test_the_e_mail_of_last_resort(server, asking):
    server.answers_json("/user", without("email"))
    server.answers_json("/user/emails", [{"email": "j@example.com", "primary": True}])
    documents, paths = asking(without("email"), api="/user")
    assert paths == ["/user", "/user/emails"]
    assert documents.lookups.email == "j@example.com"


def test_no_e_mails_are_asked_for_where_there_is_one(server, asking):
    server.answers_json("/user", WHOLE)
    _, paths = asking(without("email"), api="/user")
    assert paths == ["/user"]


class TestTeams:
    GATE: ClassVar = {"team_ids": ("7",), "team_ids_attribute_path": "teams[*].id"}

    def admits(self, documents: Documents, admission: dict[str, Any]) -> bool:
        gate = Admission(AdmissionSettings(**admission))
        identity = Mapper(MappingSettings()).identity(documents, _target())
        try:
            gate.check(identity, documents)
        except AdmissionRefused:
            return False
        return True

    def test_in_the_claims_nobody_is_asked(self, asking):
        documents, paths = asking({**WHOLE, "teams": [{"id": 7}]}, admission=self.GATE, api="/user")
        assert paths == []
        assert self.admits(documents, self.GATE)

    def test_below_api_url(self, server, asking):
        server.answers_json("/user", WHOLE)
        server.answers_json("/user/teams", [{"id": 7}, {"id": 8}])
        gate = {"team_ids": ("7",)}
        documents, paths = asking(WHOLE, admission=gate, api="/user")
        assert paths == ["/user", "/user/teams"]
        assert self.admits(documents, gate)
        assert not self.admits(documents, {"team_ids": ("9",)})

    def test_teams_url_alone_decides(self, server, asking):
        """A claim of the same shape does not count beside it (``fetchTeamMemberships``)."""
        server.answers_json("/memberships", {"teams": [{"id": "8"}]})
        server.answers_json("/user", WHOLE)
        documents, paths = asking(
            {**WHOLE, "teams": [{"id": "7"}]},
            admission=self.GATE,
            api="/user",
            teams_url=f"{server.url}/memberships",
        )
        assert "/memberships" in paths
        assert not self.admits(documents, self.GATE)

    @pytest.mark.parametrize("path", ["teams[*].id", ""])
    def test_a_teams_url_that_fails_or_has_no_path_admits_nobody(self, server, asking, path):
        gate = {"team_ids": ("7",), "team_ids_attribute_path": path}
        documents, _ = asking(
            {**WHOLE, "teams": [{"id": 7}]}, admission=gate, teams_url=f"{server.url}/gone"
        )
        assert not self.admits(documents, gate)

    def test_organizations(self, server, asking):
        server.answers_json("/user", WHOLE)
        server.answers_json("/user/orgs", [{"login": "acme"}])
        gate = {"allowed_organizations": ("acme",)}
        documents, paths = asking(WHOLE, admission=gate, api="/user")
        assert paths == ["/user", "/user/orgs"]
        assert self.admits(documents, gate)
        assert not self.admits(documents, {"allowed_organizations": ("Acme",)})


class TestAccessToken:
    CLAIMS: ClassVar = {
        "iss": "",
        "sub": "42",
        "exp": kit.NOW + 60,
        "iat": kit.NOW,
        "groups": ["a"],
    }
    MAPPING: ClassVar = {"groups_attribute_path": "groups"}

    def token(self, server: Any, **changes: Any) -> str:
        return kit.sign({**self.CLAIMS, "iss": server.url, **changes})

    def test_is_the_last_to_be_asked(self, server, asking):
        documents, _ = asking(WHOLE, mapping=self.MAPPING, access_token=self.token(server))
        assert documents.access_token is not None
        assert documents.access_token["groups"] == ["a"]

    @pytest.mark.parametrize(
        "changes", [{"sub": "43"}, {"iss": "https://x"}, {"exp": kit.NOW - 99}]
    )
    def test_unless_it_is_about_somebody_else(self, server, asking, changes):
        token = self.token(server, **changes)
        documents, _ = asking(WHOLE, mapping=self.MAPPING, access_token=token)
        assert documents.access_token is None

    def test_signed_by_another_counts_for_nothing(self, server, asking):
        token = kit.sign({**self.CLAIMS, "iss": server.url}, key=kit.NEW_EC_KEY)
        documents, _ = asking(WHOLE, mapping=self.MAPPING, access_token=token)
        assert documents.access_token is None


class TestPlainOAuth:
    @pytest.mark.parametrize(
        ("answer", "sub"),
        [
            ({"id": 1234, "login": "jane"}, "1234"),
            ({"uuid": "{ab-cd}", "username": "jane"}, "{ab-cd}"),
            ({"sub": "s", "id": 1}, "s"),
            ({"login": "jane"}, None),
        ],
    )
    def test_the_subject_is_what_stays(self, server, asking, answer, sub):
        """Logins are given to others once they are free; ids are not."""
        server.answers_json("/user", answer)
        server.answers_json("/user/emails", [])
        documents, _ = asking(None, api="/user")
        assert documents.userinfo is not None
        assert documents.userinfo.get("sub") == sub

    def test_nobody_without_an_answer(self, server, asking):
        server.answers_json("/user", {}, status=500)
        with pytest.raises(UpstreamUnavailable):
            asking(None, api="/user")


def _target() -> Any:
    from embedjwt.config import GrafanaTarget

    return GrafanaTarget.model_validate({"url": "https://grafana.example.com"}, context={})
