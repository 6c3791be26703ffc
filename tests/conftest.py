"""What all tests share: a configuration, a fixed clock, and real tools or a visible reason."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
import structlog
from flask import Flask

from embedjwt.config import Settings, parse_settings
from embedjwt.keys.build import key_store, operator
from embedjwt.service import build_service
from embedjwt.sources import build_sources
from embedjwt.web import build_app
from postgres import postgres  # noqa: F401  (a fixture)
from tests_support import MINIMAL, NODE_MODULES, UPSTREAM_SECRET, FakeClock, need

LONGEST = (
    "test_rotation_property",
    "test_rotation_under_load",
    "test_database_standby",
    "test_sdk_gateway_sessions",
    "test_sdk_over_time",
)
"""Modules that take a minute or more."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest begin first, so that no process goes on alone when the others are done."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture(autouse=True)
def logs_as_the_test_wants(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that sets up logging does so for its test alone: loggers that kept what they were
    set up with could be listened to by nobody after it."""
    configure = structlog.configure

    def without_caching(**options: Any) -> None:
        configure(**(options | {"cache_logger_on_first_use": False}))

    monkeypatch.setattr(structlog, "configure", without_caching)
    yield
    if structlog.is_configured():
        structlog.reset_defaults()


@pytest.fixture
def node_package() -> Callable[[str], Path]:
    """The directory of an installed npm package; skips or fails where it is missing."""

    def find(name: str) -> Path:
        directory = NODE_MODULES / name
        there = shutil.which("node") is not None and directory.is_dir()
        need(f"node with {name}", there, "npm ci --prefix tests/node")
        return directory

    return find


@pytest.fixture(scope="module")
def chromium() -> str:
    """The path of a real Chromium; skips or fails where there is none."""
    path = shutil.which("chromium") or shutil.which("google-chrome") or ""
    need("chromium", bool(path), "apt install chromium")
    return path


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings from the smallest configuration, with tables replaced by keyword."""

    def make(environ: Mapping[str, str] | None = None, **tables: Any) -> Settings:
        return parse_settings({**MINIMAL, **tables}, environ or {}, base=tmp_path, origin="test")

    return make


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until a test moves it."""
    return FakeClock(1_800_000_000.0)


@pytest.fixture
def make_app(make_settings: Callable[..., Settings], clock: FakeClock) -> Callable[..., Flask]:
    """The application with real keys in a temporary directory, on the fake clock."""

    def make(**tables: Any) -> Flask:
        settings = make_settings(**tables)
        operator(settings, key_store(settings), "test", clock).init()
        return build_app(build_service(settings, clock), build_sources(settings, clock=clock))

    return make


@pytest.fixture
def bearer(clock: FakeClock) -> Callable[..., dict[str, str]]:
    """An Authorization header with an upstream token of ours; claims by keyword."""

    def make(**claims: Any) -> dict[str, str]:
        now = int(clock())
        person = {"sub": "u1", "email": "jane@example.com", "exp": now + 3600, "aud": "embed"}
        token = jwt.encode(
            {"iss": "https://idp.example.com", **person, **claims}, UPSTREAM_SECRET, "HS256"
        )
        return {"Authorization": f"Bearer {token}"}

    return make
