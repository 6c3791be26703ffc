from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sources_kit as kit

from embedjwt.config import Settings
from embedjwt.sources import SourceChain, build_sources


@pytest.fixture
def clock() -> kit.Clock:
    return kit.Clock()


@pytest.fixture
def provider() -> Iterator[kit.Provider]:
    with kit.running_provider() as provider:
        yield provider


@pytest.fixture
def chain(clock: kit.Clock, make_settings: Callable[..., Settings]) -> Callable[..., SourceChain]:
    """A chain from ``[[source]]`` tables, as an operator would write them."""

    def build(*sources: dict[str, Any], **web: Any) -> SourceChain:
        return build_sources(make_settings(source=list(sources), web=web), monotonic=clock)

    return build


@pytest.fixture
def jwks_file(tmp_path: Path) -> Callable[..., Path]:
    def write(*keys: dict[str, Any]) -> Path:
        path = tmp_path / "jwks.json"
        path.write_text(json.dumps({"keys": list(keys)}))
        return path

    return write


@pytest.fixture
def jwt_source(jwks_file: Callable[..., Path]) -> dict[str, Any]:
    """A source with an RSA and an EC key from a file."""
    keys = [kit.jwk(kit.RSA_KEY, "rsa-1"), kit.jwk(kit.EC_KEY, "ec-1")]
    return {
        "type": "jwt",
        "issuer": kit.ISSUER,
        "audience": [kit.AUDIENCE],
        "key_file": str(jwks_file(*keys)),
    }
