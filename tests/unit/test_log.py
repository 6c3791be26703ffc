"""Logs: no token gets into one, and one that cannot be written breaks nothing."""

from __future__ import annotations

import sys

import pytest
import structlog

from embedjwt.log import configure_logging, without_tokens


@pytest.fixture
def configured() -> object:
    configure_logging()
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "text",
    [
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.",
        "at eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0 in",
    ],
)
def test_what_looks_like_a_token_is_taken_out(text: str) -> None:
    event = without_tokens(None, "info", {"event": "x", "detail": text, "n": 1})
    assert "eyJ" not in str(event)
    assert "[token]" in event["detail"]
    assert event["n"] == 1


@pytest.mark.usefixtures("configured")
def test_lines_are_json_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger("test").info("happened", code="x")
    assert '"event": "happened"' in capsys.readouterr().err


@pytest.mark.usefixtures("configured")
def test_a_full_disk_behind_the_log_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, text: str) -> None:
            raise OSError(28, "No space left on device")

        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    structlog.get_logger("test").info("happened")
    assert isinstance(sys.stderr, Full)
