from __future__ import annotations

from collections.abc import Iterator

import oidc_kit as kit
import pytest

from embedjwt.oidc.provider import Provider
from loopback_server import LoopbackServer, running_server


@pytest.fixture
def clock() -> kit.Clock:
    return kit.Clock()


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """A provider that publishes metadata and keys."""
    with running_server() as server:
        kit.publish(server)
        yield server


@pytest.fixture
def provider(server: LoopbackServer, clock: kit.Clock) -> Provider:
    return kit.provider_of(server.url, clock)
