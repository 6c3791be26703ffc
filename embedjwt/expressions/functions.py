"""The functions on numbers, arrays and objects, as go-jmespath has them.

``pkg/functions/functions.go``. Objects keep the order of the document, where go-jmespath's order
is random; ``sort_by`` leaves the document as it is, where go-jmespath reorders it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from embedjwt.expressions.errors import ExpressionError
from embedjwt.expressions.limits import Run
from embedjwt.expressions.registry import Reference, Table, registrar
from embedjwt.expressions.values import as_float, equal, is_number, to_json, type_name

TABLE: Table = {}
_function = registrar(TABLE)

_DIGITS = "[0-9]+(_[0-9]+)*"
_DECIMAL = re.compile(rf"[+-]?({_DIGITS}(\.({_DIGITS})?)?|\.{_DIGITS})([eE][+-]?{_DIGITS})?")
_REFERENCE = "expression (&name)"
_COMPARABLE = "array of numbers|array of strings"


@_function("number")
def abs_(_run: Run, number: float) -> float:
    return abs(number)


@_function("array of numbers")
def avg(_run: Run, numbers: list[float]) -> float | None:
    return _total(numbers) / len(numbers) if numbers else None


@_function("number")
def ceil(_run: Run, number: float) -> float:
    return math.ceil(number) if math.isfinite(as_float(number)) else number


@_function("array|string", "any")
def contains(run: Run, subject: Any, wanted: Any) -> bool:
    if isinstance(subject, str):
        return isinstance(wanted, str) and wanted in subject
    if isinstance(wanted, str):
        return wanted in subject
    if isinstance(wanted, list | dict | Reference):
        kind = type_name(wanted)
        if any(type_name(item) == kind for item in subject):
            raise ExpressionError(
                f"JMESPath function contains(): cannot look for an {kind} among {kind}s",
                hint="Use a filter: length(items[?@ == $.wanted]) > `0`",
            )
        return False
    return any(equal(item, wanted, run) for item in subject)


@_function("number")
def floor(_run: Run, number: float) -> float:
    return math.floor(number) if math.isfinite(as_float(number)) else number


@_function("array")
def from_items(_run: Run, pairs: list[Any]) -> dict[str, Any]:
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ExpressionError(
                "JMESPath function from_items(): every element must be a pair of a string and "
                "a value"
            )
    return dict(pairs)


@_function("array", _REFERENCE)
def group_by(run: Run, elements: list[Any], by: Reference) -> dict[str, list[Any]] | None:
    groups: dict[str, list[Any]] = {}
    for key, element in zip(by.apply(elements, run), elements, strict=True):
        if not isinstance(key, str):
            raise ExpressionError(
                "JMESPath function group_by(): the expression must give a string for every "
                f"element, not {type_name(key)}"
            )
        groups.setdefault(key, []).append(element)
    return groups or None


@_function("object")
def items(_run: Run, members: dict[str, Any]) -> list[Any]:
    return [[key, value] for key, value in members.items()]


@_function("object")
def keys(_run: Run, members: dict[str, Any]) -> list[str]:
    return list(members)


@_function("string|array|object")
def length(_run: Run, value: Any) -> int:
    return len(value)


@_function(_REFERENCE, "array")
def map_(run: Run, each: Reference, elements: list[Any]) -> list[Any]:
    return each.apply(elements, run)


@_function(_COMPARABLE)
def max_(_run: Run, elements: list[Any]) -> Any:
    return max(elements, key=_order, default=None)


@_function("array", _REFERENCE)
def max_by(run: Run, elements: list[Any], by: Reference) -> Any:
    return _best("max_by", run, elements, by, max)


@_function("object*")
def merge(_run: Run, *objects: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for members in objects:
        merged |= members
    return merged


@_function(_COMPARABLE)
def min_(_run: Run, elements: list[Any]) -> Any:
    return min(elements, key=_order, default=None)


@_function("array", _REFERENCE)
def min_by(run: Run, elements: list[Any], by: Reference) -> Any:
    return _best("min_by", run, elements, by, min)


@_function("any*")
def not_null(_run: Run, *values: Any) -> Any:
    return next((value for value in values if value is not None), None)


@_function("array|string")
def reverse(_run: Run, value: Any) -> Any:
    return value[::-1]


@_function(_COMPARABLE)
def sort(_run: Run, elements: list[Any]) -> list[Any]:
    return sorted(elements, key=_order)


@_function("array", _REFERENCE)
def sort_by(run: Run, elements: list[Any], by: Reference) -> list[Any]:
    order = _sort_keys("sort_by", run, elements, by)
    return [elements[place] for place in sorted(range(len(elements)), key=order.__getitem__)]


@_function("array of numbers")
def sum_(_run: Run, numbers: list[float]) -> float:
    return _total(numbers)


@_function("any")
def to_array(_run: Run, value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@_function("any")
def to_number(_run: Run, value: Any) -> float | None:
    """Go's decimal syntax; its hexadecimal floats and infinities give null here."""
    if is_number(value):
        return as_float(value)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


@_function("any")
def to_string(run: Run, value: Any) -> str:
    return value if isinstance(value, str) else to_json(value, run)


@_function("any")
def type_(_run: Run, value: Any) -> str:
    name = type_name(value)
    if name == "unknown":
        raise ExpressionError("JMESPath function type(): the argument is no JSON value")
    return name


@_function("object")
def values(_run: Run, members: dict[str, Any]) -> list[Any]:
    return list(members.values())


@_function("array", "array*")
def zip_(_run: Run, *arrays: list[Any]) -> list[Any]:
    return [list(column) for column in zip(*arrays, strict=False)]


def _total(numbers: list[float]) -> float:
    """The sum as float64 gives it, added from left to right."""
    total = 0.0
    for number in numbers:
        total += as_float(number)
    return total


def _order(value: Any) -> Any:
    """What a number or string is compared by."""
    return value if isinstance(value, str) else as_float(value)


def _sort_keys(name: str, run: Run, elements: list[Any], by: Reference) -> list[Any]:
    """The keys of elements: all numbers or all strings. One element alone is never evaluated."""
    if len(elements) < 2:
        return [0 for _ in elements]
    found = by.apply(elements, run)
    if all(isinstance(key, str) for key in found) or all(is_number(key) for key in found):
        return [_order(key) for key in found]
    types = sorted({type_name(key) for key in found})
    raise ExpressionError(
        f"JMESPath function {name}(): the expression must give only numbers or only strings, "
        f"not {' and '.join(types)}"
    )


def _best(
    name: str, run: Run, elements: list[Any], by: Reference, choose: Callable[..., int]
) -> Any:
    if not elements:
        return None
    order = _sort_keys(name, run, elements, by)
    return elements[choose(range(len(elements)), key=order.__getitem__)]
