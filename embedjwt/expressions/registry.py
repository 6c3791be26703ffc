"""What a JMESPath function is: its parameters, their types, and how a call is checked."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from embedjwt.expressions.errors import ExpressionError
from embedjwt.expressions.limits import Run
from embedjwt.expressions.values import is_number, type_name

Step = Callable[[Any, Run], Any]
"""One evaluation step: the current value and the run, to a value."""


class Reference(NamedTuple):
    """An expression as a value (``&name``): the step, and what one use of it costs."""

    step: Step
    weight: int

    def apply(self, elements: list[Any], run: Run) -> list[Any]:
        """The value of the expression for each element."""
        run.spend(self.weight * len(elements))
        return [self.step(element, run) for element in elements]


def _all_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(is_number(item) for item in value)


def _all_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_TESTS: dict[str, Callable[[Any], bool]] = {
    "any": lambda _value: True,
    "array": lambda value: isinstance(value, list),
    "array of numbers": _all_numbers,
    "array of strings": _all_strings,
    "expression (&name)": lambda value: isinstance(value, Reference),
    "number": is_number,
    "object": lambda value: isinstance(value, dict),
    "string": lambda value: isinstance(value, str),
}
_DEFAULTS = {"array": "`[]`", "object": "`{}`", "string": "''", "array of strings": "`[]`"}


@dataclass(frozen=True, slots=True)
class Function:
    """A function: its name, the types of its parameters, and what it does.

    ``required`` parameters must be given; a ``variadic`` function takes its last repeatedly.
    """

    name: str
    parameters: tuple[tuple[str, ...], ...]
    required: int
    variadic: bool
    body: Callable[..., Any]

    def call(self, arguments: list[Any], run: Run) -> Any:
        """Check the arguments and call; pays for their size first."""
        cost = 1
        for argument in arguments:
            if isinstance(argument, str | list | dict):
                cost += len(argument)
        run.spend(cost)
        last = len(self.parameters) - 1
        for position, argument in enumerate(arguments):
            types = self.parameters[min(position, last)]
            for name in types:
                if _TESTS[name](argument):
                    break
            else:
                raise self._wrong_type(position, types, argument)
        return self.body(run, *arguments)

    def _wrong_type(self, position: int, types: tuple[str, ...], argument: Any) -> ExpressionError:
        found = type_name(argument)
        defaults = [_DEFAULTS[name] for name in types if name in _DEFAULTS]
        hint = ""
        if argument is None and defaults:
            hint = (
                "A function fails on a missing claim, and so does everything around it. Give the "
                f"claim a default: (claim || {defaults[0]})"
            )
        return ExpressionError(
            f"JMESPath function {self.name}(): argument {position + 1} must be "
            f"{' or '.join(types)}, not {found}",
            hint=hint,
        )


Table = dict[str, Function]
"""Functions by name."""


def registrar(table: Table) -> Callable[..., Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """A decorator that puts a function into a table, named as in Python without a trailing ``_``.

    Its arguments are the parameters: types joined by ``|``; ``?`` behind them, may be left out;
    ``*``, any number of times but at least once.
    """

    def register(*parameters: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def add(body: Callable[..., Any]) -> Callable[..., Any]:
            name = body.__name__.rstrip("_")
            table[name] = Function(
                name,
                tuple(tuple(spec.rstrip("?*").split("|")) for spec in parameters),
                sum(not spec.endswith("?") for spec in parameters),
                parameters[-1].endswith("*"),
                body,
            )
            return body

        return add

    return register


def lookup(table: Table, name: str, arguments: int) -> Function:
    """The function for a call with so many arguments, or an ``ExpressionError``."""
    function = table.get(name)
    if function is None:
        close = difflib.get_close_matches(name[:40].lower(), table, 1, 0.7)
        hint = f"Did you mean {close[0]}()?" if close else ""
        raise ExpressionError(f"there is no JMESPath function {name[:40]}()", hint=hint)
    most = len(function.parameters)
    if arguments < function.required or (arguments > most and not function.variadic):
        bounds = str(function.required)
        plural = "s" if most > 1 else ""
        if function.variadic:
            bounds = f"at least {bounds}"
        elif most > function.required:
            bounds = f"{bounds} to {most}"
        raise ExpressionError(
            f"JMESPath function {name}() takes {bounds} argument{plural}, not {arguments}"
        )
    return function
