"""The gates: who passes, which refusal is told first, and what the operator reads."""

from __future__ import annotations

from typing import Any

import pytest

from embedjwt.admission import Admission
from embedjwt.config.model import AdmissionSettings
from embedjwt.errors import AdmissionRefused
from embedjwt.identity import Documents, Identity, VerifiedClaims
from embedjwt.mapping import TraceStep

ADA = Identity(sub="1", login="ada", email="ada@Example.com", groups=("ops", "dev"))


def verdict(
    settings: dict[str, Any],
    identity: Identity = ADA,
    trace: list[TraceStep] | None = None,
    **documents: Any,
) -> str | None:
    """The code of the refusal, ``None`` for an admission."""
    verified = {name: VerifiedClaims(claims) for name, claims in documents.items()}
    admission = Admission(AdmissionSettings.model_validate(settings))
    try:
        admission.check(identity, Documents(**verified), trace)
    except AdmissionRefused as refused:
        return refused.code
    return None


def test_nothing_configured_admits_everyone() -> None:
    assert verdict({}) is None
    assert verdict({}, id_token={"email": ADA.email, "email_verified": False}) is None


@pytest.mark.parametrize(
    ("claims", "admitted"),
    [
        ({"email": ADA.email}, True),
        ({"email": ADA.email, "email_verified": True}, True),
        ({"email": ADA.email, "email_verified": "true"}, True),
        ({"email": ADA.email, "email_verified": False}, False),
        ({"email": ADA.email, "email_verified": "false"}, False),
        ({"email": "other@example.com", "email_verified": False}, True),
    ],
)
def test_an_address_that_anybody_could_claim(claims: dict[str, Any], admitted: bool) -> None:
    settings = {"allowed_domains": "example.com"}
    for document in ("id_token", "userinfo"):
        expected = None if admitted else "email_not_verified"
        assert verdict(settings, **{document: claims}) == expected


@pytest.mark.parametrize(
    ("claims", "admitted"),
    [
        pytest.param({"t": ["9", "7"]}, True, id="text"),
        pytest.param({"t": [7]}, True, id="integer"),
        pytest.param({"t": [{}, None, "7"]}, True, id="others-are-dropped"),
        pytest.param({"t": ["07"]}, False, id="texts-are-exact"),
        pytest.param({"t": [True]}, False, id="boolean"),
        pytest.param({"t": "7"}, False, id="bare-text"),
        pytest.param({"t": {"7": "7"}}, False, id="object"),
        pytest.param({"teams": [{"id": 7}]}, False, id="the-claim-is-not-asked-beside-a-path"),
        pytest.param({"t": ["7"], "name": 1}, False, id="a-dropped-document-is-not-asked"),
        pytest.param({}, False, id="missing"),
    ],
)
def test_teams_by_path(claims: dict[str, Any], admitted: bool) -> None:
    settings = {"team_ids": "7 True", "team_ids_attribute_path": "t"}
    assert verdict(settings, id_token=claims) == (None if admitted else "team_not_allowed")


@pytest.mark.parametrize(
    ("teams", "admitted"),
    [
        ([{"id": 7}], True),
        ([{"id": 1, "name": "x"}, {"id": 7}], True),
        ([{"id": "7"}], False),
        ([{"id": 7.0}], False),
        ([{"id": 7}, {"id": "x"}], False),
        ([{"id": 7}, "x"], False),
        ([{"id": None}], False),
        ([7], False),
        ({"id": 7}, False),
        ("7", False),
        (None, False),
    ],
)
def test_teams_by_claim(teams: Any, admitted: bool) -> None:
    code = verdict({"team_ids": "7"}, id_token={"teams": teams})
    assert code == (None if admitted else "team_not_allowed")


@pytest.mark.parametrize(
    ("path", "claims", "admitted"),
    [
        ("o", {"o": ["x", "acme"]}, True),
        ("o", {"o": ["Acme"]}, False),
        ("o", {"o": [7, "acme"]}, True),
        ("o", {"o": "acme"}, False),
        ("sort(o)", {}, False),
        ("", {"organizations": ["acme"]}, True),
        ("", {"organizations": [{"login": "acme", "id": 1}, "x"]}, True),
        ("", {"organizations": [{"name": "acme"}]}, False),
        ("", {"organizations": ["acme", 7]}, False),
        ("", {"organizations": "acme"}, False),
        ("", {}, False),
    ],
)
def test_organizations(path: str, claims: dict[str, Any], admitted: bool) -> None:
    settings = {"allowed_organizations": "acme", "organizations_attribute_path": path}
    code = verdict(settings, id_token=claims)
    assert code == (None if admitted else "organization_not_allowed")


def test_the_first_document_that_lists_any_team_decides() -> None:
    settings = {"team_ids": "7", "team_ids_attribute_path": "t"}
    assert verdict(settings, id_token={"t": [None]}, userinfo={"t": ["7"]}) is None
    code = verdict(settings, id_token={"t": ["1"]}, userinfo={"t": ["7"]})
    assert code == "team_not_allowed"


