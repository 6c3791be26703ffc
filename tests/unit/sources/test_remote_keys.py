"""Remote key sets, against a real HTTP server on loopback."""

from __future__ import annotations

import json
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import sources_kit as kit
import trustme

from embedjwt.errors import SessionRefused, UpstreamUnavailable
from embedjwt.outbound import Outbound, unavailable
from embedjwt.sources.remote import COOLDOWN, MAX_AGE, MAX_STALE, RETRY_AFTER

FIRST = kit.jwk(kit.RSA_KEY, "rsa-1")
SECOND = kit.jwk(kit.OTHER_RSA_KEY, "rsa-2")
NEW_TOKEN = kit.token(key=kit.OTHER_RSA_KEY, kid="rsa-2")


@pytest.fixture
def remote(provider) -> dict[str, Any]:
    return {
        "type": "jwt",
        "issuer": kit.ISSUER,
        "audience": [kit.AUDIENCE],
        "jwks_url": f"{provider.url}/jwks",
        "timeout": 1,
    }


def accepted(sources, text: str = "") -> bool:
    return sources.session(kit.bearer(text or kit.token()), kit.NOW) is not None


def refusal(sources, text: str = "", now: int = kit.NOW) -> str:
    with pytest.raises((SessionRefused, UpstreamUnavailable)) as refused:
        sources.session(kit.bearer(text or kit.token()), now)
    return refused.value.code


def refused_as(sources) -> str | None:
    try:
        accepted(sources)
    except (SessionRefused, UpstreamUnavailable) as error:
        return error.code
    return None


def eventually(condition) -> bool:
    """Waits, for a second at most, for what another thread is about to do."""
    for _ in range(100):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_nothing_is_fetched_before_the_first_token(chain, remote, provider):
    provider.publishes(FIRST)
    sources = chain(remote)
    assert provider.count() == 0
    assert accepted(sources)
    assert accepted(sources)
    assert provider.count() == 1


def test_rotated_key_is_found_at_once_and_then_after_the_cooldown(chain, remote, provider, clock):
    provider.publishes(FIRST)
    sources = chain(remote)
    assert accepted(sources)
    provider.publishes(SECOND)
    assert accepted(sources, NEW_TOKEN)
    assert provider.count() == 2
    provider.publishes(FIRST)
    assert refusal(sources) == "key_unknown"
    assert provider.count() == 2
    clock.seconds += COOLDOWN
    assert accepted(sources)
    assert provider.count() == 3


def test_unknown_kids_cannot_hammer_the_provider(chain, remote, provider, clock):
    provider.publishes(FIRST)
    sources = chain(remote)
    assert accepted(sources)
    for second in range(3 * COOLDOWN):
        clock.seconds += 1
        for number in range(2):
            hostile = kit.token(kid=f"hostile-{second}-{number}")
            assert refusal(sources, hostile) == "key_unknown"
    assert provider.count() == 1 + 3


def test_old_keys_serve_while_new_ones_come(chain, remote, provider, clock):
    provider.publishes(FIRST, SECOND)
    sources = chain(remote)
    assert accepted(sources)
    provider.publishes(SECOND)
    clock.seconds += MAX_AGE - 1
    assert accepted(sources)
    assert provider.count() == 1
    clock.seconds += 1
    assert accepted(sources)
    assert eventually(lambda: refused_as(sources) == "key_unknown")


def test_nobody_uses_keys_older_than_twice_their_age(chain, remote, provider, clock):
    provider.publishes(FIRST, SECOND)
    sources = chain(remote)
    assert accepted(sources)
    provider.publishes(SECOND)
    clock.seconds += 2 * MAX_AGE
    assert refusal(sources) == "key_unknown"


def test_empty_set_is_an_answer(chain, remote, provider, clock):
    provider.publishes(FIRST)
    sources = chain(remote)
    assert accepted(sources)
    provider.publishes()
    clock.seconds += 2 * MAX_AGE
    assert refusal(sources) == "key_unknown"


