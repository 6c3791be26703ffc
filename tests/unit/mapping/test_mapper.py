"""The mapper as a whole: refusals, their evidence, the trace, several Grafanas."""

from __future__ import annotations

import pytest

from embedjwt.config.model import GrafanaTarget, MappingSettings
from embedjwt.identity import Documents, Identity, VerifiedClaims
from embedjwt.mapping import IdentityRefused, Mapper, TraceStep

EMAIL = "ada@example.com"


def test_a_whole_person(identify) -> None:
    found = identify(
        {
            "role_attribute_path": "role",
            "groups_attribute_path": "groups",
            "org_attribute_path": "orgs",
            "org_mapping": "acme:2:Admin",
        },
        id_token={"sub": "1", "email": EMAIL, "login": "ada", "name": "Ada", "role": "editor"},
        userinfo={"groups": ["ops"], "orgs": ["acme", "other"]},
    )
    assert found == Identity(
        sub="1",
        login="ada",
        email=EMAIL,
        name="Ada",
        role="",  # none in the default organization
        groups=("ops",),
        orgs=("acme", "other"),
        org_roles={2: "Admin"},
        orgs_mapped=True,
    )


@pytest.mark.parametrize(
    ("settings", "claims", "code"),
    [
        pytest.param(
            {"org_attribute_path": "sort(orgs)", "role_attribute_strict": True},
            {},
            "org_attribute_failed",
            id="orgs-before-role",
        ),
        pytest.param({"role_attribute_strict": True}, {}, "role_missing", id="role-before-email"),
        pytest.param({}, {"login": "\x00"}, "email_missing", id="email-before-login"),
        pytest.param({}, {"email": "\x00", "login": "\x00"}, "email_invalid", id="invalid-email"),
        pytest.param(
            {}, {"email": EMAIL, "login": "\x00", "sub": "\x00"}, "login_invalid", id="login-first"
        ),
    ],
)
def test_the_first_reason_in_grafanas_order_is_told(identify, settings, claims, code) -> None:
    with pytest.raises(IdentityRefused) as caught:
        identify(settings, id_token=claims)
    assert caught.value.code == code
    assert caught.value.hint


def test_an_org_expression_that_fails_later_refuses_too(identify) -> None:
    settings = {"org_attribute_path": "sort(orgs)"}
    with pytest.raises(IdentityRefused) as caught:
        identify(settings, id_token={"email": EMAIL, "orgs": []}, userinfo={})
    assert caught.value.code == "org_attribute_failed"


def test_organizations_already_found_are_not_looked_for_again(identify) -> None:
    found = identify(
        {"org_attribute_path": "sort(orgs)"},
        id_token={"email": EMAIL, "orgs": ["acme"]},
        userinfo={"orgs": 7},
    )
    assert found.orgs == ("acme",)


def test_a_refusal_carries_what_was_found(identify) -> None:
    settings = {"role_attribute_path": "role", "groups_attribute_path": "groups"}
    with pytest.raises(IdentityRefused) as caught:
        identify(settings, id_token={"sub": "1", "role": "Admin", "groups": ["ops"]})
    assert caught.value.identity == Identity(
        sub="1", login="", email="", role="Admin", groups=("ops",), org_roles={1: "Admin"}
    )


def test_no_document_at_all(identify) -> None:
    with pytest.raises(IdentityRefused) as caught:
        identify(subject_prefix="corp:")
    assert caught.value.code == "email_missing"
    assert caught.value.identity.sub == ""


def test_the_hint_names_a_dropped_document_and_never_a_value(identify) -> None:
    with pytest.raises(IdentityRefused) as caught:
        identify(id_token={"email": EMAIL, "name": ["hunter2"]})
    assert "id_token was dropped: name is not a string" in caught.value.hint
    assert "hunter2" not in caught.value.diagnostics()
    assert EMAIL not in caught.value.diagnostics()


