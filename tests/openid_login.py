"""Real OpenID providers, of different makes, and people who sign in at them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from canaille_provider import CanailleProvider
from node_provider import NodeProvider
from openid_person import Person
from openid_providers import ProviderKit
from tests_support import ROOT

NODE_TESTS = ROOT / "tests" / "node"

MAKES: tuple[type[ProviderKit], ...] = (NodeProvider, CanailleProvider)


@contextmanager
def running_provider() -> Iterator[dict[str, Any]]:
    """One provider with one client, and what it says of itself."""
    with NodeProvider() as kit:
        yield {
            "issuer": kit.issuer,
            "client_id": kit.client_id,
            "client_secret": kit.client_secret,
            "kit": kit,
        }


def sign_in(provider: dict[str, Any], login: str) -> dict[str, Any]:
    """The token response (RFC 6749 section 5.1) for a person who signs in."""
    kit: ProviderKit = provider["kit"]
    with Person() as person:
        return kit.redeem(kit.sign_in(person, login))
