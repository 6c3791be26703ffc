"""Asks a real Grafana about many tokens under many settings, and keeps its answers as data.

``PYTHONPATH=tests python tests/real_grafana/record_tokens.py --home DIRECTORY`` starts the Grafana
that is installed there, once for each settings, and writes
``tests/data/grafana-<version>-tokens.json``; ``test_recorded_tokens.py`` then holds the model
against it, on machines without any Grafana. Grafana gets the keys as a file, for before 10.1 it
takes none over http.
"""

from __future__ import annotations

import base64
import hmac
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from recording import Installed, main

from embedjwt.demo.real_grafana import DemoFailed

HEADER = "X-JWT-Assertion"
ISSUER, AUDIENCE = "https://embed.example.com", "https://grafana.example.com"

EC256 = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
KEYS: dict[str, Any] = {
    "ES256": EC256,
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "HS256": b"a secret of at least sixty-four bytes, as HS512 would have it....",
}
"""By the first algorithm that each is for, which is its ``kid`` as well."""
PEM = EC256.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)

PRINTED = {
    "enabled": "true",
    "header_name": HEADER,
    "url_login": "true",
    "jwk_set_file": "{jwks}",
    "expect_claims": json.dumps({"iss": ISSUER, "aud": AUDIENCE}),
    "username_claim": "login",
    "email_claim": "email",
    "auto_sign_up": "true",
    "role_attribute_path": "role",
    "role_attribute_strict": "true",
    "allow_assign_grafana_admin": "false",
}
"""As ``embedjwt grafana-config`` has it."""


def _public(key: Any, kid: str = "") -> dict[str, Any]:
    if isinstance(key, bytes):
        value = base64.urlsafe_b64encode(key).rstrip(b"=").decode()
        return {"kty": "oct", "k": value, "kid": kid}
    kinds = {
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }
    [algorithm] = [found for kind, found in kinds.items() if isinstance(key, kind)]
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid}


JWKS = {"keys": [_public(key, kid) for kid, key in KEYS.items()]}


def _signed(payload: bytes, key: Any, alg: str, header: Mapping[str, Any]) -> str:
    if not isinstance(key, bytes):
        return jwt.api_jws.PyJWS().encode(payload, key, alg, dict(header))
    signing_input = b".".join(
        base64.urlsafe_b64encode(part).rstrip(b"=")
        for part in (json.dumps({"alg": alg, **header}).encode(), payload)
    )  # PyJWT would not sign with a public key
    digest = hmac.digest(key, signing_input, f"sha{alg[2:]}")
    return f"{signing_input.decode()}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


@dataclass(frozen=True)
class Case:
    """A token that is good but for what is given here, with text ``before`` and ``after`` it.

    ``where`` it goes: "header", "url", "nowhere", or a header's name. Those of the ``claims`` that
    ``from_now`` made become times.
    """

    name: str
    claims: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    key: Any = EC256
    alg: str = "ES256"
    header: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes | None = None
    before: str = ""
    after: str = ""
    where: str = "header"

    def token(self, person: str, now: int) -> str:
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": f"idp|{person}",
            "login": person,
            "email": f"{person}@example.com",
            "name": person.title(),
            "role": "Editor",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
        }
        times = {
            name: now + value["now"]
            for name, value in self.claims.items()
            if isinstance(value, dict) and "now" in value
        }
        claims = {
            name: value
            for name, value in {**claims, **self.claims, **times}.items()
            if name not in self.without
        }
        payload = self.payload or json.dumps(claims).encode()
        header = {"kid": self.alg, "typ": "JWT", **self.header}
        header = {name: value for name, value in header.items() if value is not None}
        return f"{self.before}{_signed(payload, self.key, self.alg, header)}{self.after}"


def c(name: str, /, **claims: Any) -> Case:
    """A token that is good but for these claims."""
    return Case(name, claims)


def from_now(seconds: float) -> dict[str, float]:
    return {"now": seconds}


