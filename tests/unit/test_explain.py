"""``explain``: one person step by step, and files of mapping tests."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from embedjwt.config.model import Settings
from embedjwt.explain import CaseReport, explain, run_cases
from embedjwt.identity import Documents, VerifiedClaims
from embedjwt.tokens import identity_claims
from tests_support import MINIMAL

ADA = {"sub": "1", "email": "ada@example.com", "login": "ada", "role": "Editor", "groups": ["ops"]}
CASE_FILE = files("embedjwt").joinpath("explain_cases/grafana.json")
SHIPPED: list[dict[str, Any]] = json.loads(CASE_FILE.read_text(encoding="utf-8"))


def minimal(**tables: Any) -> Settings:
    return Settings.model_validate({**MINIMAL, **tables})


def told(settings: Settings, claims: Any, **more: Any) -> dict[str, Any]:
    documents = Documents(id_token=VerifiedClaims(claims))
    return explain(settings, documents, settings.grafana[0], **more).as_json()


def report(*cases: Any, **tables: Any) -> CaseReport:
    settings = minimal(**tables)
    return run_cases(settings, settings.grafana[0], list(cases))


def test_an_admitted_person() -> None:
    settings = minimal(
        mapping={"role_attribute_path": "role", "groups_attribute_path": "groups"},
        admission={"team_ids": "7"},
        source=[{**MINIMAL["source"][0], "subject_prefix": "corp:"}],
    )
    [source] = settings.source
    answer = told(settings, {**ADA, "teams": [{"id": 7}]}, source=source)
    trace = answer.pop("trace")
    assert answer == {
        "admitted": True,
        "denied": None,
        "hint": "",
        "identity": {
            "sub": "corp:1",
            "login": "ada",
            "email": "ada@example.com",
            "name": "",
            "role": "Editor",
            "is_grafana_admin": False,
            "groups": ["ops"],
            "orgs": [],
            "org_roles": {"1": "Editor"},
        },
        "claims": {
            "sub": "corp:1",
            "login": "ada",
            "email": "ada@example.com",
            "role": "Editor",
            "groups": ["ops"],
        },
    }
    assert {
        "attribute": "role",
        "document": "id_token",
        "expression": "role",
        "value": "Editor",
        "error": None,
    } in trace
    assert [step["attribute"] for step in trace][-1] == "team_ids"


def test_claims_are_those_of_the_token() -> None:
    settings = minimal(mapping={"org_mapping": "*:2:Editor"})
    documents = Documents(id_token=VerifiedClaims(ADA))
    explanation = explain(settings, documents, settings.grafana[0])
    assert explanation.claims == identity_claims(explanation.identity)
    assert explanation.claims["orgs"] == ["2:Editor"]


@pytest.mark.parametrize(
    ("tables", "claims", "denied"),
    [
        ({"mapping": {"role_attribute_strict": True}}, ADA, "role_missing"),
        ({}, {**ADA, "email": ""}, "email_missing"),
        ({"admission": {"allowed_domains": "corp.com"}}, ADA, "domain_not_allowed"),
        ({}, [], "email_missing"),
    ],
)
def test_a_refusal_shows_what_was_found_and_no_claims(tables, claims, denied) -> None:
    answer = told(minimal(**tables), claims)
    assert (answer["admitted"], answer["denied"], answer["claims"]) == (False, denied, {})
    assert answer["hint"]
    assert answer["identity"]["login"] == (claims["login"] if claims else "")
    assert answer["trace"]


def test_any_value_can_be_printed() -> None:
    deep: Any = "x"
    for _ in range(10_000):
        deep = [deep]
    claims = {
        "email": "a\ud800",
        "groups": {
            "deep": deep,
            "long": "é" * 10**6,
            "many": list(range(10**4)),
            "keys": {str(number): number for number in range(10**4)},
            "huge": 10**5000,
            "nan": float("nan"),
            "half": "\ud800",
            "\udfff": True,
        },
    }
    settings = minimal(admission={"team_ids": "7"}, mapping={"groups_attribute_path": "groups"})
    text = json.dumps(told(settings, {**claims, "teams": deep}), allow_nan=False)
    assert len(text) < 20_000
    text = json.dumps(told(settings, {**claims, "email": "a@b", "teams": claims["groups"]}))
    assert len(text) < 20_000
    assert "NaN" not in text
    json.dumps(told(settings, claims), ensure_ascii=False).encode()


def test_the_shipped_cases_all_pass() -> None:
    outcome = report(*SHIPPED)
    assert [case for case in outcome.cases if not case.ok] == []
    assert (outcome.passed, outcome.failed) == (len(SHIPPED), 0)
    assert len(SHIPPED) > 90


def test_the_shipped_cases_have_names_of_their_own() -> None:
    names = [case["name"] for case in SHIPPED]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("example", ["basic role", "advanced roles", "server admin", "groups"])
def test_the_examples_of_grafanas_documentation_are_among_them(example: str) -> None:
    assert any(case["name"].startswith(f"grafana docs: {example}") for case in SHIPPED)


@pytest.mark.parametrize(
    "wrong",
    [
        {"denied": "email_missing"},
        {"role": "Viewer"},
        {"role": "editor"},
        {"org_roles": {"1": "Admin"}},
        {"org_roles": {}},
        {"groups": ["dev"]},
        {"groups": "ops"},
        {"is_grafana_admin": 0},
        {"is_grafana_admin": None},
        {"login": "ada", "role": "Admin"},
    ],
)
def test_a_wrong_expectation_fails_and_shows_what_came_out(wrong: dict[str, Any]) -> None:
    case = {
        "name": "n",
        "settings": {"role_attribute_path": "role", "groups_attribute_path": "groups"},
        "id_token": ADA,
    }
    right = {"denied": None, "role": "Editor", "groups": ["ops"], "is_grafana_admin": False}
    outcome = report({**case, "expect": right}, {**case, "expect": wrong}).as_json()
    assert (outcome["passed"], outcome["failed"]) == (1, 1)
    assert [result["ok"] for result in outcome["cases"]] == [True, False]
    assert outcome["cases"][1] == {
        "name": "n",
        "ok": False,
        "got": {
            "denied": None,
            "sub": "1",
            "login": "ada",
            "email": "ada@example.com",
            "name": "",
            "role": "Editor",
            "is_grafana_admin": False,
            "groups": ["ops"],
            "orgs": [],
            "org_roles": {"1": "Editor"},
        },
    }


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("role", "a case is an object"),
        ([], "a case is an object"),
        ({}, "nothing is expected"),
        ({"expect": {}}, "nothing is expected"),
        ({"expect": ["role"]}, "nothing is expected"),
        ({"expect": {"roles": "Admin"}}, "did you mean role?"),
        ({"expect": {"admitted": True}}, "expect has no 'admitted'"),
        ({"expects": {"role": "Admin"}}, "did you mean expect?"),
        ({"zzz": 1, "expect": {"role": ""}}, "known: name, settings"),
        ({"id_token": [], "expect": {"role": ""}}, "id_token is the claims themselves"),
        ({"userinfo": "{}", "expect": {"role": ""}}, "userinfo is the claims themselves"),
        ({"settings": [], "expect": {"role": ""}}, "settings is an object"),
        (
            {"settings": {"role_atribute_path": "r"}, "expect": {"role": ""}},
            "did you mean role_attribute_path?",
        ),
        ({"settings": {"url": "https://x"}, "expect": {"role": ""}}, "settings has no 'url'"),
        ({"settings": {"role_attribute_path": "["}, "expect": {"role": ""}}, "role_attribute_path"),
        ({"settings": {"role_attribute_strict": "x"}, "expect": {"role": ""}}, "strict"),
        ({"settings": {"allowed_domains": 7}, "expect": {"role": ""}}, "allowed_domains"),
        ({"settings": {"auto_assign_org_id": 0}, "expect": {"role": ""}}, "auto_assign_org_id"),
        ({"settings": {"auto_assign_org_role": "x"}, "expect": {"role": ""}}, "auto_assign_org_ro"),
        ({"settings": {"orgs": {"Main": "x"}}, "expect": {"role": ""}}, "orgs.Main"),
        (
            {
                "settings": {"allow_assign_grafana_admin": True, "skip_org_role_sync": True},
                "expect": {"role": ""},
            },
            "exclude each other",
        ),
    ],
)  # fmt: skip
def test_a_case_that_cannot_be_run_fails_with_a_message(case: Any, message: str) -> None:
    (result,) = report(case).cases
    assert not result.ok
    assert message in result.got["error"]


def test_cases_run_over_the_settings_of_the_file() -> None:
    case = {"id_token": ADA, "expect": {"role": "Editor", "denied": "group_not_allowed"}}
    tables = {"mapping": {"role_attribute_path": "role"}, "admission": {"allowed_groups": "qa"}}
    assert report(case, **tables).passed == 1
    assert report(case).passed == 0


def test_an_override_ends_with_its_case() -> None:
    plain = {"id_token": ADA, "expect": {"denied": None, "org_roles": {"1": "Viewer"}}}
    changed = {
        "settings": {
            "role_attribute_path": "role",
            "auto_assign_org_id": 9,
            "allowed_domains": "example.com",
        },
        "id_token": ADA,
        "expect": {"denied": None, "org_roles": {"9": "Editor"}},
    }
    assert report(plain, changed, plain).passed == 3


def test_overrides_keep_what_development_allows() -> None:
    settings = Settings.model_validate(
        {**MINIMAL, "development": True, "grafana": [{"url": "http://grafana.lan"}]},
        context={"development": True},
    )
    case = {"settings": {"auto_assign_org_id": 2}, "id_token": ADA, "expect": {"denied": None}}
    assert run_cases(settings, settings.grafana[0], [case]).passed == 1


@pytest.mark.parametrize("name", [None, "", 7, ["x"]])
def test_a_case_without_a_name_is_numbered(name: Any) -> None:
    case = {"name": name, "id_token": ADA, "expect": {"denied": None}}
    assert [result.name for result in report(case, case).cases] == ["case 1", "case 2"]


def test_documents_are_asked_in_order() -> None:
    case = {
        "settings": None,
        "id_token": {"sub": "1"},
        "userinfo": {"sub": "2", "login": "b"},
        "access_token": {"login": "c", "email": "c@example.com"},
        "expect": {"sub": "1", "login": "b", "email": "c@example.com"},
    }
    assert report(case).passed == 1
