"""Where a provider's endpoints and keys come from, and what is believed of its metadata."""

from __future__ import annotations

import time

import oidc_kit as kit
import pytest

from embedjwt.errors import UpstreamUnavailable
from embedjwt.oidc.provider import Metadata
from embedjwt.oidc.token_endpoint import redeem_code
from embedjwt.sources.remote import MAX_AGE, MAX_STALE


def eventually(condition) -> bool:
    """Waits, for a second at most, for what another thread is about to do."""
    for _ in range(100):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_everything_is_discovered(provider, server):
    kit.publish(
        server,
        authorization_response_iss_parameter_supported=True,
        token_endpoint_auth_methods_supported=["client_secret_post", 5],
    )
    assert server.asked == []
    assert provider.metadata() == Metadata(
        issuer=server.url,
        authorization_endpoint=f"{server.url}/authorize",
        token_endpoint=f"{server.url}/token",
        userinfo_endpoint=f"{server.url}/userinfo",
        jwks_uri=f"{server.url}/jwks",
        end_session_endpoint=f"{server.url}/end",
        iss_parameter_supported=True,
        token_endpoint_auth_methods=("client_secret_post",),
    )
    provider.metadata()
    assert server.paths() == [kit.DISCOVERY]


def test_little_is_needed_in_the_metadata(provider, server):
    kit.publish(server, userinfo_endpoint=None, jwks_uri=None, end_session_endpoint=None)
    metadata = provider.metadata()
    assert metadata.userinfo_endpoint is metadata.jwks_uri is metadata.end_session_endpoint is None
    assert metadata.iss_parameter_supported is False
    with pytest.raises(UpstreamUnavailable) as refused:
        provider.keys.current()
    assert "jwk_set_url" in refused.value.hint


def test_what_the_operator_gives_wins_and_is_no_data(server):
    given = {
        "auth_url": "https://login.example.com/authorize",
        "token_url": "http://login.internal/token",
        "api_url": "http://login.internal/me",
        "jwk_set_url": "http://login.internal/jwks",
    }
    kit.publish(server, token_endpoint="https://other.example.com/token")
    for name, url in given.items():
        provider = kit.provider_of(server.url, **{name: url})
        assert provider.data_of(url) is None
        metadata = provider.metadata()
        assert url in (
            metadata.authorization_endpoint,
            metadata.token_endpoint,
            metadata.userinfo_endpoint,
            metadata.jwks_uri,
        )
        if name != "token_url":
            assert provider.data_of(metadata.token_endpoint) == server.url


URLS = {
    "auth_url": "https://idp.example.com/authorize",
    "token_url": "https://idp.example.com/token",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": None},
        {"issuer": None, "scopes": ("openid",)},
        {"scopes": ("email",)},
        {"scopes": ()},
        {"jwk_set_url": "https://idp.example.com/jwks"},
    ],
    ids=str,
)
def test_nothing_is_discovered_where_nothing_is_missing(server, changes):
    provider = kit.provider_of(**{"issuer": server.url, **URLS, **changes})
    metadata = provider.metadata()
    assert metadata.authorization_endpoint == URLS["auth_url"]
    assert metadata.token_endpoint == URLS["token_url"]
    assert metadata.issuer == (provider.issuer or "")
    assert server.asked == []


def test_keys_are_discovered_where_only_they_are_missing(server):
    provider = kit.provider_of(server.url, **URLS)
    assert len(provider.keys.current().keys) == 2
    assert server.paths() == [kit.DISCOVERY, "/jwks"]
    assert provider.metadata().token_endpoint == URLS["token_url"]


def test_without_an_issuer_no_id_token_counts(server):
    assert kit.provider_of(server.url).uses_id_token
    assert not kit.provider_of(server.url, scopes=("email",)).uses_id_token
    assert not kit.provider_of(None, **URLS).uses_id_token


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example.com"},
        {"issuer": None},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "http://login.example.com/authorize"},
        {"token_endpoint": None},
        {"token_endpoint": "http://login.example.com/token"},
        {"token_endpoint": "http://169.254.169.254/latest"},
        {"token_endpoint": "https://me:pw@login.example.com/token"},
        {"token_endpoint": "file:///etc/passwd"},
        {"token_endpoint": ["https://login.example.com/token"]},
        {"userinfo_endpoint": "gopher://login.example.com/userinfo"},
        {"jwks_uri": "http://[::1/jwks"},
        {"jwks_uri": 5},
        {"end_session_endpoint": "http://login.example.com/end"},
    ],
    ids=str,
)
def test_metadata_that_is_not_believed(provider, server, changes):
    kit.publish(server, **changes)
    with pytest.raises(UpstreamUnavailable) as refused:
        provider.metadata()
    assert kit.DISCOVERY in refused.value.hint
    assert "pw" not in refused.value.hint
    assert server.paths() == [kit.DISCOVERY]


@pytest.mark.parametrize(("configured", "named"), [("/", ""), ("", "/"), ("", "/tenant")])
def test_the_issuer_counts_to_the_slash(server, configured, named):
    kit.publish(server, issuer=server.url + named)
    with pytest.raises(UpstreamUnavailable):
        kit.provider_of(server.url + configured).metadata()


@pytest.mark.parametrize("answer", [b"[]", b"<html>", b'{"issuer": "a", "issuer": "b"}'])
def test_an_answer_that_is_no_metadata(provider, server, answer):
    server.answers_bytes(kit.DISCOVERY, answer)
    with pytest.raises(UpstreamUnavailable):
        provider.metadata()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_endpoint_in_our_own_network_is_not_asked(server, host):
    """The issuer is public; its metadata names a service that only we can reach."""
    port = server.url.rpartition(":")[2]
    kit.publish(server, issuer="https://idp.example.com")
    provider = kit.provider_of(server.url)
    provider.issuer = "https://idp.example.com"
    metadata = {
        "issuer": "https://idp.example.com",
        "authorization_endpoint": "https://idp.example.com/authorize",
        "token_endpoint": f"https://{host}:{port}/token",
        "jwks_uri": f"https://{host}:{port}/jwks",
    }
    provider.outbound.get_json = lambda *_, **__: metadata  # the public issuer's answer
    with pytest.raises(UpstreamUnavailable) as refused:
        redeem_code(provider, "code", kit.attempt())
    assert "not public" in refused.value.hint
    assert server.asked == []


def test_a_provider_that_is_down_is_known_from_before(provider, server, clock):
    before = provider.metadata()
    keys = provider.keys.current()
    server.answers_json(kit.DISCOVERY, {}, 500)
    server.answers_json("/jwks", {}, 500)
    clock.seconds += 2 * MAX_AGE
    assert provider.metadata() == before
    assert provider.keys.current() == keys
    clock.seconds += MAX_STALE
    for ask in (provider.metadata, provider.keys.current):
        with pytest.raises(UpstreamUnavailable):
            ask()


def test_a_provider_that_moves_is_followed(provider, server, clock):
    provider.metadata()
    kit.publish(server, token_endpoint=f"{server.url}/new")
    clock.seconds += MAX_AGE
    assert eventually(lambda: provider.metadata().token_endpoint == f"{server.url}/new")
