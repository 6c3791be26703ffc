from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from compare_kit import Idp

from embedjwt.config import Settings
from loopback_server import running_server


@pytest.fixture
def idp(make_settings: Callable[..., Settings]) -> Iterator[Idp]:
    """A provider that says of a person what a test says."""
    with running_server() as server:
        yield Idp(server, make_settings)
