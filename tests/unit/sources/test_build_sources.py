"""Files and secrets that cannot be used are told at start, all at once, by their key."""

from __future__ import annotations

import pytest
import sources_kit as kit
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from embedjwt.config.problems import ConfigError

PRIVATE_PEM = kit.RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def problems_of(chain, *sources):
    with pytest.raises(ConfigError) as refused:
        chain(*sources)
    return refused.value.problems


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "exactly one PEM"),
        (b"secret", "exactly one PEM"),
        (PRIVATE_PEM, "private key"),
        (kit.pem(kit.RSA_KEY) + kit.pem(kit.EC_KEY), "exactly one PEM"),
        (kit.pem(kit.RSA_KEY)[:-60], "PEM"),
        (kit.pem(rsa.generate_private_key(65537, 1024)), "2048"),
        (kit.pem(dsa.generate_private_key(1024)), "unsupported"),
        (b'{"keys": 1}', "no list of keys"),
        (b'{"keys": [', "not JSON"),
    ],
    ids=["empty", "text", "private", "two", "cut", "weak", "dsa", "no-jwks", "no-json"],
)
def test_key_file(chain, jwt_source, tmp_path, content, why):
    path = tmp_path / "key"
    path.write_bytes(content)
    (problem,) = problems_of(chain, {**jwt_source, "key_file": str(path)})
    assert problem.key == "source.0.key_file"
    assert why in problem.message
    assert "pkey -pubout" in problem.fix or "-pubout" in problem.fix


def test_all_problems_at_once(chain, jwt_source, tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text("no certificate")
    empty = tmp_path / "empty"
    empty.write_text("\n\n")
    base = {"type": "jwt", "audience": [], "issuer": "https://i.example.com"}
    sources = [
        {**base, "name": "a", "cookie": "a", "key_file": str(tmp_path / "missing")},
        {**base, "name": "b", "cookie": "b", "tls_client_ca": str(ca)},
        {**base, "name": "c", "cookie": "c", "algorithms": ["HS512"], "secret": "k" * 63},
        {**base, "name": "d", "cookie": "d", "algorithms": ["HS256"], "secret_file": str(empty)},
        {"type": "cookie", "name": "e", "secret_keys_file": str(empty)},
        {"type": "cookie", "name": "f", "secret_keys": ["good", ""]},
        {"type": "cookie", "name": "g", "secret_keys_file": str(tmp_path)},
        {**jwt_source, "name": "fine"},
    ]
    assert [problem.key for problem in problems_of(chain, *sources)] == [
        "source.0.key_file",
        "source.1.tls_client_ca",
        "source.2.secret",
        "source.3.secret_file",
        "source.4.secret_keys_file",
        "source.5.secret_keys",
        "source.6.secret_keys_file",
    ]


def test_secrets_stay_out_of_messages(chain):
    base = {"type": "jwt", "audience": [], "issuer": "https://i.example.com"}
    (problem,) = problems_of(chain, {**base, "algorithms": ["HS256"], "secret": "hush-hush"})
    assert "hush" not in str(problem)


def test_a_secret_in_two_places_is_refused(chain, tmp_path):
    file = tmp_path / "secret"
    file.write_text("s" * 32)
    file.chmod(0o600)
    source = {
        "type": "jwt",
        "issuer": kit.ISSUER,
        "audience": [kit.AUDIENCE],
        "algorithms": ["HS256"],
        "secret": "t" * 32,
        "secret_file": str(file),
    }
    (problem,) = problems_of(chain, source)
    assert problem.key == "source.0.secret"
    assert "both set" in problem.message
