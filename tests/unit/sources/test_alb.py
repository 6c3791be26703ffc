"""``x-amzn-oidc-data``: tokens of the documented shape, and whatever else comes in that header."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import sources_kit as kit
from cryptography.hazmat.primitives.asymmetric import ec
from front_door_kit import ALB_PAYLOAD, CLIENT, KID, SIGNER, alb_token, padded
from jwt.algorithms import ECAlgorithm, HMACAlgorithm

from embedjwt.config.problems import ConfigError
from embedjwt.errors import EmbedJWTError
from embedjwt.sources.alb_keys import MAX_KEYS, MAX_SOUGHT, keys_url
from embedjwt.sources.ambiguity import AMBIGUOUS_HEADERS
from embedjwt.sources.remote import COOLDOWN, MAX_AGE, RETRY_AFTER
from loopback_server import LoopbackServer, running_server

SOON = 10
"""Seconds within which something has surely happened that happens at all."""


def data(text: str) -> Any:
    return kit.request({"X-Amzn-Oidc-Data": text})


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with running_server() as server:
        server.answers_bytes(f"/keys/{KID}", kit.pem(kit.EC_KEY))
        yield server


@pytest.fixture
def source(server: LoopbackServer) -> dict[str, Any]:
    return {
        "type": "jwt",
        "preset": "aws-alb",
        "issuer": kit.ISSUER,
        "audience": [CLIENT],
        "signer": [SIGNER],
        "jwks_url": f"{server.url}/keys/",
    }


def refusal(chain: Any, request: Any) -> EmbedJWTError:
    with pytest.raises(EmbedJWTError) as refused:
        chain.session(request, kit.NOW)
    return refused.value


def test_a_person_the_load_balancer_signed_in(chain, source, server) -> None:
    sources = chain({**source, "subject_prefix": "alb:"})
    assert alb_token().count("=") > 1
    for _ in range(2):
        session = sources.session(data(alb_token()), kit.NOW)
        assert session.documents.id_token == ALB_PAYLOAD
        assert (session.source, session.subject_prefix) == ("aws-alb", "alb:")
        assert session.expires_at == kit.NOW + 120
        assert session.ambient is True
    assert server.paths() == [f"/keys/{KID}"]


@pytest.mark.parametrize(
    ("payload", "header", "end"),
    [
        ({"exp": kit.NOW + 90, "iss": kit.ISSUER}, {}, 90),
        ({"exp": kit.NOW + 900}, {}, 120),
        ({"aud": "somebody"}, {}, 120),
        ({}, {"exp": kit.NOW - 59}, -59),
    ],
    ids=["payload-ends-first", "header-ends-first", "aud-of-userinfo", "leeway"],
)
def test_when_it_ends(chain, source, payload, header, end) -> None:
    session = chain(source).session(data(alb_token({**ALB_PAYLOAD, **payload}, **header)), kit.NOW)
    assert session.expires_at == kit.NOW + end


REFUSED: dict[str, tuple[str, str]] = {
    "other-signer": (alb_token(signer=SIGNER.replace("grafana", "other")), "signer_unknown"),
    "signer-in-other-case": (alb_token(signer=SIGNER.upper()), "signer_unknown"),
    "signer-a-list": (alb_token(signer=[SIGNER]), "signer_unknown"),
    "no-signer": (alb_token(signer=None), "signer_unknown"),
    "other-issuer": (alb_token(iss="https://other.example.com"), "issuer_unknown"),
    "no-issuer": (alb_token(iss=None), "issuer_unknown"),
    "issuer-a-list": (alb_token(iss=[kit.ISSUER]), "issuer_unknown"),
    "payload-of-another-issuer": (
        alb_token({**ALB_PAYLOAD, "iss": "https://other.example.com"}),
        "claim_invalid",
    ),
    "other-client": (alb_token(client="other"), "audience_mismatch"),
    "no-client": (alb_token(client=None), "audience_mismatch"),
    "client-in-the-payload": (
        alb_token({**ALB_PAYLOAD, "aud": CLIENT}, client="x"),
        "audience_mismatch",
    ),
    "expired": (alb_token(exp=kit.NOW - 60), "token_expired"),
    "payload-expired": (alb_token({**ALB_PAYLOAD, "exp": kit.NOW - 60}), "token_expired"),
    "no-exp": (alb_token(exp=None), "claim_missing"),
    "exp-in-the-payload-alone": (
        alb_token({**ALB_PAYLOAD, "exp": kit.NOW + 9}, exp=None),
        "claim_missing",
    ),
    "exp-a-text": (alb_token(exp="expiration"), "claim_invalid"),
    "no-sub": (alb_token({"email": "jane@example.com"}), "claim_missing"),
    "empty-sub": (alb_token({"sub": ""}), "claim_invalid"),
    "number-sub": (alb_token({"sub": 7}), "claim_invalid"),
    "logout-token": (alb_token({**ALB_PAYLOAD, "events": {}}), "token_type_not_accepted"),
    "other-key": (alb_token(key=ec.generate_private_key(ec.SECP256R1())), "signature_invalid"),
    "no-kid": (alb_token(kid=None), "key_unknown"),
    "kid-no-uuid": (alb_token(kid="key-1"), "key_unknown"),
    "kid-a-path": (alb_token(kid=f"../{KID}"), "key_unknown"),
    "kid-with-newline": (alb_token(kid=f"{KID}\n"), "key_unknown"),
    "kid-with-query": (alb_token(kid=f"{KID}?x"), "key_unknown"),
    "alg-none": (alb_token(alg="none"), "algorithm_not_allowed"),
    "alg-hs256": (alb_token(alg="HS256"), "algorithm_not_allowed"),
    "alg-es384": (alb_token(alg="ES384"), "algorithm_not_allowed"),
    "crit": (alb_token(crit=["exp"]), "critical_header_unknown"),
    "type": (alb_token(typ="logout+jwt"), "token_type_not_accepted"),
    "two-parts": (alb_token().rpartition(".")[0], "token_malformed"),
    "four-parts": (alb_token() + "." + padded(b"x"), "token_malformed"),
    "twice": (f"{alb_token()},{alb_token()}", "token_malformed"),
    "without-padding": (alb_token().replace("=", ""), "token_malformed"),
    "other-alphabet": (alb_token().replace(".", ".+/+/", 1), "token_malformed"),
    "padding-inside": ("=" + alb_token(), "token_malformed"),
    "no-signature": (alb_token().rpartition(".")[0] + ".", "token_malformed"),
    "cut-signature": (alb_token()[:-8], "signature_invalid"),
    "payload-no-object": (alb_token(["sub"]), "token_malformed"),
    "too-long": (alb_token({**ALB_PAYLOAD, "x": "x" * 20000}), "token_too_large"),
}


@pytest.mark.parametrize(("text", "code"), REFUSED.values(), ids=REFUSED)
def test_refused(chain, source, text, code) -> None:
    refused = refusal(chain(source), data(text))
    assert (refused.code, refused.status) == (code, 401)


@pytest.mark.parametrize("change", ["payload", "padding"])
def test_the_signature_is_over_the_text_as_it_came(chain, source, change) -> None:
    header, payload, signature = alb_token().split(".")
    other = padded(json.dumps({**ALB_PAYLOAD, "sub": "admin"}).encode())
    changed = {"payload": other, "padding": payload.rstrip("=")}[change]
    sent = f"{header}.{changed}.{signature}"
    if change == "padding":  # made of the same bytes, signed without padding
        signed = f"{header.rstrip('=')}.{payload.rstrip('=')}"
        again = ECAlgorithm(ECAlgorithm.SHA256).sign(signed.encode(), kit.EC_KEY)
        sent = f"{header}.{payload}.{padded(again)}"
    assert refusal(chain(source), data(sent)).code == "signature_invalid"


def test_a_key_of_the_token_or_of_another_kind_is_not_used(chain, source, server) -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    text = alb_token(key=own, jwk=kit.jwk(own), jku=f"{server.url}/own", x5u=f"{server.url}/own")
    assert refusal(chain(source), data(text)).code == "signature_invalid"
    assert server.paths() == [f"/keys/{KID}"]


def test_the_public_key_is_no_shared_secret(chain, source) -> None:
    signed = alb_token(alg="HS256").rpartition(".")[0]
    signature = HMACAlgorithm(HMACAlgorithm.SHA256).sign(signed.encode(), kit.pem(kit.EC_KEY))
    refused = refusal(chain(source), data(f"{signed}.{padded(signature)}"))
    assert refused.code == "algorithm_not_allowed"


@pytest.mark.parametrize("key", [kit.RSA_KEY, kit.P384_KEY, kit.ED_KEY])
def test_a_published_key_of_another_kind(chain, source, server, key) -> None:
    server.answers_bytes(f"/keys/{KID}", kit.pem(key))
    assert refusal(chain(source), data(alb_token())).code == "upstream_unavailable"


def test_a_header_that_came_twice(chain, source) -> None:
    request = data(alb_token())
    request.environ[AMBIGUOUS_HEADERS] = frozenset({"x-amzn-oidc-data"})
    assert refusal(chain(source), request).code == "credential_ambiguous"


@pytest.mark.parametrize("headers", [{}, {"X-Amzn-Oidc-Data": ""}, {"X-Amzn-Oidc-Identity": "u1"}])
def test_without_the_header_nobody_is_signed_in(chain, source, headers) -> None:
    assert refusal(chain(source), kit.request(headers)).code == "login_required"


def test_several_load_balancers_and_issuers(chain, source) -> None:
    other_signer = SIGNER.replace("grafana", "other")
    second = {**source, "name": "two", "issuer": "https://two.example.com", "audience": ["c2"]}
    sources = chain({**source, "signer": [SIGNER, other_signer]}, second)
    assert sources.session(data(alb_token(signer=other_signer)), kit.NOW).source == "aws-alb"
    of_two = {"iss": "https://two.example.com", "client": "c2"}
    assert sources.session(data(alb_token(**of_two)), kit.NOW).source == "two"
    crossed = alb_token(**{**of_two, "client": CLIENT})
    assert refusal(sources, data(crossed)).code == "audience_mismatch"
    assert refusal(sources, data(alb_token(**of_two, signer=other_signer))).code == "signer_unknown"


class TestKeys:
    def test_a_rotated_key_is_fetched_by_its_kid(self, chain, source, server) -> None:
        sources = chain(source)
        sources.session(data(alb_token()), kit.NOW)
        new = ec.generate_private_key(ec.SECP256R1())
        kid = KID.replace("1", "a")
        server.answers_bytes(f"/keys/{kid}", kit.pem(new))
        assert sources.session(data(alb_token(key=new, kid=kid)), kit.NOW).source == "aws-alb"
        assert sources.session(data(alb_token()), kit.NOW).source == "aws-alb"
        assert server.paths() == [f"/keys/{KID}", f"/keys/{kid}"]

    def test_made_up_kids_are_no_flood_of_fetches(self, chain, source, server, clock) -> None:
        sources = chain(source)
        sources.session(data(alb_token()), kit.NOW)
        for number in range(4 * MAX_SOUGHT):
            made_up = data(alb_token(kid=f"{number:08x}{KID[8:]}"))
            assert refusal(sources, made_up).code == "upstream_unavailable"
        assert len(server.asked) == MAX_SOUGHT
        assert sources.session(data(alb_token()), kit.NOW).source == "aws-alb"
        server.answers_bytes(f"/keys/{KID[:-1]}0", kit.pem(kit.EC_KEY))
        clock.seconds += COOLDOWN
        fresh = data(alb_token(kid=f"{KID[:-1]}0"))
        assert sources.session(fresh, kit.NOW).source == "aws-alb"

    def test_nor_are_the_same_ones_again(self, chain, source, server, clock) -> None:
        sources = chain(source)
        made_up = [data(alb_token(kid=f"{n:08x}{KID[8:]}")) for n in range(MAX_SOUGHT)]
        for _ in range(2):
            for request in made_up:
                refusal(sources, request)
            clock.seconds += RETRY_AFTER
        assert len(server.asked) == MAX_SOUGHT

    def test_nor_do_they_push_out_one_that_is_looked_for(self, chain, source, server) -> None:
        found = server.answers.pop(f"/keys/{KID}")
        asked, published = threading.Event(), threading.Event()

        def slowly(handler: BaseHTTPRequestHandler) -> None:
            asked.set()
            published.wait(SOON)
            found(handler)

        server.answers[f"/keys/{KID}"] = slowly
        sources = chain({**source, "timeout": 30})
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(sources.session, data(alb_token()), kit.NOW)
            assert asked.wait(SOON)
            for number in range(MAX_KEYS + MAX_SOUGHT):
                refusal(sources, data(alb_token(kid=f"{number:08x}{KID[8:]}")))
            published.set()
            assert waiting.result(SOON).source == "aws-alb"
        assert sources.session(data(alb_token()), kit.NOW).source == "aws-alb"
        assert server.paths().count(f"/keys/{KID}") == 1

    def test_what_is_wrong_anyway_costs_no_fetch(self, chain, source, server) -> None:
        sources = chain(source)
        for header in ({"signer": "x"}, {"iss": "x"}, {"client": "x"}, {"exp": 1}):
            refusal(sources, data(alb_token(**header)))
        assert server.asked == []

    def test_a_found_key_serves_on_while_aws_does_not_answer(
        self, chain, source, server, clock
    ) -> None:
        sources = chain(source)
        sources.session(data(alb_token()), kit.NOW)
        server.answers.clear()
        clock.seconds += 2 * MAX_AGE
        assert sources.session(data(alb_token()), kit.NOW).source == "aws-alb"

    def test_an_unreachable_key_is_a_503_that_names_the_address(
        self, chain, source, server
    ) -> None:
        server.answers_bytes(f"/keys/{KID}", b"<Error/>", 403)
        refused = refusal(chain(source), data(alb_token()))
        assert (refused.code, refused.status) == ("upstream_unavailable", 503)
        assert f"/keys/{KID}" in refused.hint


ARN = "arn:{}:elasticloadbalancing:{}:123456789012:loadbalancer/app/name/0a1b2c3d4e5f6071"


@pytest.mark.parametrize(
    ("partition", "region", "url"),
    [
        ("aws", "us-east-1", "https://public-keys.auth.elb.us-east-1.amazonaws.com"),
        ("aws", "ap-southeast-3", "https://public-keys.auth.elb.ap-southeast-3.amazonaws.com"),
        (
            "aws-us-gov",
            "us-gov-west-1",
            "https://s3-us-gov-west-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-west-1",
        ),
        (
            "aws-us-gov",
            "us-gov-east-1",
            "https://s3-us-gov-east-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-east-1",
        ),
    ],
)
def test_where_the_keys_of_a_region_are(partition, region, url) -> None:
    assert keys_url(ARN.format(partition, region)) == url


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "name",
        ARN.format("aws", "evil.example.com/"),
        ARN.format("aws", "us-east-1.evil-1"),
        ARN.format("aws", "us-east-1") + "\n",
        ARN.format("aws", "us-east-1").replace("app/", "net/"),
        ARN.format("aws-cn", "cn-north-1"),
        ARN.format("aws-us-gov", "us-gov-north-1"),
    ],
)
def test_a_signer_whose_keys_are_nowhere(chain, source, arn) -> None:
    with pytest.raises(ConfigError) as refused:
        chain({**{k: v for k, v in source.items() if k != "jwks_url"}, "signer": [arn]})
    (problem,) = refused.value.problems
    assert problem.key == "source.0.signer"
    assert "jwks_url" in problem.fix


def test_another_partition_with_a_named_place(chain, source) -> None:
    china = ARN.format("aws-cn", "cn-north-1")
    sources = chain({**source, "signer": [china]})
    assert sources.session(data(alb_token(signer=china)), kit.NOW).source == "aws-alb"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"signer": []}, "source.0.signer"),
        ({"audience": []}, "source.0.audience"),
        ({"algorithms": ["ES256", "RS256"]}, "source.0.algorithms"),
        ({"preset": None, "header": "X-Amzn-Oidc-Data"}, "source.0.signer"),
    ],
    ids=["no-signer", "no-client", "algorithms", "signer-without-preset"],
)
def test_settings_that_cannot_be_meant(chain, source, changes, key) -> None:
    given = {name: v for name, v in {**source, **changes}.items() if v is not None}
    with pytest.raises(ConfigError) as refused:
        chain(given)
    assert refused.value.problems[0].key == key
