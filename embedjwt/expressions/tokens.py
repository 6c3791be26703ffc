"""JMESPath text to tokens, as go-jmespath (``pkg/parsing/lexer.go``) reads it.

jmespath.py's own lexer takes invalid literals for strings, keeps ``\\\\`` in raw strings, and knows
neither ``$`` nor the operators we refuse by name.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from embedjwt.expressions.errors import TooComplex, syntax_error
from embedjwt.expressions.values import as_number

Token = dict[str, Any]
"""``type``, ``value`` and ``start``, as jmespath.py's parser wants them, and ``end``."""

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\n\r]+)
    | (?P<unquoted_identifier>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>-?[0-9]+)
    | (?P<variable>\$[A-Za-z0-9_]+)
    | '(?P<raw>(?:[^'\\]|\\.)*)'
    | `(?P<literal>(?:[^`\\]|\\.)*)`
    | (?P<quoted_identifier>"(?:[^"\\]|\\.)*")
    | (?P<symbol>\|\||&&|<=|>=|==|!=|//|\[\?|\[\]|[-.*,:{}\[\]()@$+/%−×÷|&<>=!])
    """,
    re.VERBOSE | re.DOTALL,
)

_SYMBOLS = {
    **{".": "dot", "*": "star", ",": "comma", ":": "colon", "@": "current", "$": "root"},
    **{"{": "lbrace", "}": "rbrace", "(": "lparen", ")": "rparen", "[": "lbracket"},
    **{"]": "rbracket", "[?": "filter", "[]": "flatten", "||": "or", "|": "pipe", "&&": "and"},
    **{"&": "expref", "!": "not", "==": "eq", "!=": "ne", "<": "lt", "<=": "lte", ">": "gt"},
    **{">=": "gte", "=": "assign", "+": "plus", "-": "minus", "−": "minus", "/": "divide"},
    **{"//": "divide", "÷": "divide", "×": "multiply", "%": "modulo"},
}


def tokenize(text: str) -> list[Token]:
    """The tokens of an expression, with ``eof`` last; ``ExpressionError`` where there is none."""
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            what = "this quote is never closed" if text[position] in "'\"`" else "unknown character"
            raise syntax_error(text, position, what)
        kind, value, end = match.lastgroup, match[match.lastgroup], match.end()
        if kind != "space":
            tokens.append(_token(text, kind, value, position) | {"start": position, "end": end})
        position = end
    return [*tokens, {"type": "eof", "value": "", "start": position, "end": position}]


def _token(text: str, kind: str, value: str, position: int) -> Token:
    if kind == "symbol":
        return {"type": _SYMBOLS[value], "value": value}
    if kind == "number":
        return {"type": kind, "value": _index(text, value, position)}
    if kind == "raw":
        return {"type": "literal", "value": re.sub(r"\\(['\\])", r"\1", value)}
    if kind == "literal":
        return {"type": kind, "value": _literal(text, value.replace("\\`", "`"), position)}
    if kind == "quoted_identifier":
        return {"type": kind, "value": _literal(text, value, position)}
    return {"type": kind, "value": value}


def _index(text: str, digits: str, position: int) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise syntax_error(text, position, "this index does not fit 64 bits")
    return int(digits)


def _literal(text: str, value: str, position: int) -> Any:
    try:
        return json.loads(value, parse_int=_integer, parse_float=_real, parse_constant=_refuse)
    except ValueError:
        raise syntax_error(
            text,
            position,
            "this is not valid JSON",
            "Between backticks stands JSON: `\"text\"`, `5`, `[]`; plain text goes in 'quotes'.",
        ) from None
    except RecursionError:
        raise TooComplex("a JSON literal in the JMESPath expression is nested too deeply") from None


def _integer(digits: str) -> float:
    return as_number(int(digits)) if len(digits) < 17 else _real(digits)


def _real(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("out of range")
    return number


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
