"""Signed cookies of host applications, made by Flask and by itsdangerous themselves."""

from __future__ import annotations

import datetime
import hashlib
import uuid
from typing import Any

import flask
import pytest
import sources_kit as kit
import time_machine
from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer
from markupsafe import Markup

from embedjwt.errors import NoSession, SessionRefused

KEY = "the host application's secret key"
OLD_KEY = "an old key of the host application"
JANE = {"sub": "42", "login": "jane", "email": "jane@example.com"}

FLASK = {"type": "cookie", "secret_keys": [OLD_KEY, KEY], "claims_path": "user"}
TIMED = {**FLASK, "format": "itsdangerous", "cookie_name": "sso"}


def flask_cookie(session: dict[str, Any], *, key: str = KEY, at: float = kit.NOW) -> str:
    """The cookie that a Flask application sets for a session."""
    app = flask.Flask(__name__)
    app.secret_key = key

    @app.get("/")
    def login() -> str:
        flask.session.update(session)
        return ""

    with time_machine.travel(at, tick=False):
        client = app.test_client()
        client.get("/")
        cookie = client.get_cookie("session")
    assert cookie is not None
    return cookie.value


def timed_cookie(
    content: Any, *, key: str = KEY, at: float = kit.NOW, salt: str = "itsdangerous", **signer: Any
) -> str:
    with time_machine.travel(at, tick=False):
        return URLSafeTimedSerializer(key, salt=salt, signer_kwargs=signer).dumps(content)


def with_cookie(value: str, name: str = "session") -> Any:
    return kit.request({"Cookie": f"theme=dark; {name}={value}"})


def refusal(sources: Any, request: Any, now: int = kit.NOW) -> str:
    with pytest.raises(SessionRefused) as refused:
        sources.session(request, now)
    return refused.value.code


def test_flask_session(chain):
    source = {**FLASK, "name": "host", "subject_prefix": "h:"}
    session = chain(source).session(with_cookie(flask_cookie({"user": JANE})), kit.NOW + 10)
    assert (session.source, session.subject_prefix) == ("host", "h:")
    assert session.documents.id_token == JANE
    assert session.expires_at == kit.NOW + 3600
    assert session.ambient is True


def test_timed_serializer(chain):
    request = with_cookie(timed_cookie({"user": JANE}), "sso")
    assert chain(TIMED).session(request, kit.NOW).documents.id_token == JANE


def test_whole_content_is_the_default(chain):
    request = with_cookie(timed_cookie(JANE), "sso")
    source = {**TIMED, "claims_path": "@"}
    assert chain(source).session(request, kit.NOW).documents.id_token == JANE


def test_compressed_content(chain):
    claims = {**JANE, "groups": ["a-rather-long-group-name"] * 50}
    value = flask_cookie({"user": claims})
    assert value.startswith(".")
    assert chain(FLASK).session(with_cookie(value), kit.NOW).documents.id_token == claims


def test_types_that_flask_knows_and_json_does_not(chain):
    number = uuid.UUID(int=7)
    since = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    user = {
        **JANE,
        "id": number,
        "since": since,
        "name": Markup("Jane"),
        "groups": ("a", "b"),
        "raw": b"x",
    }
    claims = chain(FLASK).session(with_cookie(flask_cookie({"user": user})), kit.NOW)
    assert claims.documents.id_token == {
        **JANE,
        "id": str(number),
        "since": int(since.timestamp()),
        "name": "Jane",
        "groups": ["a", "b"],
        "raw": None,
    }
    assert type(claims.documents.id_token["name"]) is str


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n"])
def test_every_key_of_the_file_verifies(chain, tmp_path, key, ending):
    path = tmp_path / "keys"
    path.write_bytes(ending.join([OLD_KEY, KEY, ""]).encode())
    path.chmod(0o600)
    source = {**FLASK, "secret_keys": [], "secret_keys_file": str(path)}
    request = with_cookie(flask_cookie({"user": JANE}, key=key))
    assert chain(source).session(request, kit.NOW).documents.id_token == JANE


def test_spaces_around_a_key_belong_to_it(chain, tmp_path):
    path = tmp_path / "keys"
    path.write_text(f" {KEY} \n")
    path.chmod(0o600)
    source = {**FLASK, "secret_keys": [], "secret_keys_file": str(path)}
    sources = chain(source)
    request = with_cookie(flask_cookie({"user": JANE}, key=f" {KEY} "))
    assert sources.session(request, kit.NOW).documents.id_token == JANE
    assert refusal(sources, with_cookie(flask_cookie({"user": JANE}))) == "signature_invalid"


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("derivation", ["concat", "django-concat", "hmac", "none"])
def test_signing_schemes(chain, digest, derivation):
    scheme = {"salt": "host.sso", "key_derivation": derivation, "digest_method": digest}
    value = timed_cookie(
        JANE,
        salt="host.sso",
        key_derivation=derivation,
        digest_method=getattr(hashlib, digest),
    )
    source = {**TIMED, **scheme, "claims_path": "@"}
    assert chain(source).session(with_cookie(value, "sso"), kit.NOW).documents.id_token == JANE


@pytest.mark.parametrize(
    ("signed", "outcome"),
    [
        (60, "ok"),
        (61, "cookie_not_yet_valid"),
        (0, "ok"),
        (-599, "ok"),
        (-600, "cookie_expired"),
        (10**9, "cookie_not_yet_valid"),
    ],
)
def test_age(chain, signed, outcome):
    sources = chain({**FLASK, "max_age": 600})
    request = with_cookie(flask_cookie({"user": JANE}, at=kit.NOW + signed))
    if outcome == "ok":
        assert sources.session(request, kit.NOW).expires_at == kit.NOW + signed + 600
    else:
        assert refusal(sources, request) == outcome


