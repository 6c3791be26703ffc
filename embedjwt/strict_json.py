"""JSON from outside, read strictly: what two readers could understand differently is refused."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 32
"""How many arrays and objects may lie inside each other; claims need three or four."""


class JSONRefused(ValueError):
    """Not JSON, or JSON with duplicate names, NaN, endless numbers, lone surrogates, or too deep.

    The text says which and never quotes the input.
    """


def strict_loads(data: bytes | str) -> Any:
    """The value of a JSON text (RFC 8259); ``JSONRefused`` where it is not plain.

    Duplicate names are refused as RFC 7519 section 4 allows: otherwise two readers of the same
    signed bytes may see two different persons.
    """
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_float=_finite,
            parse_constant=_no_constant,
        )
        if "\\u" in text:  # only an escape can smuggle in half a surrogate pair
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except JSONRefused:
        raise
    except RecursionError:
        raise JSONRefused("nested too deeply") from None
    except UnicodeError:
        raise JSONRefused("not UTF-8") from None
    except ValueError:
        raise JSONRefused("not JSON") from None
    _check_depth(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise JSONRefused("a name occurs twice in one object")
    return result


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JSONRefused("a number out of range")
    return number


def _no_constant(_name: str) -> Any:
    raise JSONRefused("NaN and Infinity are not JSON")


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _inner(parent)]
        if not level:
            return
    raise JSONRefused("nested too deeply")


def _inner(value: Any) -> list[Any]:
    """The arrays and objects directly in a value."""
    children = value.values() if isinstance(value, dict) else value
    return [child for child in children if isinstance(child, dict | list)]
