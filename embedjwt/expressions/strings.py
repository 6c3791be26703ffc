"""The functions on strings, as go-jmespath has them (``pkg/functions/functions.go``).

``find_first``, ``find_last`` and the paddings count bytes of UTF-8, the others characters.
"""

from __future__ import annotations

from typing import Any

from embedjwt.expressions.errors import ExpressionError
from embedjwt.expressions.limits import Run
from embedjwt.expressions.registry import Table, registrar

TABLE: Table = {}
_function = registrar(TABLE)

_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What Go's ``unicode.IsSpace`` takes for white space; Python's ``strip()`` takes more."""


@_function("string", "string")
def ends_with(_run: Run, subject: str, suffix: str) -> bool:
    return subject.endswith(suffix)


@_function("string", "string", "number?", "number?")
def find_first(
    _run: Run, subject: str, wanted: str, start: float = 0, end: float | None = None
) -> int | None:
    return _find("find_first", subject, wanted, (start, end))


@_function("string", "string", "number?", "number?")
def find_last(
    _run: Run, subject: str, wanted: str, start: float = 0, end: float | None = None
) -> int | None:
    return _find("find_last", subject, wanted, (start, end))


@_function("string", "array of strings")
def join(run: Run, separator: str, parts: list[str]) -> str:
    run.spend(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


@_function("string")
def lower(_run: Run, text: str) -> str:
    return text.lower() if text.isascii() else "".join(map(_lower, text))


@_function("string", "number", "string?")
def pad_left(run: Run, text: str, width: float, pad: str = " ") -> str:
    return _padding("pad_left", run, text, width, pad) + text


@_function("string", "number", "string?")
def pad_right(run: Run, text: str, width: float, pad: str = " ") -> str:
    return text + _padding("pad_right", run, text, width, pad)


@_function("string", "string", "string", "number?")
def replace(run: Run, text: str, old: str, new: str, count: float | None = None) -> str:
    times = text.count(old)
    if count is not None:
        times = min(times, _whole("replace", "count", count, least=0))
    run.spend(times * len(new))
    return text.replace(old, new, times)


@_function("string", "string", "number?")
def split(_run: Run, text: str, separator: str, count: float | None = None) -> list[str]:
    if not text:
        return []
    times = len(text) if count is None else _whole("split", "count", count, least=0)
    if separator:
        return text.split(separator, times)
    letters = min(times, len(text) - 1)
    return [*text[:letters], text[letters:]]


@_function("string", "string")
def starts_with(_run: Run, subject: str, prefix: str) -> bool:
    return subject.startswith(prefix)


@_function("string", "string?")
def trim(_run: Run, text: str, characters: str = "") -> str:
    return text.strip(characters or _SPACE)


@_function("string", "string?")
def trim_left(_run: Run, text: str, characters: str = "") -> str:
    return text.lstrip(characters or _SPACE)


@_function("string", "string?")
def trim_right(_run: Run, text: str, characters: str = "") -> str:
    return text.rstrip(characters or _SPACE)


@_function("string")
def upper(_run: Run, text: str) -> str:
    return text.upper() if text.isascii() else "".join(map(_upper, text))


def _lower(character: str) -> str:
    """The one-character lower case that Go's tables have, where Python may give two."""
    return character.lower()[0]


def _upper(character: str) -> str:
    """The one-character upper case that Go's tables have, where Python may give more (ß, ŉ)."""
    for form in (character.upper(), character.title()):
        if len(form) == 1:
            return form
    return character


def _find(name: str, subject: str, wanted: str, bounds: tuple[float, float | None]) -> int | None:
    if not subject or not wanted:
        return None
    data = subject.encode("utf-8", "surrogatepass")
    start, end = bounds
    first = max(0, _whole(name, "start", start))
    last = len(data) if end is None else min(len(data), _whole(name, "end", end))
    if not first <= last:
        raise ExpressionError(f"JMESPath function {name}(): start lies behind the end")
    search = data.find if name == "find_first" else data.rfind
    place = search(wanted.encode("utf-8", "surrogatepass"), first, last)
    return place if place >= 0 else None


def _padding(name: str, run: Run, text: str, width: float, pad: str) -> str:
    columns = _whole(name, "width", width, least=0)
    if len(pad.encode("utf-8", "surrogatepass")) > 1:
        raise ExpressionError(f"JMESPath function {name}(): pad must be one ASCII character")
    missing = max(0, columns - len(text.encode("utf-8", "surrogatepass")))
    run.spend(missing)
    return pad * missing


def _whole(name: str, parameter: str, number: float, least: int | None = None) -> int:
    """A whole number within 64 bits."""
    whole: Any = isinstance(number, int) or number.is_integer()
    if not whole or not -(2**63) <= number < 2**63 or (least is not None and number < least):
        kind = "a whole number" if least is None else "a whole number of at least 0"
        raise ExpressionError(f"JMESPath function {name}(): {parameter} must be {kind}")
    return int(number)
