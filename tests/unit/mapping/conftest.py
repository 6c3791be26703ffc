from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from embedjwt.config.model import GrafanaTarget, MappingSettings
from embedjwt.identity import Documents, Identity, VerifiedClaims
from embedjwt.mapping import Mapper, TraceStep

Identify = Callable[..., Identity]


@pytest.fixture(scope="session")
def identify() -> Identify:
    """Map documents under [mapping] settings, for a target with these keys."""

    def run(
        settings: dict[str, Any] | None = None,
        target: dict[str, Any] | None = None,
        trace: list[TraceStep] | None = None,
        subject_prefix: str = "",
        **documents: Any,
    ) -> Identity:
        verified = {name: VerifiedClaims(claims) for name, claims in documents.items()}
        return Mapper(MappingSettings.model_validate(settings or {})).identity(
            Documents(**verified),
            GrafanaTarget.model_validate({"url": "https://grafana.test", **(target or {})}),
            subject_prefix=subject_prefix,
            trace=trace,
        )

    return run
