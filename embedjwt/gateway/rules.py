"""What a person may reach of a Grafana: ``[[gateway.rule]]``, compiled and remembered.

Pure: no clock, no I/O. Safe between threads without locks, because what is remembered follows
from its key alone: a lost or doubled entry costs a second look, never another answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from embedjwt.config.gateway import DASHBOARD as UID
from embedjwt.config.gateway import GatewayRule, PathPattern, read_pattern
from embedjwt.gateway.panel import DASHBOARD, PANEL
from embedjwt.gateway.paths import PathRefused, segments_of

NOT_ALLOWED = "path_not_allowed"
"""The code of a refusal by rule."""

DEFAULT_RULES = (
    GatewayRule(allow=("panel",)),
    GatewayRule(roles=("Editor", "Admin", "GrafanaAdmin"), allow=("everything",)),
)
"""What holds where no ``[[gateway.rule]]`` is written; rules replace them."""

_SETS = {
    "panel": PANEL,
    "dashboard": (*PANEL, *DASHBOARD),
    "everything": ("/**",),
}
_MOST_REACHES = 64
_MOST_ANSWERS = 2048
_LONGEST_REMEMBERED = 512  # characters; so that the answers of one reach stay around 1 MiB


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, as far as rules look.

    ``origin`` is the host app's; ``""`` where it is not known, and then no rule with ``origins``
    applies. ``grafana`` is the name of the target.
    """

    roles: frozenset[str]
    groups: frozenset[str]
    origin: str
    grafana: str


class PathRules:
    """All rules of the configuration; without any, ``DEFAULT_RULES``."""

    def __init__(self, rules: Sequence[GatewayRule]) -> None:
        self._rules = tuple(_Compiled.of(rule) for rule in (rules or DEFAULT_RULES))
        self._reaches: dict[tuple[int, ...], Reach] = {}

    def reach_of(self, visitor: Visitor) -> Reach:
        """What all rules that apply to the visitor allow together.

        A visitor to whom none applies reaches nothing. People to whom the same rules apply share
        one reach, and what it remembers.
        """
        applying = tuple(i for i, rule in enumerate(self._rules) if rule.applies_to(visitor))
        reach = self._reaches.get(applying)
        if reach is None:
            entries = [entry for i in applying for entry in self._rules[i].entries]
            reach = Reach(entries, applying)
            if len(self._reaches) >= _MOST_REACHES:
                self._reaches = {}
            self._reaches[applying] = reach
        return reach


class Reach:
    """What a person may reach: patterns, and the answers given so far."""

    __slots__ = ("_answers", "_anywhere", "_by_first", "rules")

    def __init__(self, entries: Sequence[Entry], rules: tuple[int, ...] = ()) -> None:
        self.rules = rules
        """Which rules it comes from, by their place in the configuration."""
        self._by_first: dict[str, list[Entry]] = {}
        self._anywhere: list[Entry] = []
        for entry in dict.fromkeys(entries):
            first = entry.pattern.segments[:1]
            if first and first[0] not in ("*", UID):
                self._by_first.setdefault(first[0], []).append(entry)
            else:
                self._anywhere.append(entry)
        self._answers: dict[tuple[str, str], str | None] = {}

    def allows(self, method: str, segments: tuple[str, ...]) -> bool:
        """Whether a request is allowed; segments are those below Grafana's base path."""
        if segments and any(
            entry.matches(method, segments) for entry in self._by_first.get(segments[0], ())
        ):
            return True
        return any(entry.matches(method, segments) for entry in self._anywhere)

    def check(self, method: str, raw_path: str) -> str | None:
        """``None`` where a request is allowed, or the refusal's code.

        ``raw_path`` is the path below Grafana's base path as it was sent, without the query.
        """
        try:
            return self._answers[method, raw_path]
        except KeyError:
            return self._decide(method, raw_path)

    def _decide(self, method: str, raw_path: str) -> str | None:
        try:
            allowed = self.allows(method, segments_of(raw_path))
            answer = None if allowed else NOT_ALLOWED
        except PathRefused as error:
            answer = error.code
        if len(method) + len(raw_path) <= _LONGEST_REMEMBERED:
            if len(self._answers) >= _MOST_ANSWERS:
                self._answers = {}
            self._answers[method, raw_path] = answer
        return answer


@dataclass(frozen=True, slots=True)
class Entry:
    """One pattern, and the dashboards it is limited to; ``None``: any."""

    pattern: PathPattern
    dashboards: frozenset[str] | None

    def matches(self, method: str, segments: tuple[str, ...]) -> bool:
        """Whether a request is one of these; time is linear in the pattern's length."""
        pattern = self.pattern
        if pattern.methods and method not in pattern.methods:
            return False
        length = len(pattern.segments)
        if len(segments) < length or (len(segments) > length and not pattern.open_end):
            return False
        return all(
            self._shows(got) if wanted == UID else wanted in ("*", got)
            for wanted, got in zip(pattern.segments, segments, strict=False)
        )

    def _shows(self, uid: str) -> bool:
        return self.dashboards is None or uid in self.dashboards


@dataclass(frozen=True, slots=True)
class _Compiled:
    rule: GatewayRule
    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, rule: GatewayRule) -> _Compiled:
        limit = frozenset(rule.dashboards) or None
        patterns = (read_pattern(text) for text in _texts(rule))
        return cls(
            rule,
            tuple(Entry(p, limit if p.of_dashboards else None) for p in patterns),
        )

    def applies_to(self, visitor: Visitor) -> bool:
        rule = self.rule
        return (
            (not rule.roles or not visitor.roles.isdisjoint(rule.roles))
            and (not rule.groups or not visitor.groups.isdisjoint(rule.groups))
            and (not rule.origins or visitor.origin in rule.origins)
            and (not rule.grafana or visitor.grafana in rule.grafana)
        )


def _texts(rule: GatewayRule) -> Iterator[str]:
    for item in rule.allow:
        yield from _SETS.get(item, (item,))
