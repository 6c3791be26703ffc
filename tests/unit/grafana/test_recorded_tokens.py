"""The model of Grafana's JWT client against what real ones answered (``record_tokens.py``)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from embedjwt.grafana.verifier import JwtAuthSettings, Verdict, read_ini, verify
from embedjwt.grafana.versions import parse_version
from tests_support import ROOT

RECORDED = [
    json.loads(file.read_text())
    for file in sorted((ROOT / "tests/data").glob("grafana-*-tokens.json"))
]
ALL = [
    pytest.param(recorded, settings, id=f"{recorded['version']}-{settings['name']}")
    for recorded in RECORDED
    for settings in recorded["settings"]
]

HEADER = "X-JWT-Assertion"

NOT_IN_THE_MODEL = {"User sync failed", "Sign up is disabled"}
"""What Grafana says where it depends on the people it knows already. Two without a login, or
without an e-mail, are the same one to it: embedjwt makes no such token."""

DOES_NOT_START = {
    "expect_claims_invalid",
    "jwk_set_url_not_https",
    "key_set_ambiguous",
    "key_set_not_configured",
}

Told = dict[str, Any]


def known(recorded: Told, settings: Told) -> JwtAuthSettings:
    return read_ini(settings["ini"], version=parse_version(recorded["version"]))


def judged(auth: JwtAuthSettings, recorded: Told, case: Told) -> Verdict:
    where = {"header": HEADER}.get(case["where"], case["where"])
    reads = (auth.header_name, *(["url"] if auth.url_login else []))
    token = case["token"] if where in reads else ""
    return verify(token, auth, recorded["jwks"], now=case["now"])


@pytest.mark.parametrize(("recorded", "settings"), ALL)
def test_the_model_knows_whether_it_starts(recorded: Told, settings: Told) -> None:
    reason = verify("a", known(recorded, settings), recorded["jwks"], now=0).reason
    assert settings["starts"] == (reason not in DOES_NOT_START)


@pytest.mark.parametrize(
    ("recorded", "settings"), [each for each in ALL if each.values[1]["starts"]]
)
def test_the_model_agrees(recorded: Told, settings: Told) -> None:
    auth = known(recorded, settings)
    wrong = {}
    assert settings["cases"]
    for case in settings["cases"]:
        if case.get("says") not in NOT_IN_THE_MODEL:
            ours, theirs = outcome(auth, judged(auth, recorded, case)), answered(case)
            if ours != {name: theirs.get(name) for name in ours}:
                wrong[case["name"]] = (ours, theirs)
    assert wrong == {}


def outcome(auth: JwtAuthSettings, verdict: Verdict) -> Told:
    """What Grafana would say of somebody new."""
    if not verdict.accepted:
        return {"status": 403 if verdict.reason == "role_invalid" else 401}
    told = {"login": verdict.login, "email": verdict.email, "person": verdict.name}
    roles = verdict.org_roles or {auth.default_org_id: auth.auto_assign_org_role}
    return {
        "status": 200,
        **{name: value for name, value in told.items() if value},
        "is_grafana_admin": verdict.is_grafana_admin,
        "org_roles": {str(org): role for org, role in roles.items()},
    }


def answered(case: Told) -> Told:
    return {name: value for name, value in case.items() if name not in ("token", "now", "where")}


def test_there_is_something_to_compare() -> None:
    assert RECORDED
    for recorded in RECORDED:
        cases = [case for settings in recorded["settings"] for case in settings["cases"]]
        assert {200, 401, 403} <= {case["status"] for case in cases}
        assert len(cases) > 400
        assert any(not settings["starts"] for settings in recorded["settings"])