def jose_cases() -> Iterator[Case]:
    yield Case("as embedjwt makes it")
    for alg in ("ES384", "ES512", "RS256", "EdDSA", "HS256"):
        yield Case(alg, key=KEYS[alg], alg=alg)
    for alg in ("RS384", "RS512", "PS256", "PS384", "PS512"):
        yield Case(alg, key=KEYS["RS256"], alg=alg, header={"kid": "RS256"})
    for alg in ("HS384", "HS512"):
        yield Case(alg, key=KEYS["HS256"], alg=alg, header={"kid": "HS256"})
    yield Case("HMAC with the public key", key=PEM, alg="HS256", header={"kid": "ES256"})
    yield Case("alg none", key=None, alg="none", header={"kid": "ES256"})
    yield Case("another's signature", key=STRANGER)
    yield Case("the key of another kid", header={"kid": "ES384"})
    yield Case("kid unknown", header={"kid": "unknown"})
    yield Case("no kid", header={"kid": None})
    yield Case("kid empty", header={"kid": ""})
    yield Case("kid in other letters", header={"kid": "es256"})
    yield Case("no typ", header={"typ": None})
    yield Case("typ at+jwt", header={"typ": "at+jwt"})
    yield Case("crit of an unknown extension", header={"crit": ["exp"], "exp": 1})
    yield Case("crit b64", header={"crit": ["b64"], "b64": True})
    yield Case("an embedded key", key=STRANGER, header={"jwk": _public(STRANGER)})
    yield Case("jku elsewhere", key=STRANGER, header={"jku": "http://127.0.0.1:9/jwks"})
    yield Case("Bearer", before="Bearer ")
    yield Case("bearer", before="bearer ")
    yield Case("Bearer twice", before="Bearer Bearer ")
    yield Case("padded", after="==")
    yield Case("padded in the middle", before="=")
    yield Case("a dot too much", after=".")
    yield Case("cut short", after="A")
    yield Case("no object", payload=b'["sub"]')
    yield Case("no JSON", payload=b"sub")
    yield Case("a claim twice", payload=b'{"sub": "a", "sub": "b"}')
    yield Case("in the URL", where="url")
    yield Case("Bearer in the URL", where="url", before="Bearer ")
    yield Case("in another header", where="Authorization")
    yield Case("in another header, as Bearer", where="Authorization", before="Bearer ")
    yield Case("nowhere", where="nowhere")


def claim_cases() -> Iterator[Case]:
    for seconds in (3600, 30, 0, -30, -50, -70, -3600):
        yield c(f"exp {seconds:+}", exp=from_now(seconds))
    for seconds in (-3600, -30, 30, 50, 70, 3600):
        yield c(f"nbf {seconds:+}", nbf=from_now(seconds))
        yield c(f"iat {seconds:+}", iat=from_now(seconds))
    for name in ("exp", "nbf", "iat"):
        yield Case(f"no {name}", without=(name,))
        yield c(f"{name} null", **{name: None})
        yield c(f"{name} a string", **{name: "1800000000"})
        yield c(f"{name} true", **{name: True})
        yield c(f"{name} a list", **{name: [1]})
        yield c(f"{name} 0", **{name: 0})
        yield c(f"{name} negative", **{name: -1})
    yield c("exp a fraction", exp=from_now(90.5))
    yield c("exp huge", exp=10**15)
    yield c("exp beyond 64 bits", exp=10**20)
    for name in ("iss", "aud", "sub"):
        yield Case(f"no {name}", without=(name,))
        yield c(f"{name} empty", **{name: ""})
        yield c(f"{name} null", **{name: None})
        yield c(f"{name} a number", **{name: 5})
        yield c(f"{name} an object", **{name: {"a": 1}})
    yield c("sub blank", sub=" ")
    yield c("sub a list", sub=["a"])
    yield c("iss of another", iss="https://other.example.com")
    yield c("iss with a slash", iss=ISSUER + "/")
    yield c("iss a list", iss=[ISSUER])
    yield c("aud of another", aud="https://other.example.com")
    yield c("aud in other letters", aud=AUDIENCE.upper())
    yield c("aud a list", aud=[AUDIENCE])
    yield c("aud among others", aud=["https://other.example.com", AUDIENCE])
    yield c("aud an empty list", aud=[])
    yield c("aud a list with a number", aud=[AUDIENCE, 5])
    yield c("aud a list with null", aud=[AUDIENCE, None])
    yield c("jti a number", jti=5)
    yield c("jti null", jti=None)
    yield c("300 groups", groups=[f"group-{number:03}" for number in range(300)])
    yield c("16 KB", padding="x" * 16_000)
    yield c("deep", deep=json.loads("[" * 100 + "]" * 100))


