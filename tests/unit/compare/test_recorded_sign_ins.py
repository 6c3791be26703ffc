"""Whoever signs in to a real Grafana by a section of its settings, and the same section here.

What Grafana did is in ``tests/data`` (``record_sign_ins.py``); the importer makes the section
embedjwt's own, and the same provider says the same of the same people.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compare_kit import JWKS, NOW, admitted, attempted, completed, sign, with_bearer

from embedjwt.config import Settings, parse_settings
from embedjwt.errors import EmbedJWTError
from embedjwt.grafana.importing import import_grafana
from embedjwt.grafana.oauth_settings import read_grafana_files
from loopback_server import LoopbackServer, running_server
from tests_support import ROOT

RECORDED = [
    json.loads(file.read_text()) for file in sorted((ROOT / "tests/data").glob("*-sign-ins.json"))
]
SERVER = "[server]\nroot_url = https://grafana.example.com\n"

ON_PURPOSE = {
    "role None": "there is no such role before 10.2",
    "odd role in the token, role in UserInfo": "before 10.1 the search ended at a word that is no "
    "role; since then it goes on (extractRoleAndAdminOptional)",
    "organizations: in a claim": "a verified claim is as good as an API",
    "nobody new: somebody": "it is carried over as auto_sign_up, for Grafana knows whom it knows",
    "role words, not synced": "10.0 gives new people the role all the same; the key says not to",
}
"""Where they part, and why: whole sections, one of their people, or people in all sections that
have a role path."""


@pytest.fixture(scope="module")
def idp() -> Iterator[LoopbackServer]:
    with running_server() as server:
        yield server


def settings_of(ini: str, idp: LoopbackServer, directory: Path, *, openid: bool) -> Settings:
    """The section as the importer carries it over, with the issuer that it asks for where the
    provider gives ID tokens."""
    text = SERVER + ini.replace("{idp}", idp.url)
    text = text if openid else text.replace("scopes = openid ", "scopes = ")
    result = import_grafana(read_grafana_files([("grafana.ini", text)]))
    for name, secret in result.secrets.items():
        (directory / name).write_text(secret)
        (directory / name).chmod(0o600)
    raw = tomllib.loads(result.text)
    if openid:
        raw["source"][0] |= {"issuer": idp.url, "jwk_set_url": f"{idp.url}/jwks"}
    return parse_settings(raw, {}, base=directory, origin="embedjwt.toml")


def signed_in(settings: Settings, idp: LoopbackServer, person: dict[str, Any]) -> dict[str, Any]:
    attempt = attempted(settings)
    provide(idp, person, attempt.nonce)
    identity = admitted(settings, completed(settings, attempt))
    return {
        "login": identity.login,
        "email": identity.email,
        "name": identity.name,
        "is_grafana_admin": identity.is_grafana_admin,
        "org_roles": {str(org): role for org, role in identity.org_roles.items()},
    }


def provide(idp: LoopbackServer, person: dict[str, Any], nonce: str) -> None:
    issued = {"iss": idp.url, "aud": "grafana", "iat": NOW, "exp": NOW + 600, "nonce": nonce}
    tokens = {"access_token": "opaque", "token_type": "Bearer", "expires_in": 600}
    claims = {"id_token": person["id_token"], **person["tokens"]}
    tokens |= {name: sign({**said, **issued}) for name, said in claims.items() if said is not None}
    idp.answers.clear()
    idp.answers_json("/token", tokens)
    idp.answers_json("/jwks", JWKS)
    for path, document in person["api"].items():
        idp.answers[f"/api{path}"] = with_bearer("opaque", document)


@pytest.mark.parametrize(
    ("section", "person"),
    [
        pytest.param(
            section, person, id=f"{recorded['version']}-{section['name']}-{person['name']}"
        )
        for recorded in RECORDED
        for section in recorded["settings"]
        for person in section["people"]
    ],
)
def test_the_same_person(
    idp: LoopbackServer, tmp_path: Path, section: dict[str, Any], person: dict[str, Any]
) -> None:
    names = {section["name"], f"{section['name']}: {person['name']}"}
    if "role_attribute_path" in section["ini"]:
        names.add(person["name"])
    openid = person["id_token"] is not None or bool(person["tokens"])
    there = person["became"]
    try:
        settings = settings_of(section["ini"], idp, tmp_path, openid=openid)
        here = signed_in(settings, idp, person)
    except EmbedJWTError as error:
        here = {"refused": error.code}
    agree = here.keys() == {"refused"} if there.get("refused") else here == there
    assert agree != bool(names & ON_PURPOSE.keys()), (here, there)
