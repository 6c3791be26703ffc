"""What a preset is: values that a provider or a front door documents once and for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Preset:
    """Values for keys that nobody has set; each source may overrule every one of them.

    ``source``: keys of the ``[[source]]``; texts may hold ``{domain}``, ``{tenant}`` and
    ``{application_id}``, which the source's own keys fill in. ``mapping``: keys of ``[mapping]``.
    """

    source: Mapping[str, Any]
    mapping: Mapping[str, Any] = field(default_factory=dict)
