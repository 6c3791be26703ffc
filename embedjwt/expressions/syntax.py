"""Expression text to jmespath.py's syntax tree, by jmespath.py's parser.

Added to that parser: ``$``, plain parentheses to any depth, a slice after an index, a limit on
nesting. Refused with the way to write it instead: ``let`` and arithmetic, which Grafana's library
knows and this parser does not.
"""

from __future__ import annotations

from typing import Any, NoReturn

from jmespath.exceptions import IncompleteExpressionError, ParseError
from jmespath.parser import Parser

from embedjwt.expressions.errors import ExpressionError, TooComplex, syntax_error
from embedjwt.expressions.limits import MAX_LENGTH, MAX_NESTING
from embedjwt.expressions.rewrite import refuse_let
from embedjwt.expressions.tokens import Token, tokenize

Node = dict[str, Any]
"""A node of jmespath.py's tree: ``type``, ``children`` and ``value``."""

_ENDS_AN_OPERAND = frozenset(
    [
        *("unquoted_identifier", "quoted_identifier", "literal", "number", "group", "rparen"),
        *("rbracket", "rbrace", "current", "root", "flatten", "star"),
    ]
)

_DASH = (
    'A name with a dash stands in double quotes: "my-claim". '
    "Instead of a difference, compare its two sides: a > b for a - b > `0`."
)


def parse(text: str) -> Node:
    """The syntax tree of an expression; ``ExpressionError`` where it has none."""
    if len(text) > MAX_LENGTH:
        raise TooComplex(f"the JMESPath expression is longer than {MAX_LENGTH} characters")
    tokens = tokenize(text)
    refuse_let(text, tokens)
    return _parse_groups(text, tokens)


def _parse_groups(text: str, tokens: list[Token]) -> Node:
    """Parse inner parentheses first, each into one token, so that their depth costs no stack."""
    outer: list[list[Token]] = []
    current: list[Token] = []
    is_call: list[bool] = []
    for token in tokens:
        if token["type"] == "lparen":
            is_call.append(bool(current) and current[-1]["type"] in _ENDS_AN_OPERAND)
            if not is_call[-1]:
                outer.append(current)
                current = []
            current.append(token)
        elif token["type"] == "rparen" and is_call and not is_call.pop():
            inner = [*current[1:], token | {"type": "eof"}]
            node = _GrafanaParser(text).parse_tokens(inner)
            span = {"start": current[0]["start"], "end": token["end"]}
            group = {"type": "group", "value": node, **span}
            current = outer.pop()
            current.append(group)
        else:
            current.append(token)
    if outer:
        raise syntax_error(text, current[0]["start"], "this parenthesis is never closed")
    return _GrafanaParser(text).parse_tokens(current)


class _GrafanaParser(Parser):  # type: ignore[misc]  # jmespath.py has no types
    """jmespath.py's parser; its methods ``_token_nud_X`` and ``_token_led_X`` meet token X."""

    BINDING_POWER = {  # noqa: RUF012  # the shape jmespath.py gives it
        **Parser.BINDING_POWER,
        **dict.fromkeys(("root", "group", "assign"), 0),
        **dict.fromkeys(("plus", "minus"), 6),
        **dict.fromkeys(("divide", "multiply", "modulo"), 7),
    }

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self._operand_starts: list[int] = []

    def parse_tokens(self, tokens: list[Token]) -> Node:
        self._tokens = tokens
        try:
            node: Node = self._expression()
            if self._current_token() != "eof":
                self._raise_parse_error_for_token(self._lookahead_token(0), "not expected here")
        except ParseError as error:
            raise self._explain(error) from None
        return node

    def _explain(self, error: ParseError) -> ExpressionError:
        position = self._lookahead_token(0)["start"] if self._index < len(self._tokens) else 0
        if isinstance(error, IncompleteExpressionError) or error.token_type == "EOF":
            return syntax_error(self._text, error.lex_position, "something is missing here")
        if error.msg.startswith("Quoted identifier"):
            return syntax_error(
                self._text, position, "the name of a function must not stand in quotes"
            )
        if error.msg.startswith("Invalid function name"):
            return syntax_error(
                self._text, error.lex_position, "only a function can be called with parentheses"
            )
        if error.token_type == "ASSIGN":
            advice = "Two values are compared with ==."
        elif error.token_type == "NUMBER" and error.token_value < 0:
            advice = _DASH
        elif error.token_type == "NUMBER":
            advice = "A number stands between backticks: `5`."
        else:
            advice = ""
        return syntax_error(self._text, error.lex_position, "this is not expected here", advice)

    def _expression(self, binding_power: int = 0) -> Node:
        self._operand_starts.append(self._lookahead_token(0)["start"])
        if len(self._operand_starts) > MAX_NESTING:
            raise TooComplex(f"the JMESPath expression is nested more than {MAX_NESTING} levels")
        node: Node = super()._expression(binding_power)
        self._operand_starts.pop()
        return node

    def _token_nud_group(self, token: Token) -> Node:
        node: Node = token["value"]
        return node

    def _token_nud_root(self, token: Token) -> Node:  # noqa: ARG002
        return {"type": "root", "children": []}

    def _token_led_lbracket(self, left: Node) -> Node:
        """A slice is a projection even after an index: ``a[0][1:].b``."""
        if left["type"] == "index_expression":
            left = {"type": "subexpression", "children": [left]}
        node: Node = super()._token_led_lbracket(left)
        return node

    def _token_led_plus(self, left: Node) -> NoReturn:  # noqa: ARG002
        operator = self._tokens[self._index - 1]
        start = self._operand_starts[-1]
        self._expression(self.BINDING_POWER["plus"])
        end = self._tokens[self._index - 1]["end"]
        text = self._text
        first, second = text[start : operator["start"]].strip(), text[operator["end"] : end].strip()
        raise self._arithmetic(
            operator, f"Write: {text[:start]}sum([{first}, {second}]){text[end:]}"
        )

    def _refuse_arithmetic(self, *_left: Node) -> NoReturn:
        raise self._arithmetic(
            self._tokens[self._index - 1],
            _DASH
            if self._tokens[self._index - 1]["type"] == "minus"
            else "Let the identity provider send the computed claim.",
        )

    _token_nud_plus = _token_nud_minus = _token_led_minus = _token_led_star = _refuse_arithmetic
    _token_led_divide = _token_led_multiply = _token_led_modulo = _refuse_arithmetic

    def _arithmetic(self, operator: Token, advice: str) -> ExpressionError:
        what = f"arithmetic ({operator['value']}) is not supported"
        return syntax_error(self._text, operator["start"], what, advice)
