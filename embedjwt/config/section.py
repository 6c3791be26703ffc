"""What every table of the configuration file is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values never show in messages."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