def test_seen_token_is_forgotten_when_keys_change(chain, remote, provider, clock):
    provider.publishes(FIRST, SECOND)
    sources = chain(remote)
    request = kit.bearer(kit.token())
    first = sources.session(request, kit.NOW)
    clock.seconds += 2 * MAX_AGE
    assert sources.session(request, kit.NOW) is first  # fetched again, and nothing changed
    assert provider.count() == 2
    provider.publishes(FIRST)
    clock.seconds += 2 * MAX_AGE
    assert sources.session(request, kit.NOW) is not first


def test_outage_keeps_old_keys_for_a_day(chain, remote, provider, clock):
    provider.publishes(FIRST)
    sources = chain(remote)
    assert accepted(sources)
    provider.answers_json({"error": "down"}, status=500)
    clock.seconds += 2 * MAX_AGE
    assert accepted(sources)
    assert provider.count() == 2
    clock.seconds += RETRY_AFTER - 1
    assert accepted(sources)
    assert provider.count() == 2
    clock.seconds += 1
    assert accepted(sources)
    assert eventually(lambda: provider.count() == 3)
    clock.seconds += MAX_STALE
    assert refusal(sources) == "upstream_unavailable"


def test_provider_that_comes_back_is_used_again(chain, remote, provider, clock):
    provider.answers_json({}, status=503)
    sources = chain(remote)
    assert refusal(sources) == "upstream_unavailable"
    provider.publishes(FIRST)
    assert refusal(sources) == "upstream_unavailable"
    assert provider.count() == 1
    clock.seconds += RETRY_AFTER
    # Nobody waits for a provider that failed; whoever asks starts the next attempt.
    assert eventually(lambda: refused_as(sources) is None)


def test_one_fetch_serves_all_that_wait(chain, remote, provider):
    hold = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        hold.wait(5)
        kit.reply(handler, json.dumps({"keys": [FIRST]}).encode(), 200, {})

    provider.answers["/jwks"] = answer
    sources = chain({**remote, "timeout": 5})
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(accepted, sources) for _ in range(8)]
        assert eventually(lambda: provider.count() == 1)
        hold.set()
        assert all(future.result() for future in waiting)
    assert provider.count() == 1


