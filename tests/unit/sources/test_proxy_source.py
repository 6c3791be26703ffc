"""Identity headers: from whom they are believed, and what is made of them."""

from __future__ import annotations

from typing import Any

import pytest
import sources_kit as kit

from embedjwt.errors import NoSession, SessionRefused

PROXY = "10.0.0.5"
WEB = {"trusted_proxies": ["10.0.0.0/24", "2001:db8::/64"]}

OAUTH2_PROXY = {"type": "proxy", "preset": "oauth2-proxy"}
AUTHELIA = {"type": "proxy", "preset": "authelia"}
AUTHENTIK = {"type": "proxy", "preset": "authentik"}
OWN = {"type": "proxy", "user_header": "X-User", "groups_header": "X-Groups"}


def latin(text: str) -> str:
    """UTF-8 as a WSGI server hands it over (PEP 3333)."""
    return text.encode().decode("latin-1")


def claims_of(chain, source: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    session = chain(source, **WEB).session(kit.request(headers, peer=PROXY), kit.NOW)
    return dict(session.documents.id_token)


@pytest.mark.parametrize(
    ("source", "headers", "expected"),
    [
        (
            OAUTH2_PROXY,
            {
                "X-Auth-Request-User": "0a1b",
                "X-Auth-Request-Preferred-Username": "jane",
                "X-Auth-Request-Email": "jane@example.com",
                "X-Auth-Request-Groups": "dev, ops,,role:admin",
            },
            {
                "sub": "0a1b",
                "login": "jane",
                "preferred_username": "jane",
                "email": "jane@example.com",
                "groups": ["dev", "ops", "role:admin"],
            },
        ),
        (OAUTH2_PROXY, {"X-Auth-Request-User": "0a1b"}, {"sub": "0a1b"}),
        (
            {**OAUTH2_PROXY, "subject_header": "X-Forwarded-User"},
            {"X-Forwarded-User": "0a1b", "X-Auth-Request-User": "other"},
            {"sub": "0a1b"},
        ),
        (
            AUTHELIA,
            {
                "Remote-User": "jane",
                "Remote-Name": "Doe, Jane",
                "Remote-Email": "jane@example.com",
                "Remote-Groups": "dev,ops",
            },
            {
                "sub": "jane",
                "login": "jane",
                "preferred_username": "jane",
                "email": "jane@example.com",
                "name": "Doe, Jane",
                "groups": ["dev", "ops"],
            },
        ),
        (
            AUTHENTIK,
            {
                "X-authentik-uid": "f00d",
                "X-authentik-username": "jane",
                "X-authentik-name": latin("Jäne Dœ 医"),
                "X-authentik-groups": "dev|Sales, EMEA|ops",
            },
            {
                "sub": "f00d",
                "login": "jane",
                "preferred_username": "jane",
                "name": "Jäne Dœ 医",
                "groups": ["dev", "Sales, EMEA", "ops"],
            },
        ),
        (
            {**OWN, "groups_separator": ";"},
            {"X-User": "jane", "X-Groups": "a;b", "Remote-User": "other"},
            {
                "sub": "jane",
                "login": "jane",
                "preferred_username": "jane",
                "groups": ["a", "b"],
            },
        ),
    ],
    ids=["oauth2-proxy", "user-only", "override", "authelia", "authentik", "own"],
)
def test_claims(chain, source, headers, expected):
    assert claims_of(chain, source, headers) == expected


def test_session_has_no_known_end(chain):
    source = {**OWN, "name": "sso", "subject_prefix": "p:"}
    session = chain(source, **WEB).session(kit.request({"X-User": "jane"}, peer=PROXY), kit.NOW)
    assert (session.source, session.subject_prefix) == ("sso", "p:")
    assert session.ambient is False
    assert session.expires_at is None


@pytest.mark.parametrize("headers", [{}, {"X-User": ""}, {"X-User": " ", "X-Groups": ""}])
@pytest.mark.parametrize("peer", [PROXY, "203.0.113.9"])
def test_empty_headers_are_nobody(chain, headers, peer):
    with pytest.raises(NoSession):
        chain(OWN, **WEB).session(kit.request(headers, peer=peer), kit.NOW)


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        (PROXY, True),
        ("10.0.0.255", True),
        ("::ffff:10.0.0.5", True),
        ("2001:db8::1", True),
        ("10.0.1.5", False),
        ("::ffff:10.0.1.5", False),
        ("2001:db8:0:1::1", False),
        ("::10.0.0.5", False),
        ("127.0.0.1", False),
        ("", False),
        ("unix:", False),
        ("10.0.0.5, 203.0.113.9", False),
        ("010.0.0.5", False),
    ],
)
def test_only_trusted_peers_are_believed(chain, peer, trusted):
    cookie = {"type": "cookie", "secret_keys": ["k" * 32]}
    headers = {"X-User": "admin", "X-Forwarded-For": PROXY, "X-Real-Ip": PROXY}
    sources = chain(OWN, cookie, **WEB)
    if trusted:
        assert sources.session(kit.request(headers, peer=peer), kit.NOW).source == "proxy"
        return
    with pytest.raises(SessionRefused) as refused:
        sources.session(kit.request(headers, peer=peer), kit.NOW)
    assert refused.value.code == "peer_not_trusted"


