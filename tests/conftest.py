"""What all tests share: a configuration, a fixed clock, and real tools or a visible reason."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from embedjwt.config import Settings, parse_settings
from tests_support import MINIMAL, NODE_MODULES


def need(tool: str, present: bool, how: str) -> None:
    """Skips where a real tool is missing; in CI that is a failure, not a gap."""
    if present:
        return
    reason = f"{tool} is not installed ({how})"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def node_package() -> Callable[[str], Path]:
    """The directory of an installed npm package; skips or fails where it is missing."""

    def find(name: str) -> Path:
        directory = NODE_MODULES / name
        there = shutil.which("node") is not None and directory.is_dir()
        need(f"node with {name}", there, "npm ci --prefix tests/node")
        return directory

    return find


@pytest.fixture
def chromium() -> str:
    """The path of a real Chromium."""
    path = shutil.which("chromium") or shutil.which("google-chrome") or ""
    need("chromium", bool(path), "apt install chromium")
    return path


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings from the smallest configuration, with tables replaced by keyword."""

    def make(environ: Mapping[str, str] | None = None, **tables: Any) -> Settings:
        return parse_settings({**MINIMAL, **tables}, environ or {}, base=tmp_path, origin="test")

    return make
