"""The cast of the demo: three people of a customer portal, and the settings they meet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedjwt.config import Settings, parse_settings

COOKIE_NAME = "acme_session"
DOMAIN = "acme.example"
TOKEN_TTL = 60
"""Seconds. Much shorter than the default, so that a visitor sees a token being renewed."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be signed in at the host application, and what its session says of them."""

    key: str
    name: str
    job: str
    email: str
    groups: tuple[str, ...]

    @property
    def claims(self) -> dict[str, Any]:
        """What the host application keeps in its session cookie."""
        return {
            "sub": f"acme|{self.key}",
            "preferred_username": self.key,
            "name": self.name,
            "email": self.email,
            "groups": list(self.groups),
        }


PEOPLE = {
    person.key: person
    for person in (
        Person("vera", "Vera Lindqvist", "Operator", f"vera@{DOMAIN}", ("operators",)),
        Person("ed", "Ed Okafor", "Engineer", f"ed@{DOMAIN}", ("operators", "dashboard-editors")),
        Person("nora", "Nora Petit", "Contractor", "nora@contractor.example", ("operators",)),
    )
}


_ROLE = "contains(groups[*], 'dashboard-editors') && 'Editor' || 'Viewer'"


def demo_settings(
    *, host: str, service: str, grafana: str, secret_key: str, keys: Path
) -> Settings:
    """What ``embedjwt.toml`` would say for the demo; URLs are without a trailing slash.

    Raises :class:`embedjwt.config.ConfigError` where ``grafana`` is no URL to send tokens to.
    """
    document = {
        "issuer": service,
        "token": {"ttl": TOKEN_TTL},
        "keys": {"directory": str(keys)},
        "source": [
            {
                "type": "cookie",
                "cookie_name": COOKIE_NAME,
                "format": "flask",
                "secret_keys": [secret_key],
                "max_age": "1d",
                "claims_path": "user",
            }
        ],
        "mapping": {
            "login_attribute_path": "preferred_username",
            "name_attribute_path": "name",
            "groups_attribute_path": "groups",
            "role_attribute_path": _ROLE,
            "role_attribute_strict": True,
        },
        "admission": {"allowed_domains": [DOMAIN]},
        "grafana": [{"name": "line-3", "url": grafana}],
        "web": {"allowed_origins": [host]},
    }
    return parse_settings(document, {}, base=keys.parent, origin="the demo's settings")