@pytest.mark.parametrize(
    ("allowed", "admitted"),
    [("dev", True), ("x ops", True), ("OPS", False), ("op", False), ("operators", False)],
)
def test_groups(allowed: str, admitted: bool) -> None:
    code = verdict({"allowed_groups": allowed})
    assert code == (None if admitted else "group_not_allowed")


@pytest.mark.parametrize(
    ("allowed", "admitted"),
    [
        ("example.com", True),
        ("EXAMPLE.COM", True),
        ("other.org example.com", True),
        ("ample.com", False),
        ("com", False),
        ("example.com.evil.org", False),
        ("@example.com", False),
    ],
)
def test_domains(allowed: str, admitted: bool) -> None:
    code = verdict({"allowed_domains": allowed})
    assert code == (None if admitted else "domain_not_allowed")


@pytest.mark.parametrize(
    ("email", "allowed", "admitted"),
    [
        pytest.param("a@KOMPANY.com", "kompany.com", True, id="case"),
        pytest.param("a@\u212aompany.com", "kompany.com", False, id="kelvin-sign"),
        pytest.param("a@kompany.com", "\u212aompany.com", False, id="kelvin-sign-configured"),
        pytest.param("a@B\u00dcCHER.example", "b\u00fccher.example", True, id="beyond-ascii"),
        pytest.param("\u212a@kompany.com", "kompany.com", True, id="local-part-is-free"),
        pytest.param("a@evil.example@kompany.com", "kompany.com", False, id="two-at-signs"),
        pytest.param("a@@kompany.com", "kompany.com", False, id="two-at-signs-together"),
        pytest.param("@kompany.com", "kompany.com", False, id="no-local-part"),
        pytest.param("kompany.com", "kompany.com", False, id="no-at-sign"),
        pytest.param("a b@kompany.com", "kompany.com", False, id="space"),
        pytest.param("a\u2003b@kompany.com", "kompany.com", False, id="wide-space"),
        pytest.param("a@kompany.com\n", "kompany.com", False, id="line-end"),
        pytest.param("", "kompany.com", False, id="none"),
    ],
)
def test_only_one_plain_address_has_a_domain(email: str, allowed: str, admitted: bool) -> None:
    identity = Identity(sub="1", login="ada", email=email)
    code = verdict({"allowed_domains": [allowed]}, identity)
    assert code == (None if admitted else "domain_not_allowed")


def test_a_subdomain_is_another_domain() -> None:
    identity = Identity(sub="1", login="ada", email="ada@dev.example.com")
    assert verdict({"allowed_domains": "example.com"}, identity) == "domain_not_allowed"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"team_ids": "7 8"}, ["team_ids = 7, 8", "teams", "team_ids_attribute_path"]),
        ({"team_ids": "7", "team_ids_attribute_path": "t"}, ["team_ids_attribute_path = t", " 1 "]),
        (
            {"allowed_organizations": "acme"},
            ["allowed_organizations = acme", "organizations_attribute_path"],
        ),
        ({"allowed_groups": "qa"}, ["allowed_groups = qa", "2 groups", "groups_attribute_path"]),
        ({"allowed_domains": "example.org"}, ["allowed_domains = example.org", "subdomain"]),
    ],
)
def test_the_hint_names_the_setting_and_never_a_claim(
    settings: dict[str, Any], named: list[str]
) -> None:
    documents = Documents(id_token=VerifiedClaims({"t": ["hunter2"], "organizations": ["hunter2"]}))
    identity = Identity(sub="hunter2", login="hunter2", email="hunter2", groups=("hunter2", "x"))
    with pytest.raises(AdmissionRefused) as caught:
        Admission(AdmissionSettings.model_validate(settings)).check(identity, documents)
    assert [word for word in named if word not in caught.value.hint] == []
    assert caught.value.status == 403
    assert "hunter2" not in caught.value.diagnostics()
    assert next(iter(settings.values())) not in caught.value.detail


def test_the_trace_tells_what_was_looked_at() -> None:
    trace: list[TraceStep] = []
    settings = {
        "team_ids": "7",
        "team_ids_attribute_path": "sort(t)",
        "allowed_organizations": "acme",
    }
    documents = {
        "id_token": {"organizations": 7},
        "userinfo": {"t": ["7"]},
        "access_token": {"sub": 7},
    }
    assert verdict(settings, trace=trace, **documents) == "organization_not_allowed"
    told = [(s.attribute, s.document, s.expression, s.value, bool(s.error)) for s in trace]
    assert told == [
        ("team_ids", "id_token", "sort(t)", None, True),
        ("team_ids", "userinfo", "sort(t)", ["7"], False),
        ("allowed_organizations", "id_token", "organizations", 7, True),
        ("allowed_organizations", "userinfo", "organizations", None, False),
    ]