@pytest.mark.parametrize(
    ("exp", "outcome"),
    [
        (kit.NOW + 60, kit.NOW + 60),
        (kit.NOW + 60.5, kit.NOW + 60),
        (kit.NOW + 99999, kit.NOW + 3600),
        (None, kit.NOW + 3600),
        (kit.NOW, "cookie_expired"),
        ("soon", "claim_invalid"),
        (True, "claim_invalid"),
    ],
)
def test_exp_among_the_claims_bounds_the_session(chain, exp, outcome):
    request = with_cookie(flask_cookie({"user": {**JANE, "exp": exp}}))
    if isinstance(outcome, int):
        assert chain(FLASK).session(request, kit.NOW).expires_at == outcome
    else:
        assert refusal(chain(FLASK), request) == outcome


@pytest.mark.parametrize(
    "session", [{"csrf_token": "x"}, {"user": None, "a": 1}, {"user": {}, "a": 1}]
)
def test_nobody_signed_in_at_the_host(chain, session):
    with pytest.raises(NoSession):
        chain(FLASK).session(with_cookie(flask_cookie(session)), kit.NOW)


@pytest.mark.parametrize("cookie", ["", "session=", "other=x"])
def test_no_cookie_is_nobody(chain, cookie):
    with pytest.raises(NoSession):
        chain(FLASK).session(kit.request({"Cookie": cookie}), kit.NOW)


@pytest.mark.parametrize("user", ["jane", ["jane"], 42, True])
def test_claims_must_be_an_object(chain, user):
    request = with_cookie(flask_cookie({"user": user}))
    assert refusal(chain(FLASK), request) == "cookie_claims_invalid"


def test_claims_path_that_fails_is_a_refusal(chain):
    source = {**FLASK, "claims_path": "merge(user, extra)"}
    request = with_cookie(flask_cookie({"user": "jane", "extra": {}}))
    assert refusal(chain(source), request) == "cookie_claims_invalid"


def bomb(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def signed_text(text: bytes) -> str:
    """Any bytes, rightly signed as a timed cookie."""
    with time_machine.travel(kit.NOW, tick=False):
        signer = URLSafeTimedSerializer(KEY).make_signer(b"itsdangerous")
        return signer.sign(kit.b64(text)).decode()


HOSTILE = {
    "unknown-key": (timed_cookie({"user": JANE}, key="x" * 32), "signature_invalid"),
    "empty-key": (timed_cookie({"user": JANE}, key=""), "signature_invalid"),
    "another-salt": (timed_cookie({"user": JANE}, salt="reset-password"), "signature_invalid"),
    "flask-format": (flask_cookie({"user": JANE}), "signature_invalid"),
    "untimed": (URLSafeSerializer(KEY).dumps({"user": JANE}), "signature_invalid"),
    "another-digest": (
        timed_cookie({"user": JANE}, digest_method=hashlib.sha256),
        "signature_invalid",
    ),
    "tampered": ("e30" + timed_cookie({"user": JANE})[3:], "signature_invalid"),
    "no-signature": ("eyJ1c2VyIjp7fX0", "signature_invalid"),
    "dots": ("...", "signature_invalid"),
    "wide": ("é.é.é", "signature_invalid"),
    "large": ("x" * 8193, "cookie_too_large"),
    "depth-bomb": (timed_cookie({"user": JANE, "x": bomb(40)}), "cookie_claims_invalid"),
    "json-depth-bomb": (signed_text(b"[" * 4000), "cookie_malformed"),
    "no-json": (signed_text(b"user=jane"), "cookie_malformed"),
    "surrogate": (signed_text(b'{"user": {"sub": "\\ud800"}}'), "cookie_claims_invalid"),
    "not-a-number": (signed_text(b'{"user": {"sub": NaN}}'), "cookie_claims_invalid"),
}


@pytest.mark.parametrize(("value", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_cookies_are_refused(chain, value, code):
    assert refusal(chain(TIMED), with_cookie(value, "sso")) == code


def test_signed_timestamp_out_of_range_is_a_refusal(chain):
    class FarAway(URLSafeTimedSerializer.default_signer):
        def get_timestamp(self) -> int:
            return 10**15

    value = URLSafeTimedSerializer(KEY, signer=FarAway).dumps({"user": JANE})
    assert refusal(chain(TIMED), with_cookie(value, "sso")) == "signature_invalid"


def test_a_planted_second_cookie_is_refused(chain):
    good, planted = flask_cookie({"user": JANE}), flask_cookie({"user": {"sub": "evil"}})
    for first, second in ((good, planted), (planted, good)):
        request = kit.request({"Cookie": f"session={first}; session={second}"})
        assert refusal(chain(FLASK), request) == "credential_ambiguous"


def test_refused_cookie_ends_the_chain(chain):
    other = {**FLASK, "name": "other", "cookie_name": "other"}
    good = flask_cookie({"user": JANE})
    sources = chain(FLASK, other)
    assert sources.session(with_cookie(good, "other"), kit.NOW).source == "other"
    request = kit.request({"Cookie": f"session=forged; other={good}"})
    assert refusal(sources, request) == "signature_invalid"
