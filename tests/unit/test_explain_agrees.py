"""What ``explain`` says is what Grafana makes of the token: the whole way, for generated people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from embedjwt.config import Settings, parse_settings
from embedjwt.explain import explain
from embedjwt.grafana.settings import grafana_config
from embedjwt.grafana.verifier import Verdict, read_ini, verify
from embedjwt.identity import Documents, VerifiedClaims
from tests_support import MINIMAL

NOW = 1_800_000_000
KEY = ec.generate_private_key(ec.SECP256R1())
JWKS = {
    "keys": [{**ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "k", "alg": "ES256"}]
}

words = st.sampled_from(["admin", "Editor", "viewer", "None", "grafanaadmin", "boss", "", "a b", 7])
names = st.sampled_from(["ops", "dev", "acme", "a:b", "Ö"])
claims = st.fixed_dictionaries(
    {"email": st.sampled_from(["ann@example.com", "bob@other.example", ""])},
    optional={
        "sub": st.text(max_size=8),
        "login": st.text(max_size=8),
        "name": st.text(max_size=8),
        "role": words,
        "groups": st.lists(names, max_size=3),
        "orgs": st.one_of(st.lists(names, max_size=3), st.just("acme")),
    },
)
mappings = st.fixed_dictionaries(
    {},
    optional={
        "role_attribute_path": st.sampled_from(
            ["role", "contains(groups[*], 'ops') && 'Admin' || 'Viewer'", "role || 'nothing'"]
        ),
        "groups_attribute_path": st.just("groups"),
        "org_attribute_path": st.sampled_from(["orgs", "groups"]),
        "org_mapping": st.lists(
            st.sampled_from(
                [
                    "ops:1:Editor",
                    "acme:2:Admin",
                    "dev:Main:Viewer",
                    "*:3:None",
                    "acme:*:Editor",
                    "a\\:b:Second:Admin",
                    "dev:2",
                    "broken",
                    "acme:Nowhere:Viewer",
                ]
            ),
            max_size=4,
        ),
        "role_attribute_strict": st.booleans(),
        "allow_assign_grafana_admin": st.booleans(),
    },
)
targets = st.fixed_dictionaries(
    {"url": st.just("https://grafana.example.com")},
    optional={
        "auto_assign_org_id": st.sampled_from([1, 5]),
        "auto_assign_org_role": st.sampled_from(["None", "Viewer", "Editor"]),
        "orgs": st.just({"Main": 1, "Second": 2}),
    },
)


def configured(mapping: dict[str, Any], target: dict[str, Any]) -> Settings:
    raw = {**MINIMAL, "mapping": mapping, "grafana": [target]}
    return parse_settings(raw, {}, base=Path("/"), origin="test")


def grafana_sees(config: Settings, said: dict[str, Any], version: tuple[int, int]) -> Verdict:
    target = config.grafana[0]
    times = {"iat": NOW, "nbf": NOW, "exp": NOW + 300}
    registered = {"iss": config.issuer, "aud": target.token_audience, **times}
    token = jwt.encode({**registered, **said["claims"]}, KEY, "ES256", headers={"kid": "k"})
    ini = grafana_config(config, target, version=version).text
    return verify(token, read_ini(ini, version=version), JWKS, now=NOW)


@settings(max_examples=400, deadline=None)
@given(mappings, targets, claims, st.none() | claims, st.sampled_from([(12, 0), (12, 3), (13, 1)]))
def test_explain_says_what_grafana_sees(mapping, target, id_token, userinfo, version):
    config = configured(mapping, target)
    documents = Documents(
        VerifiedClaims(id_token), None if userinfo is None else VerifiedClaims(userinfo)
    )
    said = explain(config, documents, config.grafana[0]).as_json()
    if not said["admitted"]:
        assert said["claims"] == {}
        return
    seen = grafana_sees(config, said, version).as_json()
    assert seen["accepted"] is True, seen["detail"]
    for field in ("login", "email", "name", "role", "is_grafana_admin", "org_roles", "groups"):
        assert seen[field] == said["identity"][field], field


def test_the_comparison_can_fail():
    """A Grafana that is told something else than what we print sees somebody else."""
    config = configured({"role_attribute_path": "role"}, {"url": "https://grafana.example.com"})
    claims = VerifiedClaims({"sub": "1", "email": "ann@example.com", "role": "admin"})
    said = explain(config, Documents(claims), config.grafana[0]).as_json()
    assert said["identity"]["role"] == "Admin"
    assert grafana_sees(config, said, (13, 1)).role == "Admin"
    assert grafana_sees(config, said, (9, 1)).role != "Admin"
