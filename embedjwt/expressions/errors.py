"""How an expression fails: what, where, and what to write instead."""

from __future__ import annotations

from embedjwt.errors import EmbedJWTError

_EXCERPT = 50
"""Characters shown on either side of a syntax error."""


class ExpressionError(EmbedJWTError):
    """An expression that cannot be compiled, or that failed on a document.

    The message names types and functions, never a value of the document.
    """

    code = "expression_error"
    status = 403


class TooComplex(ExpressionError):
    """An expression, or its work on a document, beyond the limits of ``limits.py``."""

    code = "expression_too_complex"


def syntax_error(text: str, position: int, what: str, advice: str = "") -> ExpressionError:
    """The error for a place in an expression; the hint marks the place with a caret."""
    first = max(0, position - _EXCERPT)
    shown = "".join(c if c.isprintable() else " " for c in text[first : position + _EXCERPT])
    hint = f"{shown}\n  {' ' * (position - first)}^"
    return ExpressionError(
        f"JMESPath syntax error at character {position + 1}: {what}",
        hint=f"{hint}\n  {advice}" if advice else hint,
    )
