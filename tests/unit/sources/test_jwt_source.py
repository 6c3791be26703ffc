"""Upstream JWTs that are accepted, and what of them travels on."""

from __future__ import annotations

from typing import Any

import pytest
import sources_kit as kit

from embedjwt.config.problems import ConfigError
from embedjwt.errors import NoSession, SessionRefused

SECRET = "0123456789abcdef0123456789abcdef"


def test_session_carries_verified_claims_and_expiry(chain, jwt_source):
    source = {**jwt_source, "name": "sso", "subject_prefix": "sso:"}
    session = chain(source).session(kit.bearer(kit.token()), kit.NOW)
    assert session.source == "sso"
    assert session.subject_prefix == "sso:"
    assert session.documents.id_token == kit.claims()
    assert session.documents.userinfo is None
    assert session.expires_at == kit.NOW + 300
    assert session.ambient is False


@pytest.mark.parametrize(
    ("place", "headers", "ambient"),
    [
        ({}, {"Authorization": "Bearer {}"}, False),
        ({}, {"Authorization": "bEARER   {}"}, False),
        ({"header": "authorization"}, {"Authorization": "Bearer {}"}, False),
        ({"header": "X-Id-Token"}, {"X-Id-Token": "{}"}, False),
        ({"header": "X-Id-Token"}, {"X-Id-Token": "Bearer {}"}, False),
        ({"cookie": "id_token"}, {"Cookie": "a=b; id_token={}; c=d"}, True),
        ({"cookie": "id_token"}, {"Cookie": "id_token={0}; id_token={0}; id_token="}, True),
    ],
    ids=["bearer", "case", "named", "bare", "prefixed", "cookie", "same-cookie-twice"],
)
def test_places(chain, jwt_source, place, headers, ambient):
    filled = {name: value.format(kit.token()) for name, value in headers.items()}
    session = chain({**jwt_source, **place}).session(kit.request(filled), kit.NOW)
    assert session.ambient is ambient


@pytest.mark.parametrize(
    ("place", "headers"),
    [
        ({}, {}),
        ({}, {"Authorization": "Basic dTpw"}),
        ({}, {"Authorization": 'Digest username="u", realm="r"'}),
        ({}, {"X-Id-Token": "x"}),
        ({"header": "X-Id-Token"}, {"X-Id-Token": " "}),
        ({"header": "X-Id-Token"}, {"Authorization": "Bearer x"}),
        ({"cookie": "id_token"}, {"Cookie": "id_token=; other=1"}),
    ],
)
def test_nothing_of_its_kind_is_nobody(chain, jwt_source, place, headers):
    with pytest.raises(NoSession) as refused:
        chain({**jwt_source, **place}).session(kit.request(headers), kit.NOW)
    assert refused.value.code == "login_required"


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("RS256", kit.RSA_KEY),
        ("RS512", kit.RSA_KEY),
        ("PS256", kit.RSA_KEY),
        ("ES256", kit.EC_KEY),
        ("ES384", kit.P384_KEY),
        ("EdDSA", kit.ED_KEY),
    ],
)
@pytest.mark.parametrize("form", ["jwks", "pem"])
def test_algorithms(chain, jwt_source, jwks_file, tmp_path, alg, key, form):
    pem = tmp_path / "key.pem"
    pem.write_bytes(kit.pem(key))
    path = pem if form == "pem" else jwks_file(kit.jwk(key, "k", alg=alg, use="sig"))
    source = {**jwt_source, "key_file": str(path), "algorithms": [alg]}
    text = kit.token(key=key, alg=alg, kid="k")
    assert chain(source).session(kit.bearer(text), kit.NOW).documents.id_token == kit.claims()


@pytest.mark.parametrize("where", ["secret", "secret_file"])
def test_shared_secret(chain, jwt_source, tmp_path, where):
    del jwt_source["key_file"]
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    source = {
        **jwt_source,
        "algorithms": ["HS256"],
        where: SECRET if where == "secret" else str(path),
    }
    text = kit.token(key=SECRET, alg="HS256", kid=None)
    assert chain(source).session(kit.bearer(text), kit.NOW).documents.id_token == kit.claims()


@pytest.mark.parametrize(
    "typ", ["JWT", "jwt", "at+jwt", "application/at+jwt", "application/JWT", ""]
)
def test_types(chain, jwt_source, typ):
    text = kit.token(typ=typ)
    assert chain(jwt_source).session(kit.bearer(text), kit.NOW).source == "jwt"