@pytest.mark.parametrize("header", ["X-User", "X-Groups"])
def test_any_identity_header_from_a_stranger_is_refused(chain, header):
    with pytest.raises(SessionRefused) as refused:
        chain(OWN, **WEB).session(kit.request({header: "x"}), kit.NOW)
    assert refused.value.code == "peer_not_trusted"


INVALID = {
    "user-twice": [("X-User", "jane"), ("X-User", "admin")],
    "user-with-comma": [("X-User", "jane, admin")],
    "user-nul": [("X-User", "jane\x00")],
    "user-tab": [("X-User", "ja\tne")],
    "user-new-line": [("X-User", "jane\nX-Groups: admin")],
    "user-c1-control": [("X-User", latin("jane\x85"))],
    "user-zero-width": [("X-User", latin("ja\u200bne"))],
    "user-right-to-left": [("X-User", latin("\u202enimda"))],
    "user-no-break-space": [("X-User", latin("jane\u00a0"))],
    "user-latin-1": [("X-User", "J\xe4ne")],
    "user-overlong-utf-8": [("X-User", "\xc0\xaf")],
    "user-surrogate": [("X-User", "\xed\xa0\x80")],
    "user-not-wsgi": [("X-User", "J\u0151ne")],
    "user-long": [("X-User", "j" * 1025)],
    "email-twice": [("X-User", "jane"), ("X-Email", "a@b"), ("X-Email", "c@d")],
    "name-twice": [("X-User", "jane"), ("X-Name", "Jane"), ("X-Name", "Admin")],
    "name-line-separator": [("X-User", "jane"), ("X-Name", latin("Ja\u2028ne"))],
    "groups-long": [("X-User", "jane"), ("X-Groups", "g" * 16385)],
    "groups-control": [("X-User", "jane"), ("X-Groups", "a|\x7f")],
    "groups-twice": [("X-User", "jane"), ("X-Groups", "a|b"), ("X-Groups", "admin")],
}


@pytest.mark.parametrize("headers", INVALID.values(), ids=INVALID.keys())
def test_hostile_values_are_refused(chain, headers):
    source = {
        **OWN,
        "email_header": "X-Email",
        "name_header": "X-Name",
        "groups_separator": "|",
    }
    with pytest.raises(SessionRefused) as refused:
        chain(source, **WEB).session(kit.request(headers, peer=PROXY), kit.NOW)
    assert refused.value.code == "identity_header_invalid"
    assert "admin" not in refused.value.detail + refused.value.hint


def test_groups_of_nobody_are_refused(chain):
    with pytest.raises(SessionRefused) as refused:
        claims_of(chain, OWN, {"X-Groups": "admin"})
    assert refused.value.code == "identity_header_missing"
