"""Expressions as jmespath-community/go-jmespath 1.1.1, Grafana's library, evaluates them.

``grafana_cases.json`` holds what that library answered; ``refused_cases.json`` what it answered to
expressions that embedjwt refuses with a rewrite.
"""

import json
from pathlib import Path

import pytest

from embedjwt.expressions import ExpressionError, compile_expression

HERE = Path(__file__).parent
GROUPS = json.loads((HERE / "grafana_cases.json").read_text("utf-8"))
REFUSED = json.loads((HERE / "refused_cases.json").read_text("utf-8"))
CASES = [
    pytest.param(group["document"], case, id=f"{group['about']}: {case['expression']}")
    for group in GROUPS
    for case in group["cases"]
]


def exact(value):
    """A value with every type told apart, so that true is not 1; numbers are float64."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return repr(value)
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    return [exact(item) for item in value] if isinstance(value, list) else float(value)


@pytest.mark.parametrize(("document", "case"), CASES)
def test_answers_as_grafanas_library_does(document, case):
    before = json.dumps(document)
    if "error" in case:
        with pytest.raises(ExpressionError):
            compile_expression(case["expression"]).search(document)
    else:
        found = compile_expression(case["expression"]).search(document)
        assert exact(found) == exact(case["result"])
    assert json.dumps(document) == before


@pytest.mark.parametrize("case", [pytest.param(c, id=c["expression"]) for c in REFUSED])
def test_the_rewrite_of_a_refused_expression_gives_what_grafana_gives(case):
    with pytest.raises(ExpressionError, match="not supported") as refused:
        compile_expression(case["expression"])
    assert refused.value.code == "expression_error"
    _, rewritten = refused.value.hint.split("Write: ")
    assert compile_expression(rewritten).search(case["document"]) == case["result"]


def test_every_case_has_its_own_answer():
    """The table would not notice an evaluator that ignores the expression otherwise."""
    for group in GROUPS:
        answers = {json.dumps(case.get("result", "error")) for case in group["cases"]}
        assert len(answers) > 2, group["about"]


@pytest.mark.parametrize(
    ("expression", "members"),
    [
        ("keys(@)", ["c", "a", "b"]),
        ("values(@)", [3, 1, 2]),
        ("*", [3, 1, 2]),
        ("items(@)[*][0]", ["c", "a", "b"]),
    ],
)
def test_objects_keep_the_order_of_the_document(expression, members):
    document = {"c": 3, "a": 1, "b": 2}
    assert compile_expression(expression).search(document) == members
