"""``let`` is refused, with the same expression written without it.

``let $a = X in Y`` (JMESPath Community, JEP-18) binds ``$a`` to X evaluated where the ``let``
stands. At the start of an expression that is the whole document, so ``($ | X)`` can stand for
``$a`` anywhere in Y.
"""

from __future__ import annotations

from embedjwt.expressions.errors import syntax_error
from embedjwt.expressions.tokens import Token

_OPENING = ("lparen", "lbracket", "lbrace", "filter")
_CLOSING = ("rparen", "rbracket", "rbrace")


def refuse_let(text: str, tokens: list[Token]) -> None:
    """``ExpressionError`` with the rewrite, if an expression has variables."""
    for token in tokens:
        if token["type"] == "variable":
            rewritten = _without_let(text, tokens)
            advice = f"Write: {rewritten}" if rewritten else "Write ($ | X) for each $name."
            raise syntax_error(
                text,
                token["start"],
                "variables (let $name = X in …) are not supported",
                advice,
            )


def _without_let(text: str, tokens: list[Token]) -> str | None:
    """The expression with its variables replaced; ``None`` where the pattern is another."""
    if not _is_word(tokens[0], "let"):
        return None
    definitions: dict[str, str] = {}
    at = 1
    while tokens[at]["type"] == "variable" and tokens[at + 1]["type"] == "assign":
        end = _end_of_definition(tokens, at + 2)
        definition = text[tokens[at + 1]["end"] : tokens[end]["start"]].strip()
        definitions[tokens[at]["value"]] = f"($ | {definition})"
        at = end + 1
        if tokens[end]["type"] != "comma":
            break
    body = tokens[at:]
    if not body or not _is_word(tokens[at - 1], "in"):
        return None
    pieces = []
    written = body[0]["start"]
    for token in body:
        if token["type"] == "variable":
            if token["value"] not in definitions:
                return None
            pieces += [text[written : token["start"]], definitions[token["value"]]]
            written = token["end"]
    rewritten = "".join([*pieces, text[written:]])
    return None if any(name in rewritten for name in definitions) else rewritten


def _end_of_definition(tokens: list[Token], start: int) -> int:
    """The index of the comma or ``in`` that ends a definition, or of ``eof``."""
    depth = 0
    for index in range(start, len(tokens)):
        kind = tokens[index]["type"]
        depth += (kind in _OPENING) - (kind in _CLOSING)
        is_field = index == start or tokens[index - 1]["type"] == "dot"
        if depth == 0 and (kind == "comma" or (_is_word(tokens[index], "in") and not is_field)):
            return index
    return len(tokens) - 1


def _is_word(token: Token, word: str) -> bool:
    return (token["type"], token["value"]) == ("unquoted_identifier", word)
