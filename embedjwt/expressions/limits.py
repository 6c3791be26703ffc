"""What one expression, and one evaluation of it, may cost.

Grafana sets no such limits. These are far above any real mapping, and they keep a hostile document
from stalling a worker.
"""

from __future__ import annotations

from typing import Any

from embedjwt.expressions.errors import TooComplex

MAX_LENGTH = 16 * 1024
"""Characters of an expression."""

MAX_NESTING = 100
"""Levels of nested calls, brackets, filters and projections. Plain parentheses do not count."""

MAX_DEPTH = 100
"""Levels of nested arrays and objects in a value that is returned, compared or made a string."""

MAX_WORK = 250_000
"""Steps of one evaluation: expression nodes run in a loop, elements and characters handled."""


class Run:
    """One evaluation: the document that ``$`` means, and the steps that are left."""

    __slots__ = ("left", "root")

    def __init__(self, root: Any) -> None:
        self.root = root
        self.left = MAX_WORK

    def spend(self, steps: int) -> None:
        """Pay before working; ``TooComplex`` when the steps do not suffice."""
        self.left -= steps
        if self.left < 0:
            raise TooComplex(
                f"the JMESPath expression needs more than {MAX_WORK} steps on this document",
                hint="Select fewer elements before filtering, sorting or joining them.",
            )


def too_deep() -> TooComplex:
    """The error for a value nested beyond ``MAX_DEPTH``."""
    return TooComplex(
        f"a value has more than {MAX_DEPTH} levels of nested arrays and objects",
        hint="Select the claim that is needed instead of all that surrounds it.",
    )
