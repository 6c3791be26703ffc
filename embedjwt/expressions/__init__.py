"""JMESPath as Grafana has it: compiled once, evaluated safely."""

from __future__ import annotations

from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from embedjwt.errors import EmbedJWTError


class ExpressionError(EmbedJWTError):
    """An expression that cannot be compiled, or that failed on a document."""

    code = "expression_error"
    status = 403


class Expression:
    """A compiled JMESPath expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._compiled = jmespath.compile(text)
        except JMESPathError as error:
            raise ExpressionError(str(error)) from error

    def search(self, document: Any) -> Any:
        """What the expression finds in a document; ``ExpressionError`` where it fails."""
        try:
            return self._compiled.search(document)
        except JMESPathError as error:
            raise ExpressionError(str(error)) from error


def compile_expression(text: str) -> Expression:
    """Compile at start-up; ``ExpressionError`` says what is wrong and how to write it."""
    return Expression(text)