def silent(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(1.5)


def dripping_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(30):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def dripping_head(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(15):
        handler.wfile.write(f"X-{number}: 1\r\n".encode())
        time.sleep(0.1)


def endless_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65536)


def answer_of(body: bytes, status: int = 200, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: kit.reply(handler, body, status, named)


GOOD = json.dumps({"keys": [FIRST]}).encode()

UNUSABLE = {
    "silent": (silent, "/jwks: "),
    "dripping-body": (dripping_body, "too long"),
    "dripping-head": (dripping_head, "too long"),
    "endless-body": (endless_body, "larger"),
    "large-body": (answer_of(GOOD + b" " * 1024 * 1024), "larger"),
    "500-with-json": (answer_of(GOOD, 500), "500"),
    "201": (answer_of(GOOD, 201), "201"),
    "302": (answer_of(b"", 302, Location="/other"), "302"),
    "308": (answer_of(GOOD, 308, Location="/other"), "308"),
    "html": (answer_of(b"<html>"), "not JSON"),
    "empty": (answer_of(b""), "not JSON"),
    "list": (answer_of(b"[]"), "no list of keys"),
    "keys-object": (answer_of(b'{"keys": {}}'), "no list of keys"),
    "depth-bomb": (answer_of(b"[" * 100_000), "nested"),
    "101-keys": (answer_of(json.dumps({"keys": [{}] * 101}).encode()), "100 keys"),
    "compressed": (answer_of(GOOD, 200, Content_Encoding="gzip"), "compressed"),
    "no-http": (lambda handler: handler.wfile.write(b"hello\r\n\r\n"), "Error"),
}


@pytest.mark.parametrize(("answer", "why"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_unusable_answers_are_503_and_say_why(chain, remote, provider, answer, why):
    provider.answers["/jwks"] = answer
    provider.publishes(FIRST, path="/other")
    with pytest.raises(UpstreamUnavailable) as refused:
        chain(remote).session(kit.bearer(kit.token()), kit.NOW)
    assert refused.value.status == 503
    assert why in refused.value.hint
    assert provider.count("/other") == 0


@pytest.mark.parametrize(
    "answer", [dripping_head, answer_of(b"", 500), answer_of(b"[]")], ids=["late", "500", "list"]
)
def test_hints_do_not_hold_the_query(chain, remote, provider, answer):
    provider.answers["/jwks?code=SECRET"] = answer
    with pytest.raises(UpstreamUnavailable) as refused:
        accepted(chain({**remote, "jwks_url": f"{provider.url}/jwks?code=SECRET"}))
    assert refused.value.hint.startswith(f"{provider.url}/jwks: ")
    assert "SECRET" not in refused.value.hint
    assert provider.asked == ["/jwks?code=SECRET"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://idp.example.com/keys", "https://idp.example.com/keys"),
        ("https://idp.example.com:8443?code=SECRET", "https://idp.example.com:8443"),
        ("https://us@r:SECRET@idp.example.com/keys", "https://idp.example.com/keys"),
        ("https://SECRET@[::1]:8443/keys?a=SECRET#SECRET", "https://[::1]:8443/keys"),
    ],
)
def test_hints_name_the_url_without_query_and_userinfo(url, shown):
    assert unavailable(url, "why").hint == f"{shown}: why"


def test_a_fetch_itself_ends_at_its_deadline(provider):
    """Otherwise a provider that drips would keep the one fetch at a time busy."""
    provider.answers["/jwks"] = dripping_body
    outbound = Outbound(verify=True, clock=time.monotonic)
    with pytest.raises(UpstreamUnavailable, match=r"not answer usably") as refused:
        outbound.get_json(f"{provider.url}/jwks", time.monotonic() + 0.25)
    assert "too long" in refused.value.hint


def test_a_fetch_past_its_deadline_asks_nobody(provider):
    with pytest.raises(UpstreamUnavailable):
        Outbound(verify=True, clock=lambda: 10.0).get_json(f"{provider.url}/jwks", 10.0)
    assert provider.asked == []


def test_no_server_at_all_is_503(chain, remote):
    with pytest.raises(UpstreamUnavailable) as refused:
        chain({**remote, "jwks_url": "http://127.0.0.1:1/jwks"}).session(
            kit.bearer(kit.token()), kit.NOW
        )
    assert "127.0.0.1:1" in refused.value.hint
    assert "127.0.0.1" not in refused.value.detail


def test_chunked_answers_are_read(chain, remote, provider):
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Connection", "close")
        handler.end_headers()
        for part in (GOOD[:9], GOOD[9:]):
            handler.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    provider.answers["/jwks"] = answer
    assert accepted(chain(remote))


SYMMETRIC = {"kty": "oct", "kid": "rsa-1", "k": kit.b64(b"k" * 32)}

UNUSABLE_KEYS = {
    "symmetric": SYMMETRIC,
    "for-encryption": {**FIRST, "use": "enc"},
    "not-for-verifying": {**FIRST, "key_ops": ["encrypt"]},
    "of-another-algorithm": {**FIRST, "alg": "RS512"},
    "for-oaep": {**FIRST, "alg": "RSA-OAEP"},
    "private": {**FIRST, "d": "AQAB"},
    "kid-number": {**FIRST, "kid": 1},
    "kty-unknown": {**FIRST, "kty": "LWE"},
    "kty-list": {**FIRST, "kty": ["RSA"]},
    "modulus-missing": {"kty": "RSA", "kid": "rsa-1", "e": "AQAB"},
    "modulus-number": {**FIRST, "n": 5},
    "rsa-1024": {**FIRST, "n": kit.b64(b"\xc1" * 128)},
    "rsa-16384": {**FIRST, "n": kit.b64(b"\xc1" * 2048)},
    "point-off-the-curve": {
        "kty": "EC",
        "crv": "P-256",
        "kid": "rsa-1",
        "x": kit.b64(b"\x01" * 32),
        "y": kit.b64(b"\x01" * 32),
    },
    "x25519": {"kty": "OKP", "crv": "X25519", "kid": "rsa-1", "x": kit.b64(b"\x01" * 32)},
    "text": "key",
}


@pytest.mark.parametrize("key", UNUSABLE_KEYS.values(), ids=UNUSABLE_KEYS.keys())
def test_unusable_keys_are_passed_over(chain, remote, provider, key):
    provider.publishes(key, SECOND)
    sources = chain({**remote, "algorithms": ["RS256", "ES256", "EdDSA"]})
    assert refusal(sources, kit.token()) == "key_unknown"
    assert accepted(sources, NEW_TOKEN)


@pytest.mark.parametrize(
    ("key", "alg"), [(kit.P384_KEY, "ES256"), (kit.EC_KEY, "ES384"), (kit.EC_KEY, "RS256")]
)
def test_algorithm_must_fit_the_key(chain, remote, provider, key, alg):
    provider.publishes(kit.jwk(key, "k"))
    header = json.dumps({"alg": alg, "kid": "k"}).encode()
    text = kit.raw_token(header, json.dumps(kit.claims()).encode(), sign=lambda _: bytes(64))
    sources = chain({**remote, "algorithms": ["ES256", "ES384", "RS256"]})
    assert refusal(sources, text) == "key_unknown"


@pytest.fixture
def discovered(remote, provider) -> dict[str, Any]:
    provider.publishes(kit.jwk(kit.RSA_KEY, "rsa-1"))
    del remote["jwks_url"]
    return {**remote, "issuer": provider.url}


def publish_metadata(provider, **changes: Any) -> None:
    metadata = {"issuer": provider.url, "jwks_uri": f"{provider.url}/jwks", **changes}
    provider.answers_json(metadata, path="/.well-known/openid-configuration")


def test_discovery(chain, discovered, provider):
    publish_metadata(provider)
    assert accepted(chain(discovered), kit.token(kit.claims(iss=provider.url)))


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example.com"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "http://keys.example.com/jwks"},
        {"jwks_uri": "http://[::1/jwks"},
        {"jwks_uri": "http:///jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://user:pw@keys.example.com/jwks"},
        {"jwks_uri": ["https://keys.example.com/jwks"]},
    ],
    ids=str,
)
def test_discovery_that_is_not_believed(chain, discovered, provider, changes):
    publish_metadata(provider, **changes)
    text = kit.token(kit.claims(iss=provider.url))
    assert refusal(chain(discovered), text) == "upstream_unavailable"
    assert provider.asked == ["/.well-known/openid-configuration"]


def test_discovery_of_another_issuer_with_a_slash(chain, discovered, provider):
    publish_metadata(provider, issuer=provider.url + "/")
    text = kit.token(kit.claims(iss=provider.url))
    assert refusal(chain(discovered), text) == "upstream_unavailable"


def test_discovery_list_is_no_metadata(chain, discovered, provider):
    provider.answers_json([], path="/.well-known/openid-configuration")
    text = kit.token(kit.claims(iss=provider.url))
    assert refusal(chain(discovered), text) == "upstream_unavailable"


def test_an_issuer_that_is_down_does_not_hold_up_another(chain, remote, jwt_source):
    down = {
        **remote,
        "name": "down",
        "issuer": "https://down.example.com",
        "jwks_url": "http://127.0.0.1:1/jwks",
    }
    assert accepted(chain(down, jwt_source))


@pytest.fixture
def tls_provider(provider, tmp_path):
    """The provider behind TLS, and the path of the CA that vouches for it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return context, path


def test_provider_with_a_certificate_of_a_private_ca(chain, remote, tls_provider):
    context, ca = tls_provider
    with kit.running_provider(context) as provider:
        provider.publishes(FIRST)
        source = {**remote, "jwks_url": f"{provider.url}/jwks"}
        assert refusal(chain(source)) == "upstream_unavailable"
        assert provider.count() == 0
        assert accepted(chain({**source, "tls_client_ca": str(ca)}))
