"""Commands run in an empty directory, without settings from this environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import time_machine
from click.testing import CliRunner, Result

from embedjwt.cli import cli


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in an empty directory; the exit status must be as expected."""
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("EMBEDJWT_")]:
        monkeypatch.delenv(variable)

    def run(*arguments: str, status: int = 0, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(cli, arguments, input=stdin)
        assert result.exit_code == status, result.output + repr(result.exception)
        assert not isinstance(result.exception, Exception) or status
        return result

    return run


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still until a test moves it."""
    with time_machine.travel(1_800_000_000, tick=False) as travel:
        yield travel
