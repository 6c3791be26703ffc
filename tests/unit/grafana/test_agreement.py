"""What embedjwt says of a person is what Grafana makes of the token, under the printed settings."""

from __future__ import annotations

import json
from dataclasses import dataclass

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from embedjwt.config.model import GrafanaTarget, Settings
from embedjwt.grafana.settings import GrafanaConfig, grafana_config
from embedjwt.grafana.verifier import Verdict, read_ini, verify
from embedjwt.identity import Identity
from embedjwt.tokens import identity_claims

NOW = 1_800_000_000
KEY = ec.generate_private_key(ec.SECP256R1())
JWKS = {"keys": [{**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key())), "kid": "k"}]}

VERSIONS = [
    *((8, minor) for minor in range(6)),
    *((9, minor) for minor in range(6)),
    *((10, minor) for minor in range(5)),
    *((11, minor) for minor in range(7)),
    *((12, minor) for minor in range(5)),
    (13, 0),
    (13, 1),
]
ROLES = ["None", "Viewer", "Editor", "Admin"]


@dataclass(frozen=True)
class Case:
    """One installation and one person in it."""

    settings: Settings
    target: GrafanaTarget
    identity: Identity


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
filled = texts.filter(bool)
org_ids = st.integers(1, 9)


@st.composite
def installations(draw):
    skip = draw(st.booleans())
    orgs = draw(st.dictionaries(filled, org_ids, max_size=3))
    numbered = draw(st.lists(org_ids, max_size=2))
    entries = [f"a:{org}:Viewer" for org in numbered] + ["*:*:Editor"] * draw(st.integers(0, 1))
    data = {
        "issuer": "https://embed.example.com",
        "source": [{"type": "cookie", "secret_keys": ["k"]}],
        "mapping": {
            "groups_attribute_path": draw(st.sampled_from(["", "groups"])),
            "allow_assign_grafana_admin": not skip and draw(st.booleans()),
            "skip_org_role_sync": skip,
            "org_mapping": entries,
        },
        "grafana": [
            {
                "url": "https://grafana.example.com",
                "audience": draw(st.one_of(st.just(""), texts)),
                "mode": draw(st.sampled_from(["url", "gateway"])),
                "auto_assign_org_id": draw(org_ids),
                "auto_assign_org_role": draw(st.sampled_from(ROLES)),
                "orgs": orgs,
            }
        ],
    }
    return Settings.model_validate(data), sorted({*orgs.values(), *numbered})


@st.composite
def cases(draw):
    configured, known = draw(installations())
    target, mapping = configured.grafana[0], configured.mapping
    known = sorted({target.auto_assign_org_id, *known})
    is_admin = mapping.allow_assign_grafana_admin and draw(st.booleans())
    roles = st.just("Admin") if is_admin else st.sampled_from(ROLES)
    mapped = bool(mapping.org_mapping) and not mapping.skip_org_role_sync and draw(st.booleans())
    org_roles = {} if mapping.skip_org_role_sync else {target.auto_assign_org_id: draw(roles)}
    if mapped:
        org_roles = draw(st.dictionaries(st.sampled_from(known), roles, min_size=1))
    identity = Identity(
        sub=draw(filled),
        login=draw(filled),
        email=draw(filled),
        name=draw(texts),
        role=org_roles.get(target.auto_assign_org_id, ""),
        is_grafana_admin=is_admin,
        groups=tuple(draw(st.lists(texts, max_size=3))) if mapping.groups_attribute_path else (),
        org_roles=org_roles,
        orgs_mapped=mapped,
    )
    return Case(configured, target, identity)


def grafana_sees(case: Case, config: GrafanaConfig, version: tuple[int, int]) -> Verdict:
    claims = {
        **identity_claims(case.identity),
        "iss": case.settings.issuer,
        "aud": case.target.token_audience,
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 300,
    }
    token = jwt.encode(claims, KEY, algorithm="ES256", headers={"kid": "k"})
    return verify(token, read_ini(config.text, version=version), JWKS, now=NOW)


def fields(of: Identity | Verdict) -> dict[str, object]:
    names = ("login", "email", "name", "role", "is_grafana_admin", "groups", "org_roles")
    who = of.sub if isinstance(of, Identity) else of.auth_id
    return {"sub": who} | {name: getattr(of, name) for name in names}


def nothing_reaches_that_grafana(identity: Identity, target: GrafanaTarget, version) -> bool:
    """The refusals that ``losses`` announce: no word for the role, or none for the default org."""
    if version < (9, 2) or not identity.org_roles:
        return False
    role = identity.org_roles.get(target.auto_assign_org_id, "Admin" * identity.is_grafana_admin)
    return version < (12, 0) and (not role or (role == "None" and version < (10, 2)))


@settings(max_examples=300, deadline=None)
@given(cases(), st.sampled_from(VERSIONS))
def test_grafana_makes_of_the_token_what_embedjwt_said(case, version):
    config = grafana_config(case.settings, case.target, version=version)
    lost = {field for field, _ in config.losses}

    verdict = grafana_sees(case, config, version)

    if nothing_reaches_that_grafana(case.identity, case.target, version):
        assert (verdict.accepted, verdict.reason) == (False, "role_invalid")
        assert lost & {"role", "org_roles"}
        return
    assert verdict.accepted, verdict.reason
    said, seen = fields(case.identity), fields(verdict)
    if case.identity.orgs_mapped and version < (12, 0) and case.identity.is_grafana_admin:
        said["role"] = "Admin"  # what a server admin is in the default organization there
    assert {name for name in said if said[name] != seen[name]} <= lost
    assert not lost or version < (12, 0)


PERSON = Identity("s", "ann", "ann@example.com", "Ann", "None", org_roles={1: "None"})
EVERYTHING = {
    "groups_attribute_path": "groups",
    "allow_assign_grafana_admin": True,
    "org_mapping": "a:2:Editor",
}


@pytest.mark.parametrize(
    ("version", "field", "person"),
    [
        ((9, 1), "role", {"role": "Editor", "org_roles": {1: "Editor"}}),
        ((9, 1), "org_roles", {"role": "Editor", "org_roles": {1: "Editor"}}),
        ((9, 1), "is_grafana_admin", {"role": "Admin", "is_grafana_admin": True}),
        ((10, 1), "role", {}),
        ((10, 3), "groups", {"groups": ("a",)}),
        ((11, 6), "org_roles", {"role": "", "org_roles": {1: "None", 2: "Editor"},
                                "orgs_mapped": True}),
    ],
)  # fmt: skip
def test_each_loss_is_one(version, field, person):
    data = {
        "issuer": "https://embed.example.com",
        "source": [{"type": "cookie", "secret_keys": ["k"]}],
        "mapping": EVERYTHING,
        "grafana": [{"url": "https://grafana.example.com"}],
    }
    configured = Settings.model_validate(data)
    identity = Identity(**{name: getattr(PERSON, name) for name in PERSON.__slots__} | person)
    config = grafana_config(configured, configured.grafana[0], version=version)

    verdict = grafana_sees(Case(configured, configured.grafana[0], identity), config, version)

    assert field in dict(config.losses)
    assert fields(identity)[field] != fields(verdict)[field]