def identity_cases() -> Iterator[Case]:
    for claim in ("login", "email", "name"):
        yield Case(f"no {claim}", without=(claim,))
        yield c(f"{claim} empty", **{claim: ""})
        yield c(f"{claim} null", **{claim: None})
        yield c(f"{claim} a number", **{claim: 5})
        yield c(f"{claim} a list", **{claim: ["a"]})
    yield Case("neither login nor email", without=("login", "email"))
    yield c("login with spaces", login="Ann of the Hill")
    yield c("login not in ASCII", login="ångström", email="angstrom@example.com")
    yield c("login of 190 letters", login="l" * 190)
    yield c("login is an address", login="mixed@example.com", email="mixed@example.com")


def role_cases() -> Iterator[Case]:
    yield Case("no role", without=("role",))
    for role in ("Viewer", "Editor", "Admin", "GrafanaAdmin", "None"):
        yield c(f"role {role}", role=role)
        yield c(f"role {role} in small letters", role=role.lower())
    roles = (
        "",
        " Viewer",
        "Viewer ",
        "VIEWER",
        "Owner",
        None,
        1,
        True,
        ["Viewer"],
        {"a": "Viewer"},
    )
    for number, role in enumerate(roles):
        yield c(f"role odd {number}", role=role)


def identities_and_roles() -> Iterator[Case]:
    yield from identity_cases()
    yield from role_cases()


@dataclass(frozen=True)
class Settings:
    """What ``[auth.jwt]`` and ``[users]`` say, and the cases to try under that."""

    name: str
    cases: tuple[Case, ...]
    jwt: Mapping[str, str | None] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)

    def ini(self, files: Mapping[str, str]) -> str:
        """The sections; ``None`` leaves a key out."""
        keys = {k: v for k, v in {**PRINTED, **self.jwt}.items() if v is not None}
        for file, path in files.items():
            keys = {k: v.replace("{" + file + "}", path) for k, v in keys.items()}
        lines = ["[auth.jwt]", *(f"{name} = {value}" for name, value in keys.items())]
        lines += ["[users]", *(f"{name} = {value}" for name, value in self.users.items())]
        return "\n".join([*lines, ""])


ONE = (Case("as embedjwt makes it"),)
ROLES = tuple(role_cases())

ALL = (
    Settings("as printed: signatures", tuple(jose_cases())),
    Settings("as printed: claims", tuple(claim_cases())),
    Settings("as printed: identities and roles", tuple(identities_and_roles())),
    Settings("server admins are assigned", ROLES, {"allow_assign_grafana_admin": "true"}),
    Settings("roles need not be", ROLES, {"role_attribute_strict": "false"}),
    Settings(
        "roles need not be, server admins are assigned",
        ROLES,
        {"role_attribute_strict": "false", "allow_assign_grafana_admin": "true"},
    ),
    Settings("no role path, strict", ROLES, {"role_attribute_path": None}),
    Settings(
        "no role path", ROLES, {"role_attribute_path": None, "role_attribute_strict": "false"}
    ),
    Settings(
        "new people are editors",
        ROLES,
        {"role_attribute_strict": "false"},
        {"auto_assign_org_role": "Editor"},
    ),
    Settings(
        "new people are nobody: before 10.2 no role at all",
        ROLES,
        {"role_attribute_strict": "false"},
        {"auto_assign_org_role": "None"},
    ),
    Settings("roles stay as they are", ROLES, {"skip_org_role_sync": "true"}),
    Settings(
        "a role by an expression",
        (
            c("in the group", groups=["staff", "admins"]),
            c("not in the group", groups=["staff"]),
            Case("no groups"),
            c("groups no list", groups="admins"),
            c("groups with a number", groups=[1, "admins"]),
            c("groups null", groups=None),
        ),
        {"role_attribute_path": "contains(groups[*], 'admins') && 'Admin' || 'Viewer'"},
    ),
    Settings("an expression that does not compile", ONE, {"role_attribute_path": "contains("}),
    Settings("no username_claim", tuple(identity_cases()), {"username_claim": None}),
    Settings("no email_claim", tuple(identity_cases()), {"email_claim": None}),
    Settings("neither claim", ONE, {"username_claim": None, "email_claim": None}),
    Settings("sub is the login", tuple(identity_cases()), {"username_claim": "sub"}),
    Settings("nobody is signed up", ONE, {"auto_sign_up": "false"}),
    Settings("no URL login", tuple(jose_cases())[-5:], {"url_login": "false"}),
    Settings("no header", tuple(jose_cases())[-5:], {"header_name": None}),
    Settings("Authorization", tuple(jose_cases())[-5:], {"header_name": "Authorization"}),
    Settings("off", ONE, {"enabled": "false"}),
    Settings("nothing is expected", tuple(claim_cases()), {"expect_claims": "{}"}),
    Settings(
        "two audiences are expected",
        (
            *ONE,
            c("both", aud=["b", "a"]),
            c("both and more", aud=["a", "x", "b"]),
            c("one", aud="a"),
            c("one in a list", aud=["a"]),
            c("none", aud=[]),
            c("another", aud="x"),
        ),
        {"expect_claims": '{"aud": ["a", "b"]}'},
    ),
    Settings(
        "a subject is expected", (*ONE, c("this", sub="s")), {"expect_claims": '{"sub": "s"}'}
    ),
    Settings(
        "other claims are expected",
        (
            *ONE,
            c("these", tenant={"id": 1, "of": ["a", "b"]}, ok=True),
            c("a number of the other kind", tenant={"id": 1.0, "of": ["a", "b"]}, ok=True),
            c("one key more", tenant={"id": 1, "of": ["a", "b"], "x": 0}, ok=True),
            c("the order of a list", tenant={"id": 1, "of": ["b", "a"]}, ok=True),
            c("1 for true", tenant={"id": 1, "of": ["a", "b"]}, ok=1),
            c("null", tenant=None, ok=True),
        ),
        {"expect_claims": '{"tenant": {"id": 1, "of": ["a", "b"]}, "ok": true}'},
    ),
    Settings(
        "times are expected",
        (*ONE, c("this", exp=4_000_000_000)),
        {"expect_claims": '{"exp": 4000000000}'},
    ),
    Settings(
        "a key file",
        (
            *ONE,
            Case("no kid", header={"kid": None}),
            Case("kid empty", header={"kid": ""}),
            Case("another's", key=STRANGER, header={"kid": None}),
        ),
        {"jwk_set_file": None, "key_file": "{pem}"},
    ),
    Settings("keys from two places", ONE, {"key_file": "{pem}"}),
    Settings("no keys", ONE, {"jwk_set_file": None}),
    Settings("no keys, and off", ONE, {"jwk_set_file": None, "enabled": "false"}),
    Settings("http", ONE, {"jwk_set_file": None, "jwk_set_url": "http://127.0.0.1:9/jwks"}),
    *(
        Settings(f"expectations odd {number}", ONE, {"expect_claims": odd})
        for number, odd in enumerate(
            ("{", "[]", "null", "5", '"a"', '{"iss": 1}', '{"aud": 1}', '{"aud": ["a", 1]}',
             '{"sub": null}', '{"aud": []}', '{"iss": ""}')
        )
    ),
)  # fmt: skip