@pytest.mark.parametrize("aud", ["embed", ["other", "embed"]])
def test_one_audience_of_several_is_enough(chain, jwt_source, aud):
    source = {**jwt_source, "audience": ["embed", "more"]}
    text = kit.token(kit.claims(aud=aud))
    assert chain(source).session(kit.bearer(text), kit.NOW).source == "jwt"


def test_no_audience_on_purpose(chain, jwt_source):
    source = {**jwt_source, "audience": []}
    text = kit.token(kit.claims(aud=None))
    assert chain(source).session(kit.bearer(text), kit.NOW).source == "jwt"


def test_fractions_of_seconds_are_cut(chain, jwt_source):
    text = kit.token(kit.claims(exp=kit.NOW + 9.9))
    assert chain(jwt_source).session(kit.bearer(text), kit.NOW).expires_at == kit.NOW + 9


def test_subject_may_be_left_out_where_it_is_not_required(chain, jwt_source):
    text = kit.token(kit.claims(sub=None))
    source = {**jwt_source, "require": ["iat"]}
    assert chain(source).session(kit.bearer(text), kit.NOW).source == "jwt"


@pytest.fixture
def two_issuers(jwt_source, tmp_path) -> list[dict[str, Any]]:
    pem = tmp_path / "other.pem"
    pem.write_bytes(kit.pem(kit.OTHER_RSA_KEY))
    other = {"name": "b", "issuer": "https://b.example.com", "key_file": str(pem)}
    return [{**jwt_source, "name": "a"}, {**jwt_source, **other}]


def test_issuers_share_a_header(chain, two_issuers):
    both = chain(*two_issuers)
    mine = kit.token()
    other = kit.token(kit.claims(iss="https://b.example.com"), key=kit.OTHER_RSA_KEY)
    assert both.session(kit.bearer(mine), kit.NOW).source == "a"
    assert both.session(kit.bearer(other), kit.NOW).source == "b"
    assert both.session(kit.bearer(other), kit.NOW).source == "b"


def test_one_issuer_cannot_speak_for_another(chain, two_issuers):
    forged = kit.token(kit.claims(iss="https://b.example.com"), key=kit.RSA_KEY)
    with pytest.raises(SessionRefused) as refused:
        chain(*two_issuers).session(kit.bearer(forged), kit.NOW)
    assert refused.value.code == "signature_invalid"


def test_unknown_issuer_ends_the_chain(chain, jwt_source):
    """Neither the next issuer's source nor another kind of source may answer for it."""
    cookie = {"type": "cookie", "secret_keys": ["k" * 32]}
    text = kit.token(kit.claims(iss="https://who.example.com"))
    with pytest.raises(SessionRefused) as refused:
        chain(jwt_source, cookie).session(kit.bearer(text), kit.NOW)
    assert refused.value.code == "issuer_unknown"


def test_same_issuer_twice_at_one_place_is_a_configuration_error(chain, jwt_source):
    with pytest.raises(ConfigError) as refused:
        chain({**jwt_source, "name": "a"}, {**jwt_source, "name": "b"})
    assert [problem.key for problem in refused.value.problems] == ["source.1.issuer"]


def test_seen_token_is_checked_against_the_time_again(chain, jwt_source):
    sources = chain({**jwt_source, "leeway": 0})
    request = kit.bearer(kit.token(kit.claims(exp=kit.NOW + 30)))
    first = sources.session(request, kit.NOW)
    assert sources.session(request, kit.NOW + 29) is first
    with pytest.raises(SessionRefused) as refused:
        sources.session(request, kit.NOW + 30)
    assert refused.value.code == "token_expired"


@pytest.mark.parametrize(("later", "same"), [(59, True), (60, False), (-1, False)])
def test_seen_token_is_verified_again_after_a_minute(chain, jwt_source, later, same):
    sources = chain(jwt_source)
    request = kit.bearer(kit.token())
    first = sources.session(request, kit.NOW)
    again = sources.session(request, kit.NOW + later)
    assert again.documents == first.documents
    assert (again is first) is same


def test_seen_tokens_are_bounded(chain, jwt_source, monkeypatch):
    monkeypatch.setattr("embedjwt.sources.sessions.MAX_SESSIONS", 2)
    sources = chain(jwt_source)
    requests = [kit.bearer(kit.token(kit.claims(sub=name))) for name in "abc"]
    a, b = (sources.session(request, kit.NOW) for request in requests[:2])
    assert sources.session(requests[0], kit.NOW) is a  # now b is the one unused longest
    sources.session(requests[2], kit.NOW)
    assert sources.session(requests[0], kit.NOW) is a
    assert sources.session(requests[1], kit.NOW) is not b
