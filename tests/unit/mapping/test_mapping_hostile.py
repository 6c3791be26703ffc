"""Whatever the claims and the expressions are, the outcome is an identity or a code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from embedjwt.admission import Admission
from embedjwt.config.model import AdmissionSettings, GrafanaTarget, MappingSettings
from embedjwt.errors import AdmissionRefused, MappingRefused
from embedjwt.identity import Documents, Identity, VerifiedClaims
from embedjwt.mapping import Mapper, TraceStep

TARGET = GrafanaTarget.model_validate({"url": "https://grafana.test", "orgs": {"Main": 1, "B": 2}})

NAMES = [
    "sub", "name", "display_name", "login", "username", "email", "upn", "attributes", "Email",
    "SUB", "email:primary", "groups", "orgs", "role", "roles", "teams", "organizations", "id",
]  # fmt: skip
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=12)
TEXTS = ANY_TEXT | st.sampled_from(["Admin", "grafanaadmin", "a@example.com", "acme", "x" * 300])
NUMBERS = st.integers() | st.floats(allow_nan=True) | st.sampled_from([10**400, -(2**70)])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | ANY_TEXT, inner, max_size=4)
    ),
    max_leaves=10,
)
CLAIMS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8)
PATHS = st.sampled_from(
    [
        "", "role", "groups", "orgs", "sub", "@", "*", "[*]", "@.*", "email", "to_string(@)",
        "contains(groups, 'x') && 'Admin' || 'Viewer'", "sort(groups)", "groups[]", "groups[0]",
        "roles[?@ == 'Admin'] | [0]", "keys(@)", "merge(@, attributes)", "[role, groups]",
        "teams[*].id", "join(',', groups)", "max(groups)", "abs(id)", "length(name)", "groups[::2]",
    ]
)  # fmt: skip
MAPPINGS = st.fixed_dictionaries(
    {
        "email_attribute_path": PATHS,
        "login_attribute_path": PATHS,
        "name_attribute_path": PATHS,
        "groups_attribute_path": PATHS,
        "role_attribute_path": PATHS,
        "org_attribute_path": PATHS,
        "role_attribute_strict": st.booleans(),
        "allow_assign_grafana_admin": st.booleans(),
        "org_mapping": st.lists(
            st.sampled_from(["*:*:Admin", "acme:Main:Editor", "*:2:None", "a:b:c:d"]) | ANY_TEXT,
            max_size=3,
        ),
    }
)
ADMISSIONS = st.fixed_dictionaries(
    {
        "team_ids": st.sampled_from([(), ("1",)]),
        "team_ids_attribute_path": PATHS,
        "allowed_organizations": st.sampled_from([(), ("acme",)]),
        "organizations_attribute_path": PATHS,
        "allowed_groups": st.sampled_from([(), ("x",)]),
        "allowed_domains": st.sampled_from([(), ("example.com",)]),
    }
)
CODES = {
    "org_attribute_failed", "role_missing", "email_missing", "email_invalid", "login_invalid",
    "sub_invalid", "team_not_allowed", "organization_not_allowed", "group_not_allowed",
    "domain_not_allowed",
}  # fmt: skip


def outcome(
    mapping: dict[str, Any], admission: dict[str, Any], *claims: Any, traced: bool = False
) -> Identity | str:
    trace: list[TraceStep] | None = [] if traced else None
    documents = Documents(*(VerifiedClaims(document) for document in claims))
    try:
        identity = Mapper(MappingSettings.model_validate(mapping)).identity(
            documents, TARGET, trace=trace
        )
        Admission(AdmissionSettings.model_validate(admission)).check(identity, documents, trace)
    except (MappingRefused, AdmissionRefused) as refused:
        return refused.code
    return identity


@settings(deadline=None)
@given(MAPPINGS, ADMISSIONS, CLAIMS, CLAIMS, CLAIMS)
def test_random_claims_give_an_identity_or_a_code(mapping, admission, first, second, third) -> None:
    result = outcome(mapping, admission, first, second, third)
    assert result == outcome(mapping, admission, first, second, third, traced=True)
    if isinstance(result, str):
        assert result in CODES
        return
    for text in result.sub, result.login, result.email:
        assert text
        assert text == text.strip()
        assert len(text) <= 255
        text.encode()
    assert set(result.org_roles.values()) <= {"None", "Viewer", "Editor", "Admin"}
    assert result.org_roles
    assert result.role in {"", "None", "Viewer", "Editor", "Admin"}
    assert not result.is_grafana_admin or (
        mapping["allow_assign_grafana_admin"] and result.role == "Admin"
    )


@settings(deadline=None)
@given(st.text(alphabet="abr.[]*?@&|!'`{}:,() 0-=<>\"", max_size=24), CLAIMS)
def test_random_expressions_give_an_identity_or_a_code(expression: str, claims) -> None:
    keys = ["role_attribute_path", "groups_attribute_path", "org_attribute_path"]
    try:
        MappingSettings.model_validate(dict.fromkeys(keys, expression))
    except ValidationError:
        return
    result = outcome(dict.fromkeys(keys, expression), {}, claims)
    assert isinstance(result, Identity) or result in CODES


def deep(levels: int, kind: type) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value] if kind is list else {"groups": value}
    return value


@pytest.mark.parametrize(
    "path", ["groups", "groups[]", "@", "to_string(@)", "groups[*][*] || 'Admin'", "groups == `1`"]
)
@pytest.mark.parametrize("kind", [list, dict])
def test_ten_thousand_levels(path: str, kind: type) -> None:
    claims = {"email": "a@example.com", "groups": deep(10_000, kind)}
    keys = ["role_attribute_path", "groups_attribute_path", "name_attribute_path"]
    result = outcome(dict.fromkeys(keys, path), {}, claims, traced=True)
    assert isinstance(result, Identity)
    gates = {"team_ids": ["1"], "team_ids_attribute_path": path}
    assert outcome({}, gates, claims) == "team_not_allowed"


@pytest.mark.parametrize("claim", ["email", "sub", "login"])
def test_a_megabyte_of_text_is_no_identifier(claim: str) -> None:
    claims = {"email": "a@example.com", claim: "é" * 2**20}
    assert outcome({"role_attribute_path": claim}, {}, claims) == f"{claim}_invalid"


def test_numbers_no_float_can_hold_are_no_team() -> None:
    claims = {"email": "a@example.com", "teams": [{"id": 10**5000}], "t": [10**400, True, "x"]}
    assert outcome({}, {"team_ids": ["1", "True"]}, claims) == "team_not_allowed"
    gates = {"team_ids": ["1", "True"], "team_ids_attribute_path": "t"}
    assert outcome({}, gates, claims) == "team_not_allowed"


def test_not_a_number_from_a_lenient_parser() -> None:
    claims = json.loads('{"email": "a@example.com", "id": NaN, "teams": [{"id": NaN}]}')
    assert outcome({}, {"team_ids": ["nan", "NaN"]}, claims) == "team_not_allowed"
    found = outcome({"role_attribute_path": "id", "groups_attribute_path": "[id]"}, {}, claims)
    assert isinstance(found, Identity)
    assert found.groups == ()
