"""What is wrong with a configuration, all of it at once: the key, what is wrong, what would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedjwt.errors import EmbedJWTError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong. ``key`` is the setting's path, such as ``source.0.key_file``."""

    key: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        lines = [f"{self.key}: {self.message}", *([self.fix] if self.fix else [])]
        return "\n".join(lines).replace("\n", "\n      ")


class ConfigError(EmbedJWTError):
    """The configuration cannot be used; ``problems`` says why, every one of them."""

    code = "config_invalid"
    status = 500

    def __init__(self, problems: Sequence[Problem], *, origin: str = "") -> None:
        self.problems = tuple(problems)
        self.origin = origin
        super().__init__(f"{len(self.problems)} problem(s) in the configuration")

    def diagnostics(self) -> str:
        count = len(self.problems)
        head = f"{self.origin or 'The configuration'}: {count} problem{'s' * (count != 1)}"
        return "\n".join([head, *(f"  {problem}" for problem in self.problems)])
