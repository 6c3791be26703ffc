"""The model of Grafana's JWT client: one row per rule it applies."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from embedjwt.grafana.verifier import JwtAuthSettings, Verdict, read_ini, verify

NOW = 1_800_000_000
EC = ec.generate_private_key(ec.SECP256R1())
OTHER_EC = ec.generate_private_key(ec.SECP256R1())
EC384 = ec.generate_private_key(ec.SECP384R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ED = ed25519.Ed25519PrivateKey.generate()
SECRET = b"s" * 64

SETTINGS = JwtAuthSettings(
    enabled=True,
    header_name="X-JWT-Assertion",
    url_login=True,
    jwk_set_url="https://embed.example.com/.well-known/jwks.json",
    expect_claims='{"iss": "https://embed.example.com", "aud": "grafana"}',
    username_claim="login",
    email_claim="email",
    auto_sign_up=True,
    role_attribute_path="role",
    role_attribute_strict=True,
    allow_embedding=True,
)
CLAIMS = {
    "iss": "https://embed.example.com",
    "aud": "grafana",
    "sub": "u1",
    "login": "ann",
    "email": "ann@example.com",
    "role": "Editor",
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 300,
}


_ALGORITHMS = {
    "RSAPrivateKey": jwt.algorithms.RSAAlgorithm,
    "ECPrivateKey": jwt.algorithms.ECAlgorithm,
    "Ed25519PrivateKey": jwt.algorithms.OKPAlgorithm,
    "Ed448PrivateKey": jwt.algorithms.OKPAlgorithm,
}


def jwk(key, kid="k1"):
    if isinstance(key, bytes):
        encoded = base64.urlsafe_b64encode(key).rstrip(b"=").decode()
        return {"kty": "oct", "k": encoded, "kid": kid}
    algorithm = _ALGORITHMS[type(key).__name__]
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid}


JWKS = {
    "keys": [
        jwk(EC),
        jwk(EC384, "p384"),
        jwk(RSA, "rsa"),
        jwk(ED, "ed"),
        jwk(SECRET, "hs"),
    ]
}


def sign(claims=None, *, key=EC, alg="ES256", kid="k1", headers=None):
    named = {} if kid is None else {"kid": kid}
    payload = json.dumps(CLAIMS if claims is None else claims).encode()
    headers = {**named, **(headers or {})}
    return jwt.api_jws.PyJWS().encode(payload, key, algorithm=alg, headers=headers)


def without(*names):
    return {name: value for name, value in CLAIMS.items() if name not in names}


def raw(header, payload, signature="AA"):
    def part(value):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    return f"{part(header)}.{part(payload)}.{signature}"


def signed_with_secret(secret, kid):
    signing_input = raw({"alg": "HS256", "kid": kid}, CLAIMS, "").rstrip(".")
    digest = hmac.digest(secret, signing_input.encode(), "sha256")
    return f"{signing_input}.{base64.urlsafe_b64encode(digest).decode()}"


def judge(token=None, *, settings=SETTINGS, now=NOW, jwks=JWKS, orgs=None) -> Verdict:
    return verify(sign() if token is None else token, settings, jwks, now=now, orgs=orgs)


def test_a_good_token_is_taken_as_it_stands():
    verdict = judge()

    assert verdict.as_json() | {"steps": []} == {
        "selected": True,
        "accepted": True,
        "reason": "ok",
        "detail": "Grafana takes this token",
        "login": "ann",
        "email": "ann@example.com",
        "name": "",
        "role": "Editor",
        "is_grafana_admin": False,
        "org_roles": {"1": "Editor"},
        "groups": [],
        "warnings": [],
        "steps": [],
    }
    assert verdict.auth_id == "u1"
    assert all(step.ok and step.text and step.source.startswith("pkg/") for step in verdict.steps)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"enabled": False}, "disabled", id="disabled"),
        pytest.param({"header_name": ""}, "header_name_unset", id="no-header-name"),
        pytest.param({"jwk_set_url": ""}, "key_set_not_configured", id="no-keys"),
        pytest.param({"jwk_set_file": "/k"}, "key_set_ambiguous", id="two-sources"),
        pytest.param({"jwk_set_url": "http://e/j"}, "jwk_set_url_not_https", id="http"),
        pytest.param(
            {"jwk_set_url": "https://[e/j", "app_mode": "development"},
            "jwk_set_url_not_https",
            id="no-url",
        ),
        pytest.param({"expect_claims": "{"}, "expect_claims_invalid", id="expect-no-json"),
        pytest.param({"expect_claims": "[]"}, "expect_claims_invalid", id="expect-a-list"),
        pytest.param({"expect_claims": '{"iss": 1}'}, "expect_claims_invalid", id="expect-iss"),
        pytest.param({"expect_claims": '{"aud": [1]}'}, "expect_claims_invalid", id="expect-aud"),
    ],
)
def test_settings_under_which_no_token_is_looked_at(change, reason):
    verdict = judge(settings=replace(SETTINGS, **change))

    assert (verdict.selected, verdict.accepted, verdict.reason) == (False, False, reason)


def test_http_keys_are_allowed_in_development():
    settings = replace(SETTINGS, jwk_set_url="http://localhost/j", app_mode="development")

    assert judge(settings=settings).accepted
    before = judge(settings=replace(settings, version=(10, 0)))
    assert (before.accepted, before.reason) == (False, "jwk_set_url_not_https")


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        pytest.param("", "no_token", id="empty"),
        pytest.param("Bearer ", "no_token", id="bearer-only"),
        pytest.param("abc", "not_a_jwt", id="one-part"),
        pytest.param("a.b.c.d", "not_a_jwt", id="four-parts"),
        pytest.param("bearer " + sign(), "not_a_jwt", id="bearer-in-lower-case"),
        pytest.param("é.é.é", "not_a_jwt", id="not-ascii"),
        pytest.param("+/+/.+/+/.+/+/", "not_a_jwt", id="base64-not-url"),
        pytest.param(raw(b"{", CLAIMS), "not_a_jwt", id="header-no-json"),
        pytest.param(raw([], CLAIMS), "not_a_jwt", id="header-a-list"),
        pytest.param(raw({"alg": "ES256", "kid": 7}, CLAIMS), "not_a_jwt", id="kid-a-number"),
        pytest.param(raw(b'{"alg":"none","alg":"ES256"}', CLAIMS), "not_a_jwt", id="alg-twice"),
        pytest.param(raw({"alg": "ES256"}, b"[" * 100_000), "not_a_jwt", id="depth-bomb"),
        pytest.param(raw({"alg": "ES256"}, b'{"exp":1e999}'), "not_a_jwt", id="infinite"),
        pytest.param(raw({"alg": "ES256"}, b'{"exp":NaN}'), "not_a_jwt", id="nan"),
        pytest.param(raw({"alg": "none"}, CLAIMS, ""), "algorithm_not_supported", id="none"),
        pytest.param(raw({}, CLAIMS), "algorithm_not_supported", id="no-alg"),
        pytest.param(raw({"alg": ["ES256"]}, CLAIMS), "algorithm_not_supported", id="alg-a-list"),
        pytest.param(raw({"alg": "RS384"}, CLAIMS), "algorithm_not_supported", id="rs384"),
        pytest.param(sign(without("sub")), "sub_missing", id="no-sub"),
        pytest.param(sign({**CLAIMS, "sub": ""}), "sub_missing", id="empty-sub"),
        pytest.param(raw({"alg": "ES256"}, {"sub": None}), "sub_missing", id="sub-null"),
        pytest.param(raw({"alg": "ES256"}, {"sub": 7}), "claim_type", id="sub-a-number"),
        pytest.param(sign({**CLAIMS, "exp": "1900000000"}), "claim_type", id="exp-a-text"),
        pytest.param(sign({**CLAIMS, "nbf": True}), "claim_type", id="nbf-true"),
        pytest.param(sign({**CLAIMS, "iat": [1]}), "claim_type", id="iat-a-list"),
        pytest.param(sign({**CLAIMS, "aud": [1]}), "claim_type", id="aud-of-numbers"),
        pytest.param(raw({"alg": "ES256"}, {**CLAIMS, "jti": 1}), "claim_type", id="jti-a-number"),
    ],
)
def test_tokens_that_grafana_passes_over(token, reason):
    verdict = judge(token)

    assert (verdict.selected, verdict.accepted, verdict.reason) == (False, False, reason)
    assert not verdict.steps[-1].ok


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        pytest.param(sign(kid="unknown"), "key_not_found", id="unknown-kid"),
        pytest.param(sign(kid=None), "key_not_found", id="no-kid"),
        pytest.param(sign(kid="../../k1"), "key_not_found", id="kid-a-path"),
        pytest.param(sign(kid="k1' OR '1'='1"), "key_not_found", id="kid-sql"),
        pytest.param(sign(kid="k" * 20_000), "key_not_found", id="kid-very-long"),
        pytest.param(sign(kid="K1"), "key_not_found", id="kid-in-another-case"),
        pytest.param(sign(key=OTHER_EC), "signature_invalid", id="another-key"),
        pytest.param(sign(kid="rsa"), "signature_invalid", id="es256-under-an-rsa-kid"),
        pytest.param(sign(kid="p384"), "signature_invalid", id="es256-under-a-p384-kid"),
        pytest.param(sign(headers={"crit": ["exp"]}), "signature_invalid", id="unknown-crit"),
        pytest.param(sign()[:-8] + "AAAAAAAA", "signature_invalid", id="tampered"),
        pytest.param(sign({**CLAIMS, "iss": None}), "claim_type", id="iss-null"),
        pytest.param(sign({**CLAIMS, "iss": "https://e.org"}), "issuer_mismatch", id="iss"),
        pytest.param(sign(without("iss")), "issuer_mismatch", id="no-iss"),
        pytest.param(sign({**CLAIMS, "aud": "other"}), "audience_mismatch", id="aud"),
        pytest.param(sign(without("aud")), "audience_mismatch", id="no-aud"),
        pytest.param(sign({**CLAIMS, "role": "editor"}), "role_invalid", id="role-case"),
        pytest.param(sign({**CLAIMS, "role": ["Editor"]}), "role_invalid", id="role-a-list"),
        pytest.param(sign(without("role")), "role_invalid", id="no-role"),
        pytest.param(sign(without("login", "email")), "login_and_email_missing", id="no-login"),
    ],
)
def test_tokens_that_grafana_refuses(token, reason):
    verdict = judge(token)

    assert (verdict.selected, verdict.accepted, verdict.reason) == (True, False, reason)
    assert verdict.login == ""
    assert verdict.org_roles == {}


def test_an_rsa_public_key_is_no_shared_secret():
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    assert judge(signed_with_secret(pem, "rsa")).reason == "signature_invalid"


@pytest.mark.parametrize(
    ("key", "alg", "kid"),
    [
        (RSA, "RS256", "rsa"),
        (RSA, "RS512", "rsa"),
        (RSA, "PS256", "rsa"),
        (EC384, "ES384", "p384"),
        (ED, "EdDSA", "ed"),
        (SECRET, "HS256", "hs"),
    ],
)
def test_algorithms_that_are_taken(key, alg, kid):
    assert judge(sign(key=key, alg=alg, kid=kid)).accepted


def test_eddsa_means_ed25519():
    ed448_key = ed448.Ed448PrivateKey.generate()
    jwks = {"keys": [jwk(ed448_key)]}

    assert judge(sign(key=ed448_key, alg="EdDSA"), jwks=jwks).reason == "signature_invalid"


def test_rs384_was_taken_by_older_releases():
    token = sign(key=RSA, alg="RS384", kid="rsa")

    assert judge(token, settings=replace(SETTINGS, version=(12, 2))).accepted
    assert judge(token).reason == "algorithm_not_supported"


def test_a_shared_secret_has_to_be_as_long_as_the_hash():
    short = b"0123456789abcdef0123456789abcdef"[:31]
    jwks = {"keys": [jwk(short, "hs")]}
    token = signed_with_secret(short, "hs")

    assert judge(token, jwks=jwks).reason == "signature_invalid"
    assert judge(token, jwks=jwks, settings=replace(SETTINGS, version=(12, 2))).accepted


def test_a_private_key_in_the_set_verifies_nothing():
    private = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC)), "kid": "k1"}

    assert judge(jwks={"keys": [private]}).reason == "signature_invalid"


@pytest.mark.parametrize(
    "jwks",
    [{}, {"keys": None}, {"keys": "k1"}, {"keys": []}, {"keys": ["k1", None]}, {"error": "x"}],
    ids=str,
)
def test_a_key_set_without_keys(jwks):
    assert judge(jwks=jwks).reason == "key_not_found"


@pytest.mark.parametrize("broken", [{"x": "AA"}, {"x": 7}, {"y": None}, {"crv": "P-256K"}], ids=str)
def test_a_broken_key_verifies_nothing_and_another_of_its_kid_is_tried(broken):
    bad = {**jwk(EC), **broken}

    assert judge(jwks={"keys": [bad]}).reason == "signature_invalid"
    assert judge(jwks={"keys": [bad, jwk(EC)]}).accepted


def test_a_token_without_kid_matches_a_key_without_one():
    nameless = {name: value for name, value in jwk(EC).items() if name != "kid"}

    assert judge(sign(kid=None), jwks={"keys": [nameless]}).accepted
    assert judge(sign(), jwks={"keys": [nameless]}).reason == "key_not_found"


@pytest.mark.parametrize(
    ("key_id", "version", "kid", "reason"),
    [
        ("", (13, 1), None, "ok"),
        ("", (13, 1), "k1", "key_not_found"),
        ("k1", (13, 1), "k1", "ok"),
        ("k1", (10, 3), "k1", "key_not_found"),
        ("k1", (10, 3), None, "ok"),
    ],
)
def test_a_pem_file_is_known_by_key_id_since_10_4(key_id, version, kid, reason):
    settings = replace(SETTINGS, jwk_set_url="", key_file="/k.pem", key_id=key_id, version=version)

    assert judge(sign(kid=kid), settings=settings).reason == reason


def test_padding_line_breaks_and_the_bearer_prefix_do_no_harm():
    head, payload, signature = sign().split(".")

    assert judge(f"Bearer {head}==.{payload[:9]}\r\n{payload[9:]}=.{signature}").accepted


@pytest.mark.parametrize(
    ("claims", "now", "reason"),
    [
        ({}, NOW + 300 + 60, "ok"),
        ({}, NOW + 300 + 61, "expired"),
        ({}, NOW - 60, "ok"),
        ({}, NOW - 61, "not_yet_valid"),
        ({"nbf": NOW - 600}, NOW - 60, "ok"),
        ({"nbf": NOW - 600}, NOW - 61, "issued_in_future"),
        ({"exp": None, "nbf": None, "iat": None}, NOW, "ok"),
        ({"exp": NOW + 0.9}, NOW + 61, "expired"),
        ({"exp": -1e30}, NOW, "expired"),
    ],
)
def test_a_minute_of_skew_is_forgiven_either_way(claims, now, reason):
    assert judge(sign({**CLAIMS, **claims}), now=now).reason == reason


def test_a_token_without_times_never_ends():
    assert judge(sign(without("exp", "nbf", "iat")), now=NOW + 10**9).accepted


@pytest.mark.parametrize(
    ("expected", "version", "reason"),
    [
        ('{"aud": ["grafana", "b"]}', (13, 1), "ok"),
        ('{"aud": ["grafana", "b"]}', (12, 2), "audience_mismatch"),
        ('{"aud": ["grafana"]}', (12, 2), "ok"),
        ('{"aud": []}', (13, 1), "ok"),
        ('{"iss": ""}', (13, 1), "ok"),
        ('{"sub": "u2"}', (13, 1), "subject_mismatch"),
        ('{"tenant": "a"}', (13, 1), "claim_missing"),
        ('{"login": "bob"}', (13, 1), "claim_mismatch"),
        ('{"login": "ann"}', (13, 1), "ok"),
        ('{"list": [1, {"a": true}]}', (13, 1), "ok"),
        ('{"list": [1.0, {"a": true}]}', (13, 1), "ok"),
        ('{"list": [{"a": true}, 1]}', (13, 1), "claim_mismatch"),
        ('{"list": [1, {"a": 1}]}', (13, 1), "claim_mismatch"),
        ('{"list": [1]}', (13, 1), "claim_mismatch"),
        ("null", (13, 1), "ok"),
    ],
)
def test_expected_claims(expected, version, reason):
    settings = replace(SETTINGS, expect_claims=expected, version=version)
    token = sign({**CLAIMS, "list": [1, {"a": True}]})

    assert judge(token, settings=settings).reason == reason


@pytest.mark.parametrize(
    ("change", "login", "email"),
    [
        pytest.param({"username_claim": "sub"}, "u1", "ann@example.com", id="another-claim"),
        pytest.param({"username_claim": "list"}, "", "ann@example.com", id="not-a-text"),
        pytest.param({"email_claim": ""}, "ann", "", id="no-email-claim"),
        pytest.param(
            {"username_claim": "", "username_attribute_path": "user.name"},
            "deep",
            "ann@example.com",
            id="path",
        ),
        pytest.param(
            {"username_attribute_path": "user.name"}, "ann", "ann@example.com", id="claim-wins"
        ),
        pytest.param(
            {"email_claim": "", "email_attribute_path": "user.name", "version": (10, 4)},
            "ann",
            "",
            id="path-before-11.0",
        ),
    ],
)
def test_login_and_email(change, login, email):
    token = sign({**CLAIMS, "list": ["x"], "user": {"name": "deep"}})

    verdict = judge(token, settings=replace(SETTINGS, **change))

    assert (verdict.accepted, verdict.login, verdict.email) == (True, login, email)


@pytest.mark.parametrize(
    "change",
    [
        {"username_claim": "", "username_attribute_path": "contains(nothing, 'x')"},
        {"email_claim": "", "email_attribute_path": "contains(nothing, 'x')"},
        {"groups_attribute_path": "contains(nothing, 'x')"},
        {"org_attribute_path": "contains(nothing, 'x')"},
    ],
    ids=lambda change: next(reversed(change)),
)
def test_a_failing_expression_refuses_except_for_the_role(change):
    assert judge(settings=replace(SETTINGS, **change)).reason == "jmespath_error"


def test_a_failing_role_expression_means_no_role():
    settings = replace(SETTINGS, role_attribute_path="contains(nothing, 'x') && 'Admin'")

    assert judge(settings=settings).reason == "role_invalid"
    lenient = judge(settings=replace(settings, role_attribute_strict=False))
    assert (lenient.role, lenient.org_roles) == ("Viewer", {1: "Viewer"})


@pytest.mark.parametrize(
    ("value", "groups"),
    [(["a", 1, "b", None], ("a", "b")), ("a", ()), (None, ()), ({"a": 1}, ())],
    ids=str,
)
def test_groups_are_the_strings_of_an_array(value, groups):
    settings = replace(SETTINGS, groups_attribute_path="groups")

    assert judge(sign({**CLAIMS, "groups": value}), settings=settings).groups == groups


@pytest.mark.parametrize(
    ("role", "allow", "version", "expected"),
    [
        ("GrafanaAdmin", True, (13, 1), ("Admin", True)),
        ("GrafanaAdmin", False, (13, 1), ("Admin", False)),
        ("grafanaadmin", True, (13, 1), ("Viewer", False)),
        ("Admin", True, (13, 1), ("Admin", False)),
        ("None", True, (13, 1), ("None", False)),
        ("None", True, (10, 2), ("None", False)),
        ("None", True, (10, 1), ("", False)),
        ("admin", True, (11, 6), ("", False)),
        ("GrafanaAdmin", True, (9, 2), ("Admin", True)),
        ("GrafanaAdmin", True, (9, 1), ("", False)),
    ],
)
def test_roles_and_server_admins(role, allow, version, expected):
    settings = replace(
        SETTINGS,
        allow_assign_grafana_admin=allow,
        role_attribute_strict=False,
        version=version,
    )

    verdict = judge(sign({**CLAIMS, "role": role}), settings=settings)

    assert (verdict.role, verdict.is_grafana_admin) == expected
    assert verdict.org_roles == ({1: expected[0]} if expected[0] else {})


def test_skipping_role_sync_leaves_roles_alone():
    settings = replace(SETTINGS, skip_org_role_sync=True, allow_assign_grafana_admin=True)

    verdict = judge(sign({**CLAIMS, "role": "GrafanaAdmin"}), settings=settings)

    assert (verdict.accepted, verdict.role, verdict.org_roles) == (True, "", {})
    assert not verdict.is_grafana_admin


ORGS = {"Main Org.": 1, "Dev": 2, "Ops: EU": 3}


@pytest.mark.parametrize(
    ("entries", "orgs", "direct", "expected"),
    [
        pytest.param(["a:2:Editor"], ["a"], None, {2: "Editor"}, id="by-id"),
        pytest.param(["a:Dev:Editor"], ["a"], None, {2: "Editor"}, id="by-name"),
        pytest.param([r"a:Ops\: EU:Editor"], ["a"], None, {3: "Editor"}, id="escaped-name"),
        pytest.param([r"x\:y:2:Editor"], ["x:y"], None, {2: "Editor"}, id="escaped-source"),
        pytest.param([r"x\y:2:Editor"], ["x\\y"], None, {2: "Editor"}, id="backslash-kept"),
        pytest.param(["a:99:Editor"], ["a"], None, {99: "Editor"}, id="id-not-looked-up"),
        pytest.param(["*:2:Editor"], [], None, {2: "Editor"}, id="everyone"),
        pytest.param(["*:2:Viewer", "a:2:Admin"], ["a"], None, {2: "Admin"}, id="higher"),
        pytest.param(["*:2:Admin", "a:2:Viewer"], ["a"], None, {2: "Admin"}, id="not-lower"),
        pytest.param(
            ["a:*:Viewer", "a:2:Admin"], ["a"], None,
            {1: "Viewer", 2: "Admin", 3: "Viewer"}, id="all-orgs",
        ),
        pytest.param(["a:2:Admin", "a:2:Viewer"], ["a"], None, {2: "Viewer"}, id="last-wins"),
        pytest.param(["a:2:Viewer", "b:2:Editor"], ["a", "b"], None, {2: "Editor"}, id="two"),
        pytest.param(["a:2:Viewer"], ["a"], "Editor", {2: "Editor"}, id="direct-higher"),
        pytest.param(["a:2:Editor"], ["a"], "Viewer", {2: "Editor"}, id="direct-lower"),
        pytest.param(["a:2:Editor"], ["a"], "boss", {2: "Editor"}, id="direct-unknown"),
        pytest.param(["a:2:None"], ["a"], "boss", {2: "None"}, id="direct-unknown-and-none"),
        pytest.param(["a:2"], ["a"], None, {2: "Viewer"}, id="role-missing"),
        pytest.param(["a:2:boss"], ["a"], None, {2: "Viewer"}, id="role-bad"),
        pytest.param(["a:2:Editor"], ["b"], "Admin", {1: "Admin"}, id="unmatched-default-org"),
        pytest.param(["a:2:Editor"], ["b"], None, {1: "Viewer"}, id="unmatched-auto-role"),
        pytest.param(["a:2:Editor"], "a", None, {1: "Viewer"}, id="orgs-no-array"),
        pytest.param(["a:Nowhere:Editor", "a:2"], ["a"], None, {2: "Viewer"}, id="skips-bad"),
        pytest.param(["a", "a::Admin", "a:2:x:y"], ["a"], None, {1: "Viewer"}, id="all-bad"),
    ],
)  # fmt: skip
def test_org_mapping(entries, orgs, direct, expected):
    settings = replace(
        SETTINGS,
        org_attribute_path="orgs",
        org_mapping=tuple(entries),
        role_attribute_strict=False,
    )
    claims = {**without("role"), "orgs": orgs} | ({"role": direct} if direct else {})

    assert judge(sign(claims), settings=settings, orgs=ORGS).org_roles == expected


@pytest.mark.parametrize("bad", ["a", "a:Nowhere:Editor", "a:2", "a:2:boss"])
def test_under_strict_one_bad_entry_drops_the_mapping(bad):
    settings = replace(SETTINGS, org_attribute_path="orgs", org_mapping=("a:2:Editor", bad))
    mapped = sign({**without("role"), "orgs": ["a"]})

    assert judge(mapped, settings=settings, orgs=ORGS).reason == "role_invalid"
    assert judge(settings=settings, orgs=ORGS).org_roles == {1: "Editor"}


def test_orgs_are_not_read_before_12_0():
    settings = replace(
        SETTINGS, org_attribute_path="orgs", org_mapping=("*:2:Admin",), version=(11, 6)
    )

    assert judge(settings=settings).org_roles == {1: "Editor"}


@pytest.mark.parametrize(
    ("assign", "expected"), [((True, 7), 7), ((False, 7), 1), ((True, 0), 1)], ids=str
)
def test_the_default_organization(assign, expected):
    settings = replace(SETTINGS, auto_assign_org=assign[0], auto_assign_org_id=assign[1])

    assert judge(settings=settings).org_roles == {expected: "Editor"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "role_invalid"),
        ({"expect_claims": '{"iss": "x"}'}, "issuer_mismatch"),
        ({"expect_claims": '{"sub": "x"}'}, "subject_mismatch"),
        ({"expect_claims": '{"tenant": "x"}'}, "claim_mismatch"),
        ({"username_attribute_path": "abs(name)", "username_claim": ""},
         "jmespath_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_no_text_of_a_verdict_repeats_who_a_person_is(change, reason):
    names = ("sub", "login", "email", "name", "tenant")
    claims = {**CLAIMS, "role": "boss", **dict.fromkeys(names, "secret"), "groups": ["secret"]}

    verdict = judge(sign(claims), settings=replace(SETTINGS, **change))

    assert verdict.reason == reason
    assert "secret" not in verdict.detail + "".join(step.text for step in verdict.steps)


LONG = "k" * 20_000 + "!"
ESCAPE = "\x1b[2J\r\n\u202e"


@pytest.mark.parametrize("hostile", [LONG, ESCAPE], ids=["long", "control"])
@pytest.mark.parametrize("place", ["kid", "iss", "aud", "role", "jwks"])
def test_what_a_token_says_stays_short_and_on_its_line(hostile, place):
    claims = {**CLAIMS, place: [hostile] * 30 if place == "aud" else hostile}
    token = sign(claims, kid=hostile) if place == "kid" else sign(claims)
    jwks = {"keys": [jwk(EC, hostile + str(n)) for n in range(30)]} if place == "jwks" else JWKS

    verdict = judge(token, jwks=jwks)

    assert not verdict.accepted
    assert len(verdict.detail) < 600
    assert verdict.detail.isprintable()


@pytest.mark.parametrize(
    ("token", "change", "detail"),
    [
        pytest.param(
            sign(kid="old"), {},
            "the token's kid is old; the key set has k1, p384, rsa, ed, hs.", id="kid",
        ),
        pytest.param(sign(kid=None), {}, "the token has no kid; the key set has k1,", id="no-kid"),
        pytest.param(
            sign({**CLAIMS, "iss": "https://e.org"}), {},
            "iss is https://e.org; expect_claims wants https://embed.example.com", id="iss",
        ),
        pytest.param(
            sign(without("iss")), {},
            "the token has no iss; expect_claims wants https://embed.example.com", id="no-iss",
        ),
        pytest.param(
            sign({**CLAIMS, "aud": ["a", "b"]}), {},
            "aud is a, b; expect_claims wants grafana", id="aud",
        ),
        pytest.param(
            sign(without("aud")), {},
            "the token has no aud; expect_claims wants grafana", id="no-aud",
        ),
        pytest.param(
            sign({**CLAIMS, "aud": []}), {"expect_claims": '{"aud": ["x", "y"]}'},
            "aud is an empty list; expect_claims wants one of x, y", id="any-aud",
        ),
        pytest.param(
            sign(), {"expect_claims": '{"aud": ["grafana", "y"]}', "version": (12, 2)},
            "aud is grafana; expect_claims wants all of grafana, y", id="all-aud",
        ),
        pytest.param(
            sign({**CLAIMS, "role": "viewer"}), {},
            "viewer is no role: Grafana wants Viewer, exactly so", id="role-case",
        ),
        pytest.param(
            sign({**CLAIMS, "role": " EDITOR"}), {},
            "EDITOR is no role: Grafana wants Editor, exactly so", id="role-caps",
        ),
        pytest.param(
            sign({**CLAIMS, "role": "grafanaadmin"}), {},
            "grafanaadmin is no role: Grafana wants GrafanaAdmin", id="admin-case",
        ),
        pytest.param(
            sign({**CLAIMS, "role": "boss"}), {},
            "boss is no role: roles are None, Viewer, Editor, Admin, GrafanaAdmin", id="role-word",
        ),
        pytest.param(
            sign({**CLAIMS, "role": "None"}), {"version": (10, 1)},
            "None is a role only since Grafana 10.2", id="role-none",
        ),
        pytest.param(
            sign(without("role")), {},
            "the token has no claim role, which is role_attribute_path", id="role-missing",
        ),
        pytest.param(
            sign({**CLAIMS, "role": ["Editor"]}), {},
            "role_attribute_path finds a list in this token, no word", id="role-list",
        ),
        pytest.param(
            sign(), {"role_attribute_path": "a.b"},
            "role_attribute_path finds nothing in this token, no word", id="role-path",
        ),
        pytest.param(
            sign(), {"role_attribute_path": "`1`"}, "finds a number in this token", id="role-number"
        ),
        pytest.param(
            sign(), {"role_attribute_path": "`true`"}, "finds true or false", id="role-boolean"
        ),
        pytest.param(
            sign(), {"role_attribute_path": ""}, "role_attribute_path is not set", id="role-unset"
        ),
        pytest.param(
            sign(), {"role_attribute_path": "contains(x, 'y')"},
            "role_attribute_path fails on this token: ", id="role-fails",
        ),
        pytest.param(
            sign(), {"role_attribute_path": "a ||"},
            "role_attribute_path does not compile: JMESPath syntax error", id="role-syntax",
        ),
        pytest.param(
            sign(without("role")), {"org_mapping": ("a:2:Admin",), "org_attribute_path": "orgs"},
            "role_attribute_path; no org_mapping matches; role_attribute_strict is on",
            id="role-and-orgs",
        ),
        pytest.param(
            sign(), {"groups_attribute_path": "groups["},
            "groups_attribute_path does not compile: JMESPath syntax error", id="groups-syntax",
        ),
        pytest.param(
            sign(), {"email_claim": "", "email_attribute_path": "contains(x, 'y')"},
            "email_attribute_path fails on this token: ", id="email-fails",
        ),
    ],
)  # fmt: skip
def test_a_refusal_says_what_was_found_and_what_is_wanted(token, change, detail):
    verdict = judge(token, settings=replace(SETTINGS, **change))

    assert not verdict.accepted
    assert detail in verdict.detail
    assert verdict.steps[-1].text == verdict.detail


@pytest.mark.parametrize(
    ("jwks", "words"),
    [({"keys": []}, "the key set has no keys."), ({"keys": [{"kty": "EC"}]}, "a key without kid")],
    ids=["empty", "nameless"],
)
def test_a_key_set_without_the_token_s_kid_is_described(jwks, words):
    assert words in judge(jwks=jwks).detail


@pytest.mark.parametrize(
    ("version", "text"),
    [((13, 1), "auto_assign_org_role is the role"), ((11, 6), "is the role of new people")],
    ids=str,
)
def test_without_strict_the_steps_say_why_the_role_does_not_count(version, text):
    settings = replace(SETTINGS, role_attribute_strict=False, version=version)

    verdict = judge(sign({**CLAIMS, "role": "editor"}), settings=settings)

    (step,) = [step for step in verdict.steps if step.name == "role"]
    assert step.text.startswith("editor is no role: Grafana wants Editor")
    assert text in step.text


def test_read_ini_and_the_model_meet():
    settings = read_ini(
        "[auth.jwt]\nenabled = true\nheader_name = X\njwk_set_file = /k\nusername_claim = login\n"
    )

    verdict = judge(settings=settings)

    assert (verdict.accepted, verdict.login, verdict.role) == (True, "ann", "Viewer")
