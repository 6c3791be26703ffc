"""A configured embedjwt in a directory, with an upstream token that it accepts."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_ISSUER = "https://idp.example.com"

_CONFIG = f"""
issuer = "http://localhost:8080"
[[source]]
type = "jwt"
issuer = "{_ISSUER}"
audience = ["bench"]
key_file = "upstream.pub.pem"
algorithms = ["RS256"]
[mapping]
login_attribute_path = "preferred_username"
groups_attribute_path = "info.roles"
role_attribute_path = '''
  contains(info.roles[*], 'admin') && 'Admin'
  || contains(info.roles[*], 'editor') && 'Editor' || 'Viewer'
'''
[[grafana]]
url = "https://grafana.example.com"
"""

_MINTING = """
[token]
reuse = false
"""

_GATEWAY = """
mode = "gateway"
[gateway]
proxy = "nginx"
[web]
trusted_proxies = ["127.0.0.1"]
"""

CLAIMS = {
    "sub": "248289761001",
    "email": "jane.doe@example.com",
    "name": "Jane Doe",
    "preferred_username": "jane",
    "info": {"roles": ["engineer", "oncall", "editor", "reader", "berlin"]},
}


@dataclass(frozen=True)
class Site:
    """Where it is configured, and a bearer token of one signed-in person."""

    directory: Path
    bearer: str

    @property
    def config(self) -> Path:
        return self.directory / "embedjwt.toml"


def write_site(directory: Path) -> Site:
    """Tokens are minted afresh on every request (``reuse = false``)."""
    return _written(directory, _CONFIG + _MINTING)


def write_gateway_site(directory: Path) -> Site:
    """Its Grafana is behind a proxy that asks for each request."""
    return _written(directory, _CONFIG + _GATEWAY)


def _written(directory: Path, config: str) -> Site:
    directory.mkdir(exist_ok=True)
    key = rsa.generate_private_key(65537, 2048)
    (directory / "embedjwt.toml").write_text(config)
    (directory / "upstream.pub.pem").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    subprocess.run(
        [sys.executable, "-m", "embedjwt", "init", str(directory)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    now = int(time.time())
    registered = {"iss": _ISSUER, "aud": "bench", "iat": now, "exp": now + 36_000}
    return Site(directory, jwt.encode({**CLAIMS, **registered}, key, algorithm="RS256"))
