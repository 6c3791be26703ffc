"""Each front door, from its documented assertion to the claims that Grafana gets."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
import sources_kit as kit
from flask import Flask
from front_door_kit import CLIENT, ENTRA, KID, SIGNER, alb_token, principal
from werkzeug.test import TestResponse

from embedjwt.config import JwtSource, Settings
from embedjwt.config.front_doors import FRONT_DOORS
from loopback_server import LoopbackServer, running_server
from tests_support import FakeClock

ORIGIN = "https://app.example.com"
MINUTE = {"iat": kit.NOW - 5, "exp": kit.NOW + 60}

Claims = dict[str, Any]


@dataclass(frozen=True)
class Door:
    """A front door: what an operator writes, what it sends, and who Grafana sees then."""

    settings: dict[str, Any]
    header: str
    claims: Claims
    sent: Callable[[Claims], str]
    seen: Claims
    other_issuer: Claims = field(default_factory=dict)
    other_audience: Claims = field(default_factory=dict)


def rs256(claims: Claims) -> str:
    return kit.token(claims, typ="JWT")


def es256(claims: Claims) -> str:
    return kit.token(claims, key=kit.EC_KEY, alg="ES256", kid="ec-1")


def by_alb(claims: Claims) -> str:
    header = {name: claims[name] for name in ("iss", "client", "exp") if name in claims}
    told = {name: value for name, value in claims.items() if name not in ("iss", "client")}
    return alb_token(told, **header)


def by_app_service(claims: Claims) -> str:
    return principal([(name, value) for name, value in ENTRA if name != "exp"] + [*claims.items()])


DOORS = {
    # developers.cloudflare.com: Application token, identity-based authentication
    "cloudflare-access": Door(
        settings={"domain": "team.cloudflareaccess.com", "audience": ["32eafc76"]},
        header="Cf-Access-Jwt-Assertion",
        claims={
            **MINUTE,
            "aud": ["32eafc76"],
            "email": "jane@example.com",
            "nbf": kit.NOW - 5,
            "iss": "https://team.cloudflareaccess.com",
            "type": "app",
            "identity_nonce": "6ei69kawdKzMIAPF",
            "sub": "7335d417-61da-459d-899c-0a01c76a2f94",
            "country": "US",
            "custom": {"name": "Jane Doe", "groups": ["dev", "ops"]},
        },
        sent=rs256,
        seen={
            "sub": "7335d417-61da-459d-899c-0a01c76a2f94",
            "email": "jane@example.com",
            "name": "Jane Doe",
            "groups": ["dev", "ops"],
        },
        other_issuer={"iss": "https://other.cloudflareaccess.com"},
        other_audience={"aud": ["another-application"]},
    ),
    # cloud.google.com: Securing your app with signed headers
    "google-iap": Door(
        settings={"audience": ["/projects/123456/global/backendServices/98765"]},
        header="X-Goog-IAP-JWT-Assertion",
        claims={
            **MINUTE,
            "iss": "https://cloud.google.com/iap",
            "aud": "/projects/123456/global/backendServices/98765",
            "sub": "accounts.google.com:1234567890",
            "email": "jane@example.com",
            "azp": "/projects/123456/global/backendServices/98765",
            "hd": "example.com",
            "google": {"access_levels": ["accessPolicies/1/accessLevels/recent"]},
        },
        sent=es256,
        seen={"sub": "accounts.google.com:1234567890", "email": "jane@example.com"},
        other_issuer={"iss": "https://accounts.google.com"},
        other_audience={"aud": "/projects/123456/global/backendServices/11111"},
    ),
    # docs.aws.amazon.com: Authenticate users using an Application Load Balancer
    "aws-alb": Door(
        settings={"issuer": kit.ISSUER, "audience": [CLIENT], "signer": [SIGNER]},
        header="X-Amzn-Oidc-Data",
        claims={
            "exp": kit.NOW + 60,
            "iss": kit.ISSUER,
            "client": CLIENT,
            "sub": "1234567890",
            "name": "Jane Doe",
            "email": "jane@example.com",
            "username": "jane",
        },
        sent=by_alb,
        seen={
            "sub": "1234567890",
            "login": "jane",
            "email": "jane@example.com",
            "name": "Jane Doe",
        },
        other_issuer={"iss": "https://other.example.com"},
        other_audience={"client": "another"},
    ),
    # pomerium.com: Identity verification (aud and iss are the host of the route since 0.22)
    "pomerium": Door(
        settings={"domain": "embed.example.com"},
        header="X-Pomerium-Jwt-Assertion",
        claims={
            **MINUTE,
            "iss": "embed.example.com",
            "aud": ["embed.example.com"],
            "jti": "9f1c",
            "sub": "auth0|5f1b",
            "user": "auth0|5f1b",
            "sid": "a-session",
            "email": "jane@example.com",
            "name": "Jane Doe",
            "groups": ["dev", "ops"],
        },
        sent=es256,
        seen={
            "sub": "auth0|5f1b",
            "email": "jane@example.com",
            "name": "Jane Doe",
            "groups": ["dev", "ops"],
        },
        other_issuer={"iss": "authenticate.example.com"},
        other_audience={"aud": ["another.example.com"]},
    ),
    # learn.microsoft.com: Work with user identities in Azure App Service authentication
    "azure-app-service": Door(
        settings={"type": "proxy"},
        header="X-MS-CLIENT-PRINCIPAL",
        claims={"exp": str(kit.NOW + 60)},
        sent=by_app_service,
        seen={
            "sub": "9vckmEGF7zDKk1YzIY8k0t1_EAPaXoeHyPRn6f413zM",
            "email": "jane@example.com",
            "name": "Jäne Dœ",
            "groups": ["f08bbbea", "14a87ffa"],
        },
    ),
}
SIGNED = [name for name, door in DOORS.items() if door.other_issuer]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(kit.NOW)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with running_server() as server:
        keys = [kit.jwk(kit.RSA_KEY, "rsa-1", use="sig"), kit.jwk(kit.EC_KEY, "ec-1", alg="ES256")]
        server.answers_json("/keys", {"keys": keys})
        server.answers_bytes(f"/keys/{KID}", kit.pem(kit.EC_KEY))
        yield server


@pytest.fixture
def app(make_app: Callable[..., Flask], server: LoopbackServer) -> Callable[[str], Flask]:
    """The application behind a front door, whose keys are on loopback."""

    def build(name: str) -> Flask:
        source = {"type": "jwt", "preset": name, **DOORS[name].settings}
        if source["type"] == "jwt":
            source["jwks_url"] = f"{server.url}/keys"
        web = {"allowed_origins": [ORIGIN], "trusted_proxies": ["127.0.0.1"]}
        return make_app(source=[source], web=web)

    return build


def ask(app: Flask, headers: Mapping[str, str]) -> TestResponse:
    return app.test_client().post("/v1/embed-token", json={}, headers={"Origin": ORIGIN, **headers})


@pytest.mark.parametrize("name", DOORS)
def test_who_grafana_sees(app, name) -> None:
    door = DOORS[name]
    answer = ask(app(name), {door.header: door.sent(door.claims)})
    assert answer.status_code == 200, answer.text
    claims = jwt.decode(answer.get_json()["token"], options={"verify_signature": False})
    told = {claim: claims.get(claim) for claim in ("sub", "login", "email", "name", "groups")}
    nothing = {"login": door.seen["email"], "name": None, "groups": None}
    assert told == {**nothing, **door.seen}
    assert claims["role"] == "Viewer"
    assert claims["exp"] == kit.NOW + 60  # no longer than the assertion


@pytest.mark.parametrize("name", DOORS)
def test_nobody_without_the_header(app, name) -> None:
    answer = ask(app(name), {"X-Forwarded-User": "jane", "X-Goog-Authenticated-User-Email": "x"})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "login_required")


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Origin": ""}, "origin_not_allowed"),
        ({"Origin": "https://evil.example.com"}, "origin_not_allowed"),
        ({"Content-Type": "text/plain"}, "content_type_unsupported"),
    ],
    ids=["no-origin", "other-origin", "no-json"],
)
def test_a_page_elsewhere_cannot_ask_in_somebodys_name(app, name, headers, code) -> None:
    door = DOORS[name]
    sent = {"Origin": ORIGIN, "Content-Type": "application/json", **headers}
    given = {field: value for field, value in sent.items() if value}
    answer = (
        app(name)
        .test_client()
        .post("/v1/embed-token", data=b"", headers={**given, door.header: door.sent(door.claims)})
    )
    assert answer.get_json()["code"] == code


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ("other_issuer", "issuer_unknown"),
        ("other_audience", "audience_mismatch"),
        ({"exp": kit.NOW - 60}, "token_expired"),
        ({"sub": ""}, "claim_invalid"),
    ],
    ids=["issuer", "audience", "expired", "no-person"],
)
def test_an_assertion_that_is_not_for_us(app, name, changes, code) -> None:
    door = DOORS[name]
    changed = getattr(door, changes) if isinstance(changes, str) else changes
    answer = ask(app(name), {door.header: door.sent({**door.claims, **changed})})
    assert (answer.status_code, answer.get_json()["code"]) == (401, code)


@pytest.mark.parametrize("name", SIGNED)
def test_an_assertion_that_somebody_else_signed(app, name) -> None:
    door = DOORS[name]
    header, payload, signature = door.sent(door.claims).split(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)))
    raw[0] ^= 1
    forged = base64.urlsafe_b64encode(raw).decode()
    forged = forged if "=" in signature else forged.rstrip("=")
    answer = ask(app(name), {door.header: f"{header}.{payload}.{forged}"})
    assert answer.get_json()["code"] == "signature_invalid"


@pytest.mark.parametrize("name", SIGNED)
def test_another_algorithm_than_the_documented_one(app, name) -> None:
    door = DOORS[name]
    other = es256 if name == "cloudflare-access" else rs256
    text = alb_token(alg="RS256") if name == "aws-alb" else other(door.claims)
    assert ask(app(name), {door.header: text}).get_json()["code"] == "algorithm_not_allowed"


def test_a_service_token_of_cloudflare_is_no_person(app) -> None:
    door = DOORS["cloudflare-access"]
    claims = {**MINUTE, "type": "app", "aud": ["32eafc76"], "iss": door.claims["iss"]}
    service = {**claims, "common_name": "e367826f93b8d71185e03fe518aff3b4.access", "sub": ""}
    answer = ask(app("cloudflare-access"), {door.header: door.sent(service)})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "claim_invalid")


def test_entra_people_without_an_address_have_a_user_name(app) -> None:
    without = [claim for claim in ENTRA if not claim[0].endswith(("emailaddress", "exp"))]
    answer = ask(app("azure-app-service"), {"X-MS-CLIENT-PRINCIPAL": principal(without)})
    claims = jwt.decode(answer.get_json()["token"], options={"verify_signature": False})
    assert claims["email"] == "jane@example.com"


@pytest.mark.parametrize(
    ("name", "issuer", "keys"),
    [
        (
            "cloudflare-access",
            "https://team.cloudflareaccess.com",
            "https://team.cloudflareaccess.com/cdn-cgi/access/certs",
        ),
        (
            "google-iap",
            "https://cloud.google.com/iap",
            "https://www.gstatic.com/iap/verify/public_key-jwk",
        ),
        (
            "pomerium",
            "embed.example.com",
            "https://embed.example.com/.well-known/pomerium/jwks.json",
        ),
    ],
)
def test_the_documented_places(
    make_settings: Callable[..., Settings], name: str, issuer: str, keys: str
) -> None:
    settings = make_settings(source=[{"type": "jwt", "preset": name, **DOORS[name].settings}])
    (source,) = settings.source
    assert isinstance(source, JwtSource)
    assert (source.issuer, source.jwks_url, source.header) == (issuer, keys, DOORS[name].header)


def test_every_front_door_is_tested_here() -> None:
    assert DOORS.keys() == FRONT_DOORS.keys()


def test_a_source_beside_a_front_door_at_its_header_is_guarded_as_well(
    make_app: Callable[..., Flask], server: LoopbackServer
) -> None:
    header = "X-Goog-IAP-JWT-Assertion"
    other = {"type": "jwt", "name": "other", "issuer": kit.ISSUER, "audience": [kit.AUDIENCE]}
    other |= {"header": header.lower(), "jwks_url": f"{server.url}/keys"}
    iap = {"type": "jwt", "preset": "google-iap", **DOORS["google-iap"].settings}
    app = make_app(source=[other, {**iap, "jwks_url": f"{server.url}/keys"}])
    claims = kit.claims(email="jane@example.com")
    for sent in (rs256(claims), es256(DOORS["google-iap"].claims)):
        assert ask(app, {header: sent}).status_code == 200
        answer = app.test_client().post("/v1/embed-token", json={}, headers={header: sent})
        assert json.loads(answer.data)["code"] == "origin_not_allowed"
