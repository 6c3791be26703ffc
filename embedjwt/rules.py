"""What holds for the people of each source: how they are mapped, and who of them is admitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from embedjwt.admission import Admission
from embedjwt.config import Settings
from embedjwt.identity import Documents
from embedjwt.mapping import Mapper


@dataclass(frozen=True, slots=True)
class Rules:
    """``[mapping]`` and ``[admission]`` as they hold for one source, compiled."""

    mapper: Mapper
    admission: Admission

    def unanswered(self, documents: Documents) -> frozenset[str]:
        """The attributes and gates that more documents could still decide."""
        return self.mapper.unanswered(documents) | self.admission.unanswered(documents)


def build_rules(settings: Settings) -> Mapping[str, Rules]:
    """The rules of every source, by its name."""
    return {
        source.name: Rules(
            Mapper(settings.mapping_of(source)), Admission(settings.admission_of(source))
        )
        for source in settings.source
    }
