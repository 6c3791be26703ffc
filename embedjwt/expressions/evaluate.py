"""jmespath.py's syntax tree to Python closures that evaluate as go-jmespath does.

A closure takes the current value and the :class:`Run`. Loops and functions pay for their work
before they do it; everything else runs at most once per node. Rules that differ from jmespath.py
are those of ``pkg/interpreter/interpreter.go`` of jmespath-community/go-jmespath 1.1.1.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import ge, gt, le, lt
from typing import Any

from embedjwt.expressions import functions, strings
from embedjwt.expressions.errors import ExpressionError, TooComplex
from embedjwt.expressions.limits import MAX_NESTING, Run
from embedjwt.expressions.registry import Reference, Step, lookup
from embedjwt.expressions.syntax import Node
from embedjwt.expressions.values import as_float, equal, is_false, is_number

_ORDERINGS = {"lt": lt, "lte": le, "gt": gt, "gte": ge}
_FUNCTIONS = functions.TABLE | strings.TABLE
_CHAIN = ("subexpression", "index_expression")


def compile_node(node: Node, depth: int = 0) -> Step:
    """The closure of a node; ``ExpressionError`` for an unknown function or wrong arguments."""
    if depth > 2 * MAX_NESTING:
        raise TooComplex(f"the JMESPath expression is nested more than {MAX_NESTING} levels")
    return _COMPILERS[node["type"]](node, depth + 1)


def _children(node: Node, depth: int) -> list[Step]:
    return [compile_node(child, depth) for child in node["children"]]


def _operands(node: Node, kinds: tuple[str, ...], depth: int) -> list[Step]:
    """The steps of a chain of like nodes, however they are nested in each other."""
    steps: list[Step] = []
    pending = [node]
    while pending:
        current = pending.pop()
        if current["type"] in kinds:
            pending.extend(reversed(current["children"]))
        else:
            steps.append(compile_node(current, depth))
    return steps


def _weight(node: Node) -> int:
    """How many nodes run when this one runs once."""
    count = 0
    pending = [node]
    while pending:
        count += 1
        pending.extend(child for child in pending.pop()["children"] if isinstance(child, dict))
    return count


def _identity(_node: Node, _depth: int) -> Step:
    return lambda value, _run: value


def _root(_node: Node, _depth: int) -> Step:
    return lambda _value, run: run.root


def _literal(node: Node, _depth: int) -> Step:
    literal = node["value"]
    return lambda _value, _run: literal


def _field(node: Node, _depth: int) -> Step:
    name = node["value"]
    return lambda value, _run: value.get(name) if isinstance(value, dict) else None


def _index(node: Node, _depth: int) -> Step:
    index = node["value"]

    def step(value: Any, _run: Run) -> Any:
        if isinstance(value, list) and -len(value) <= index < len(value):
            return value[index]
        return None

    return step


def _slice(node: Node, _depth: int) -> Step:
    start, stop, stride = node["children"]

    def step(value: Any, run: Run) -> Any:
        if not isinstance(value, list | str):
            return None
        if stride == 0:
            if isinstance(value, str):
                return None
            raise ExpressionError("a slice cannot have a step of 0")
        run.spend(len(value))
        return value[start:stop:stride]

    return step


def _chain(node: Node, depth: int) -> Step:
    """``a.b[0].c``: null as soon as one part is null, even before ``{…}``, ``[…]`` or a call."""
    first, *rest = _operands(node, _CHAIN, depth)

    def step(value: Any, run: Run) -> Any:
        value = first(value, run)
        for following in rest:
            if value is None:
                return None
            value = following(value, run)
        return value

    return step


def _pipe(node: Node, depth: int) -> Step:
    steps = _operands(node, ("pipe",), depth)

    def step(value: Any, run: Run) -> Any:
        for following in steps:
            value = following(value, run)
        return value

    return step


def _or(node: Node, depth: int) -> Step:
    *steps, last = _operands(node, ("or_expression",), depth)

    def step(value: Any, run: Run) -> Any:
        for alternative in steps:
            found = alternative(value, run)
            if not is_false(found):
                return found
        return last(value, run)

    return step


def _and(node: Node, depth: int) -> Step:
    *steps, last = _operands(node, ("and_expression",), depth)

    def step(value: Any, run: Run) -> Any:
        for condition in steps:
            found = condition(value, run)
            if is_false(found):
                return found
        return last(value, run)

    return step


def _not(node: Node, depth: int) -> Step:
    (operand,) = _children(node, depth)
    return lambda value, run: is_false(operand(value, run))


def _comparator(node: Node, depth: int) -> Step:
    left, right = _children(node, depth)
    if node["value"] == "eq":
        return lambda value, run: equal(left(value, run), right(value, run), run)
    if node["value"] == "ne":
        return lambda value, run: not equal(left(value, run), right(value, run), run)
    holds = _ORDERINGS[node["value"]]

    def step(value: Any, run: Run) -> Any:
        ours, theirs = left(value, run), right(value, run)
        if is_number(ours) and is_number(theirs):
            return holds(as_float(ours), as_float(theirs))
        return None

    return step


def _multi_select_list(node: Node, depth: int) -> Step:
    steps = _children(node, depth)
    return lambda value, run: [item(value, run) for item in steps]


def _multi_select_dict(node: Node, depth: int) -> Step:
    steps = [(pair["value"], compile_node(pair["children"][0], depth)) for pair in node["children"]]
    return lambda value, run: {name: member(value, run) for name, member in steps}


def _tolerant(node: Node, depth: int) -> Step:
    """The left side of a filter, ``[]`` or ``.*``, where go-jmespath turns an error into null."""
    operand = compile_node(node, depth)

    def step(value: Any, run: Run) -> Any:
        try:
            return operand(value, run)
        except TooComplex:
            raise
        except ExpressionError:
            return None

    return step


def _flatten(node: Node, depth: int) -> Step:
    operand = _tolerant(node["children"][0], depth)

    def step(value: Any, run: Run) -> Any:
        base = operand(value, run)
        if not isinstance(base, list):
            return None
        flat: list[Any] = []
        for element in base:
            if isinstance(element, list):
                run.spend(len(element) + 1)
                flat.extend(element)
            else:
                run.spend(1)
                flat.append(element)
        return flat

    return step


def _projector(body: Node, depth: int) -> Callable[[list[Any], Run], list[Any]]:
    """What applies the right side of a projection to elements, and drops nulls."""
    each, weight = compile_node(body, depth), _weight(body)
    is_identity = body["type"] == "identity"

    def project(elements: list[Any], run: Run) -> list[Any]:
        run.spend(weight * len(elements))
        found = elements if is_identity else [each(element, run) for element in elements]
        return [item for item in found if item is not None]

    return project


def _projection(node: Node, depth: int) -> Step:
    source, body = node["children"]
    left, project = compile_node(source, depth), _projector(body, depth)
    is_slice = source["type"] == "index_expression" and source["children"][-1]["type"] == "slice"

    def step(value: Any, run: Run) -> Any:
        base = left(value, run)
        if isinstance(base, list):
            return project(base, run)
        return base if is_slice and isinstance(base, str) else None

    return step


def _value_projection(node: Node, depth: int) -> Step:
    source, body = node["children"]
    left, project = _tolerant(source, depth), _projector(body, depth)

    def step(value: Any, run: Run) -> Any:
        base = left(value, run)
        return project(list(base.values()), run) if isinstance(base, dict) else None

    return step


def _filter_projection(node: Node, depth: int) -> Step:
    source, body, test = node["children"]
    left, project = _tolerant(source, depth), _projector(body, depth)
    holds, weight = compile_node(test, depth), _weight(test)

    def step(value: Any, run: Run) -> Any:
        base = left(value, run)
        if not isinstance(base, list):
            return None
        run.spend(weight * len(base))
        return project([item for item in base if not is_false(holds(item, run))], run)

    return step


def _expref(node: Node, depth: int) -> Step:
    (body,) = node["children"]
    reference = Reference(compile_node(body, depth), _weight(body))
    return lambda _value, _run: reference


def _function(node: Node, depth: int) -> Step:
    steps = _children(node, depth)
    function = lookup(_FUNCTIONS, node["value"], len(steps))
    return lambda value, run: function.call([step(value, run) for step in steps], run)


_COMPILERS: dict[str, Callable[[Node, int], Step]] = {
    "and_expression": _and,
    "comparator": _comparator,
    "current": _identity,
    "expref": _expref,
    "field": _field,
    "filter_projection": _filter_projection,
    "flatten": _flatten,
    "function_expression": _function,
    "identity": _identity,
    "index": _index,
    "index_expression": _chain,
    "literal": _literal,
    "multi_select_dict": _multi_select_dict,
    "multi_select_list": _multi_select_list,
    "not_expression": _not,
    "or_expression": _or,
    "pipe": _pipe,
    "projection": _projection,
    "root": _root,
    "slice": _slice,
    "subexpression": _chain,
    "value_projection": _value_projection,
}