def record(grafana: Installed, settings: Settings, number: int) -> dict[str, Any]:
    """What this Grafana does under the settings, case by case."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        (directory / "jwks.json").write_text(json.dumps(JWKS))
        (directory / "key.pem").write_bytes(PEM)
        files = {"jwks": str(directory / "jwks.json"), "pem": str(directory / "key.pem")}
        told = {
            "name": settings.name,
            "ini": settings.ini({"jwks": "/etc/grafana/jwks.json", "pem": "/etc/grafana/key.pem"}),
        }
        try:
            with grafana.running(settings.ini(files), directory) as url:
                cases = [
                    _answer(url, case, f"p{number}-{index}")
                    for index, case in enumerate(settings.cases)
                ]
                return {**told, "starts": True, "cases": cases}
        except DemoFailed as error:
            last = error.hint.splitlines()[-1]
            return {**told, "starts": False, "says": last, "cases": []}


def _answer(url: str, case: Case, person: str) -> dict[str, Any]:
    now = int(time.time())
    token = case.token(person, now)
    headers, params = {}, {}
    if case.where == "url":
        params["auth_token"] = token
    elif case.where != "nowhere":
        headers[HEADER if case.where == "header" else case.where] = token
    asked = {"headers": headers, "params": params, "timeout": 20}
    person_is = requests.get(f"{url}/api/user", **asked)
    told = {"name": case.name, "where": case.where, "now": now, "token": token}
    told["status"] = person_is.status_code
    if person_is.status_code != 200:
        return {**told, "says": person_is.json().get("message", "")}
    who = person_is.json()
    orgs = requests.get(f"{url}/api/user/orgs", **asked).json()
    return told | {
        "login": who["login"],
        "email": who["email"],
        "person": who["name"],
        "is_grafana_admin": who["isGrafanaAdmin"],
        "org_roles": {str(org["orgId"]): org["role"] for org in orgs},
    }


if __name__ == "__main__":
    main("tokens", ALL, record, jwks=JWKS)
