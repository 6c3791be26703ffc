"""JMESPath as Grafana has it: compiled once, evaluated safely.

The parser is jmespath.py's; the meaning is that of jmespath-community/go-jmespath 1.1.1, which
Grafana evaluates attribute paths with. ``docs/jmespath.md`` tells administrators the differences.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embedjwt.expressions.errors import ExpressionError, TooComplex
from embedjwt.expressions.evaluate import compile_node
from embedjwt.expressions.limits import Run
from embedjwt.expressions.syntax import parse
from embedjwt.expressions.values import result

__all__ = ["Expression", "ExpressionError", "compile_expression"]


class Expression:
    """A compiled JMESPath expression; it may be used by many threads at once."""

    __slots__ = ("_step", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._step = compile_node(parse(text))
        except RecursionError:
            raise TooComplex("the JMESPath expression is nested too deeply") from None

    def search(self, document: Any) -> Any:
        """What the expression finds in a document of JSON values, as a copy.

        Numbers that a 64-bit float cannot hold are rounded, as Grafana rounds them.
        ``ExpressionError`` where the evaluation fails, or costs more than ``limits.py`` allows.
        """
        if not isinstance(document, dict) and isinstance(document, Mapping):
            document = dict(document)
        run = Run(document)
        try:
            return result(self._step(document, run), run)
        except RecursionError:
            raise TooComplex("a value is nested too deeply for the JMESPath expression") from None


def compile_expression(text: str) -> Expression:
    """Compile at start-up; ``ExpressionError`` says what is wrong and how to write it."""
    return Expression(text)
