"""JSON values as Grafana's library sees them: every number is a float64, and types never mix.

Documents keep Python's integers; they are read as float64 wherever the difference could show.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

from embedjwt.expressions.errors import ExpressionError
from embedjwt.expressions.limits import MAX_DEPTH, Run, too_deep

_EXACT = 2**53
_LONG = 256
_SURROGATE = re.compile("[\ud800-\udfff]")


def is_number(value: Any) -> bool:
    """Whether a value is a JSON number (Python counts booleans as integers; JSON does not)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_false(value: Any) -> bool:
    """JMESPath's false: null, false, and the empty string, array and object; never a number."""
    return not value and (value is False or not isinstance(value, int | float))


def type_name(value: Any) -> str:
    """The JMESPath type of a value, for ``type()`` and for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for name, kind in (("string", str), ("array", list), ("object", dict)):
        if isinstance(value, kind):
            return name
    return "number" if is_number(value) else "unknown"


def as_float(number: float) -> float:
    """A number as float64."""
    try:
        return float(number)
    except OverflowError:
        raise ExpressionError("a number is too large for a 64-bit float") from None


def as_number(number: float) -> float:
    """A number with the value it has as float64, kept an ``int`` where that is the same."""
    if isinstance(number, int) and -_EXACT <= number <= _EXACT:
        return number
    result = as_float(number)
    if not math.isfinite(result):
        raise ExpressionError("a number is not finite, so it is no JSON number")
    return result


def as_text(string: str) -> str:
    """A string as Go decodes it from JSON: half a surrogate pair becomes U+FFFD."""
    return string if string.isascii() else _SURROGATE.sub("\ufffd", string)


def equal(left: Any, right: Any, run: Run, depth: int = 0) -> bool:
    """Deep equality of two JSON values; no type equals another (``1`` is not ``true``)."""
    if isinstance(left, str):
        if not isinstance(right, str) or len(left) != len(right):
            return False
        if len(left) > _LONG:
            run.spend(len(left) // _LONG)
        return left == right
    if left is None or right is None or isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if is_number(left):
        return is_number(right) and as_float(left) == as_float(right)
    if depth > MAX_DEPTH:
        raise too_deep()
    if isinstance(left, list) and isinstance(right, list):
        run.spend(len(left))
        return len(left) == len(right) and all(
            equal(ours, theirs, run, depth + 1) for ours, theirs in zip(left, right, strict=True)
        )
    if isinstance(left, dict) and isinstance(right, dict):
        run.spend(len(left))
        return left.keys() == right.keys() and all(
            equal(value, right[key], run, depth + 1) for key, value in left.items()
        )
    return False


def to_json(value: Any, run: Run, depth: int = 0) -> str:
    """A value as Go's ``encoding/json`` writes it: sorted keys, and ``<``, ``>``, ``&`` escaped."""
    run.spend(1)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        run.spend(len(value))
        text = json.dumps(as_text(value), ensure_ascii=False)
        for character in "<>&\u2028\u2029":
            text = text.replace(character, f"\\u{ord(character):04x}")
        return text
    if is_number(value):
        return _number_text(as_number(value))
    if depth > MAX_DEPTH:
        raise too_deep()
    if isinstance(value, list):
        return f"[{','.join(to_json(item, run, depth + 1) for item in value)}]"
    if isinstance(value, dict):
        members = sorted((_key(key), item) for key, item in value.items())
        pairs = (f"{to_json(key, run)}:{to_json(item, run, depth + 1)}" for key, item in members)
        return f"{{{','.join(pairs)}}}"
    raise _no_json()


def result(value: Any, run: Run, depth: int = 0) -> Any:
    """A copy of a value for the caller, with numbers and strings as Grafana would have them."""
    if isinstance(value, str):
        return as_text(value)
    if value is None or isinstance(value, bool):
        return value
    if is_number(value):
        return as_number(value)
    if depth > MAX_DEPTH:
        raise too_deep()
    if isinstance(value, list):
        run.spend(len(value))
        return [result(item, run, depth + 1) for item in value]
    if isinstance(value, dict):
        run.spend(len(value))
        return {as_text(_key(key)): result(item, run, depth + 1) for key, item in value.items()}
    raise _no_json()


def _number_text(number: float) -> str:
    if number != 0 and not 1e-6 <= abs(number) < 1e21:
        return repr(float(number)).replace("e-0", "e-")
    text = format(Decimal(repr(number)), "f")
    return text.removesuffix(".0")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise _no_json()
    return key


def _no_json() -> ExpressionError:
    return ExpressionError(
        "the JMESPath expression gives something that is no JSON value",
        hint="An expression reference (&name) only makes sense as an argument of a function.",
    )
