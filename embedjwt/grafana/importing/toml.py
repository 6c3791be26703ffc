"""TOML 1.0 for the few kinds of value that a configuration has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Value = str | bool | int | Sequence[str] | Mapping[str, int]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SHORT = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def toml_value(value: Value) -> str:
    """The value on one line, such that a TOML parser gives it back unchanged.

    Texts with quotes, such as JMESPath, stand between three; what does not show on a screen is
    escaped, so that nobody is told other than what is there.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _literal(value) if _is_literal(value) else _basic(value)
    if isinstance(value, Mapping):
        pairs = [f"{_key(key)} = {toml_value(item)}" for key, item in value.items()]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    return f"[{', '.join(_basic(item) for item in value)}]"


def toml_comment(text: str) -> str:
    """A text as it may stand behind ``#``: control characters are not allowed there."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _basic(key)


def _is_literal(text: str) -> bool:
    wants_it = '"' in text or "\\" in text
    return wants_it and text.isprintable() and "'''" not in text and not text.endswith("'")


def _literal(text: str) -> str:
    return f"'''{text}'''" if "'" in text else f"'{text}'"


def _basic(text: str) -> str:
    return f'"{"".join(_escaped(char) for char in text)}"'


def _escaped(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char.isprintable():
        return char
    return f"\\u{ord(char):04X}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08X}"
