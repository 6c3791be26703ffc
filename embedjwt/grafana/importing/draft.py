"""What is being written, and the account of where each of Grafana's settings went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from embedjwt.config.values import split_list
from embedjwt.grafana.importing.toml import Value
from embedjwt.grafana.ini import ini_bool
from embedjwt.grafana.oauth_settings import Setting

BUILT_IN = "built in"
"""Stands for a key where a connector of Grafana's does something that no setting says."""


@dataclass(frozen=True, slots=True)
class Carried:
    """One of Grafana's settings and its place here; ``value`` is ``None`` for a secret."""

    origin: str
    to: str
    value: Value | None


@dataclass(frozen=True, slots=True)
class Left:
    """One of Grafana's settings that is not carried over, or not with its full meaning: why, and
    what to do instead ("" where there is nothing to do)."""

    origin: str
    reason: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class ToDo:
    """What only the administrator knows. ``key`` is a setting's path, as ``check`` names it;
    ``blocks`` says that nobody gets in before it is done."""

    key: str
    do: str
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file; not ``live``: a commented one."""

    key: str
    value: Value
    comment: str = ""
    live: bool = True


@dataclass(slots=True)
class Draft:
    """The tables so far. ``rules`` are the keys of ``[mapping]`` and ``[admission]``."""

    source: list[Line] = field(default_factory=list)
    rules: list[Line] = field(default_factory=list)
    carried: list[Carried] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    todo: list[ToDo] = field(default_factory=list)
    secret: str | None = field(default=None, repr=False)

    def rule(self, key: str, value: Value, comment: str = "") -> None:
        """Sets a key of the mapping or of admission; the last word counts."""
        self.rules = [line for line in self.rules if line.key != key]
        self.rules.append(Line(key, value, comment))

    def rule_value(self, key: str) -> Value | None:
        """What a key of the mapping or of admission is set to so far."""
        return next((line.value for line in self.rules if line.key == key), None)

    def source_value(self, key: str) -> str:
        """A text of the source, "" where it is not set."""
        found = next((line.value for line in self.source if line.key == key and line.live), "")
        return found if isinstance(found, str) else ""


class Reader:
    """One section of Grafana's, over the defaults that Grafana's own file has for it."""

    def __init__(self, settings: Mapping[str, Setting], defaults: Mapping[str, str]) -> None:
        self._settings = settings
        self._defaults = defaults
        self._asked: set[str] = set()

    def given(self, key: str) -> Setting | None:
        """A setting that somebody has made."""
        self._asked.add(key)
        return self._settings.get(key)

    def text(self, key: str) -> str:
        """The value in force, "" where there is none."""
        setting = self.given(key)
        return setting.value if setting is not None else self._defaults.get(key, "")

    def words(self, key: str) -> list[str] | str:
        """The list in force; the text as it stands where it is no list."""
        return as_list(self.text(key))

    def is_on(self, key: str) -> bool:
        """The switch in force."""
        return ini_bool(self.text(key), False)

    def origin(self, key: str, otherwise: str) -> str:
        """What to call a setting, or ``otherwise`` where only Grafana's default is in force."""
        setting = self._settings.get(key)
        return setting.origin if setting is not None else otherwise

    def unasked(self) -> list[tuple[str, Setting]]:
        """The settings that nothing has asked for."""
        return [(k, s) for k, s in self._settings.items() if k not in self._asked]


def as_list(text: str) -> list[str] | str:
    """A list as Grafana splits it; the text itself where it looks like one and is none, so that
    ``check`` refuses it (to Grafana it would be an empty list, which admits everyone)."""
    try:
        items = split_list(text)
    except (ValueError, RecursionError):
        return text
    whole = isinstance(items, list) and all(isinstance(item, str) for item in items)
    return items if whole else text


def without_password(text: str) -> str:
    """A URL as it may be shown."""
    try:
        url = urlsplit(text)
        host = url.netloc.rpartition("@")[2]
        return urlunsplit(url._replace(netloc=host)) if "@" in url.netloc else text
    except ValueError:
        return text
