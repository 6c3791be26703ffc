"""The ini dialect of Grafana: go-ini with its default options, read and written.

Source of every rule: ``parser.go`` of go-ini/ini; Grafana loads its files with the defaults.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from embedjwt.errors import EmbedJWTError

DEFAULT_SECTION = "DEFAULT"
"""Keys above the first ``[section]``, such as ``app_mode``."""

_TRUE = re.compile("1|t|T|true|TRUE|True|YES|yes|Yes|y|ON|on|On")
_FALSE = re.compile("0|f|F|false|FALSE|False|NO|no|No|n|OFF|off|Off")

IniFile = dict[str, dict[str, str]]


class IniError(EmbedJWTError):
    """A file at which Grafana would refuse to start."""

    code = "invalid_ini"
    status = 400


def parse_ini(text: str) -> IniFile:
    """Sections and their keys, names case-sensitive, the last of two equal keys winning.

    Raises ``IniError`` with the line where go-ini gives up.
    """
    section: dict[str, str] = {}
    sections: IniFile = {DEFAULT_SECTION: section}
    lines = enumerate(io.StringIO(text.removeprefix("\ufeff"), newline="\n"), start=1)
    for number, raw in lines:
        line = raw.lstrip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            if "]" not in line:
                raise IniError(f"line {number}: a section name needs its closing ]")
            section = sections.setdefault(line[1 : line.rindex("]")], {})
            continue
        key, rest = _split_key(line, number)
        section[key] = _read_value(rest, lines, number)
    return sections


def ini_bool(value: str, default: bool) -> bool:
    """go-ini's ``MustBool``: its own words for yes and no, the default for any other."""
    return bool(_TRUE.fullmatch(value)) or (default and not _FALSE.fullmatch(value))


def quote_ini(value: str) -> str:
    """A value such that ``parse_ini`` gives it back unchanged.

    Backticks are go-ini's only quotes that also protect ``#`` and ``;``; it looks for the last one
    of the line, so that a backtick inside does no harm.
    """
    if "\n" in value or "\r" in value:
        raise IniError("a value of grafana.ini cannot hold a line break here")
    fragile = value[:1] in ("`", '"', "'") or value.endswith("\\") or value != value.strip()
    return f"`{value}`" if fragile or "#" in value or ";" in value else value


def _split_key(line: str, number: int) -> tuple[str, str]:
    quote = next((q for q in ('"""', '"', "`") if line.startswith(q)), "")
    end = line.find(quote, len(quote)) if quote else 0
    positions = [line.find(d, max(end, 0)) for d in "=:"]
    found = [position for position in positions if position >= 0]
    if end < 0 or not found:
        raise IniError(f"line {number}: expected key = value")
    return line[: min(found)].strip().strip(quote or None), line[min(found) + 1 :]


def _read_value(rest: str, lines: Iterator[tuple[int, str]], number: int) -> str:
    line = rest.lstrip()
    if not line:
        return ""
    quote = '"""' if len(line) > 3 and line.startswith('"""') else "`" if line[0] == "`" else ""
    if quote:
        return _read_quoted(line[len(quote) :], quote, lines, number)
    line = line.strip()
    if line.endswith("\\"):
        return _read_continued(line[:-1], lines)
    comment = min((i for i in (line.find("#"), line.find(";")) if i >= 0), default=len(line))
    line = line[:comment].strip()
    for mark in "'\"":
        if len(line) >= 2 and line[0] == line[-1] == mark and line.count(mark) == 2:
            return line[1:-1]
    return line


def _read_quoted(line: str, quote: str, lines: Iterator[tuple[int, str]], number: int) -> str:
    value = ""
    while quote not in line:
        value += line
        following = next(lines, None)
        if following is None:
            raise IniError(f"line {number}: a value that opens with {quote} needs to close with it")
        line = following[1]
    return value + line[: line.rindex(quote)]


def _read_continued(value: str, lines: Iterator[tuple[int, str]]) -> str:
    for _, raw in lines:
        following = raw.strip()
        value += following
        if not following or not value.endswith("\\"):
            break
        value = value[:-1]
    return value