def test_two_spellings_of_a_claim_leave_nobody_and_the_trace_says_so(identify) -> None:
    trace: list[TraceStep] = []
    with pytest.raises(IdentityRefused) as caught:
        identify(id_token={"email": EMAIL, "sub": "u1", "SUB": "admin"}, trace=trace)
    assert caught.value.identity.sub == ""
    problem = "the whole document is dropped: sub comes in two spellings"
    assert trace[0] == TraceStep("document", "id_token", "", None, problem)


def test_server_admin_is_decided_by_the_document_that_gave_the_role(identify) -> None:
    settings = {"role_attribute_path": "role", "allow_assign_grafana_admin": True}
    id_token = {"email": EMAIL, "role": "Viewer"}
    found = identify(settings, id_token=id_token, userinfo={"role": "GrafanaAdmin"})
    assert (found.role, found.is_grafana_admin) == ("Viewer", False)


@pytest.mark.parametrize("word", [" Admin", "Admin ", "org admin", "admın", "Administrator", "A"])
def test_words_near_a_role_are_none(identify, word) -> None:
    found = identify({"role_attribute_path": "role"}, id_token={"email": EMAIL, "role": word})
    assert found.role == "Viewer"


def test_the_trace_tells_every_attempt_in_order(identify) -> None:
    trace: list[TraceStep] = []
    identify(
        {
            "login_attribute_path": "contains(logins, 'x')",
            "groups_attribute_path": "team",
            "role_attribute_path": "role",
            "org_mapping": "acme:Nowhere:Editor",
        },
        trace=trace,
        id_token={"sub": "1", "email": EMAIL, "team": "ops"},
        userinfo={"sub": 7},
        access_token={"role": "Owner"},
    )
    told = [(s.attribute, s.document, s.expression, s.value, bool(s.error)) for s in trace]
    assert told == [
        ("document", "userinfo", "", None, True),
        ("sub", "id_token", "sub", "1", False),
        ("name", "id_token", "name", None, False),
        ("name", "id_token", "display_name", None, False),
        ("login", "id_token", "login", None, False),
        ("login", "id_token", "contains(logins, 'x')", None, True),
        ("login", "id_token", "username", None, False),
        ("email", "id_token", "email", EMAIL, False),
        ("groups", "id_token", "team", "ops", True),
        ("role", "id_token", "role", None, False),
        ("role", "groups of id_token", "role", None, False),
        ("name", "access_token", "name", None, False),
        ("name", "access_token", "display_name", None, False),
        ("login", "access_token", "login", None, False),
        ("login", "access_token", "contains(logins, 'x')", None, True),
        ("login", "access_token", "username", None, False),
        ("groups", "access_token", "team", None, False),
        ("role", "access_token", "role", "Owner", False),
        ("role", "access_token", "role", "Owner", True),
        ("login", "", "email", EMAIL, False),
        ("org_mapping", "", "acme:Nowhere:Editor", None, True),
        ("org_roles", "", "auto_assign_org_id", {"1": "Viewer"}, False),
    ]


def test_a_trace_changes_nothing(identify) -> None:
    settings = {"role_attribute_path": "role", "groups_attribute_path": "groups"}
    claims = {"email": EMAIL, "name": "\x00", "role": "ADMIN", "groups": ["a", 1]}
    assert identify(settings, id_token=claims) == identify(settings, id_token=claims, trace=[])


def test_each_grafana_has_its_own_organizations() -> None:
    mapper = Mapper(MappingSettings(org_mapping=("*:Main:Editor",)))
    documents = Documents(id_token=VerifiedClaims({"email": EMAIL}))

    def org_roles(name: str, main: int) -> object:
        keys = {"name": name, "url": "https://grafana.test", "orgs": {"Main": main}}
        return mapper.identity(documents, GrafanaTarget.model_validate(keys)).org_roles

    assert org_roles("a", 1) == {1: "Editor"}
    assert org_roles("b", 2) == {2: "Editor"}
    assert org_roles("a", 1) == {1: "Editor"}
    assert org_roles("a", 3) == {3: "Editor"}, "a target of the same name with another table"
