"""Hostile expressions and documents end in an ExpressionError, never in another exception."""

import inspect
import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedjwt.expressions import ExpressionError, compile_expression
from embedjwt.expressions.limits import MAX_DEPTH, MAX_LENGTH, MAX_NESTING, MAX_WORK


def nested(depth, wrap):
    value = wrap(None)
    for _ in range(depth - 1):
        value = wrap(value)
    return value


def in_list(value):
    return [value]


def in_object(value):
    return {"a": value}


DOCUMENT = {
    "deep": nested(10_000, in_list),
    "deep_object": nested(10_000, in_object),
    "deeper_than_allowed": nested(MAX_DEPTH + 50, in_list),
    "its_twin": nested(MAX_DEPTH + 50, in_list),
    "numbers": list(range(100_000)),
    "numbers_twin": list(range(100_000)),
    "wide": {str(n): n for n in range(100_000)},
    "wide_twin": {str(n): n for n in range(100_000)},
    "thousand": list(range(1_000)),
    "nulls": [None] * 1_000,
    "words": ["word"] * 100_000,
    "people": [{"name": str(n), "age": n} for n in range(10_000)],
    "text": "ab" * 60_000,
    "text_twin": "ab" * 60_000,
}
NO_JSON = {
    "huge": 10**400,
    "infinite": float("inf"),
    "nan": float("nan"),
    "tuple": (1, 2),
    "set": {1},
    "bytes": b"x",
    "object": object(),
    "keyed": {1: 2},
    "surrogate": "\udfff",
}


@pytest.mark.parametrize(
    "expression",
    [
        "a" * (MAX_LENGTH + 1),
        "[" * 3000 + "a" + "]" * 3000,
        "{a: " * 300 + "b" + "}" * 300,
        "abs(" * 300 + "a" + ")" * 300,
        "!" * 5000 + "a",
        "a" + "[*]" * 3000,
        "a" + ".*" * 3000,
        "a" + "[?b" * 500 + "]" * 500,
        "a == " * 900 + "b",
        "a == " * (2 * MAX_NESTING + 5) + "b",
        "[" * (MAX_NESTING + 1) + "a" + "]" * (MAX_NESTING + 1),
        "`" + "[" * 7000 + "]" * 7000 + "`",
        "(" * 300 + "a" + " == b)" * 300,
    ],
    ids=lambda text: f"{text[:12]}…",
)
def test_a_monstrous_expression_is_refused(expression):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(expression)
    assert caught.value.code == "expression_too_complex"


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("(" * 8000 + "a" + ")" * 8000, 1),
        ("(a && " * 400 + "b" + ")" * 400, 2),
        ("x || " * 900 + "a", 1),
        (" && ".join(["a"] * 900), 1),
        (" | ".join(["@"] * 900) + " | a", 1),
        ("o." * 900 + "a", None),
        ("(x || " * 400 + "b" + ")" * 400, 2),
        ("l" + "[0]" * 900, None),
        ("l[0].o" + "[0].o" * 400, None),
        ("[" * (MAX_NESTING - 1) + "a" + "][0]" * (MAX_NESTING - 1), 1),
    ],
    ids=lambda text: f"{text[:12]}…" if isinstance(text, str) else None,
)
def test_what_grafana_evaluates_at_length_works(expression, found):
    document = {"a": 1, "b": 2, "o": {}, "l": [[]]}
    assert compile_expression(expression).search(document) == found


@pytest.mark.parametrize(
    "expression",
    [
        " | ".join(["[@, @]"] * 90),
        " | ".join(["[text, @][]"] + ["[@, @][]"] * 60),
        " | ".join(["[@, @]"] * 60) + " | to_string(@)",
        " | ".join(["[@, @]"] * 60) + " | @ == [@[0], @[1]]",
        "numbers[].[@, @][].[@, @][].[@, @][].[@, @][]",
        "numbers[?contains($.numbers, @)]",
        "map(&map(&@, $.numbers), numbers)",
        "people[*].{a: $.people[?age > `1`]}",
        "words[*].to_string($.people)",
        "numbers[*].[keys($), values($), items($), merge($, $)]",
        "pad_left('', `1e9`)",
        "pad_right('', `1000000`)",
        "join(text, words)",
        "map(&join('', [@, @]), words)",
        "replace(text, 'a', text)",
        "zip(numbers, numbers, numbers)",
    ],
)
def test_work_without_bound_is_stopped(expression):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(expression).search(DOCUMENT)
    assert caught.value.code == "expression_too_complex"


@pytest.mark.parametrize(
    "expression",
    [
        pytest.param("numbers[*].[@, @, @] | [0]", id="projection"),
        pytest.param("wide.*.[@, @, @] | [0]", id="value projection"),
        pytest.param("numbers[?@ == `-1` || @ == `-2`]", id="filter"),
        pytest.param("[numbers, numbers][] | [0]", id="flattened arrays"),
        pytest.param("[numbers[], numbers[]] | [0][0]", id="flattened elements"),
        pytest.param("[numbers[:], numbers[:]] | [0][0]", id="slice"),
        pytest.param("[text[:], text[:], text[:]] | [0][0]", id="slice of a string"),
        pytest.param("map(&[@, @, @], numbers) | [0]", id="expression reference"),
        pytest.param("thousand[?starts_with($.text, 'z')]", id="size of an argument"),
        pytest.param("to_string([text, text, text]) == 'x'", id="strings to JSON"),
        pytest.param("thousand[:200] | [?to_string($.nulls) == 'x']", id="values to JSON"),
        pytest.param("thousand[?$.text != $.text_twin]", id="strings compared"),
        pytest.param("[numbers, numbers, numbers] == [numbers, numbers, numbers]", id="arrays"),
        pytest.param("[wide, wide, wide] == [wide, wide, wide]", id="objects compared"),
        pytest.param("[numbers, numbers, numbers]", id="arrays returned"),
        pytest.param("[wide, wide, wide]", id="objects returned"),
    ],
)
def test_each_kind_of_work_is_paid_for(expression):
    with pytest.raises(ExpressionError, match=f"more than {MAX_WORK} steps"):
        compile_expression(expression).search(DOCUMENT)


@pytest.mark.parametrize(
    "expression",
    [
        *("@", "deep", "deep_object", "[numbers[0], deep]", "to_string(deep)"),
        *("deeper_than_allowed", "to_string(deeper_than_allowed)"),
        *("deeper_than_allowed == its_twin", "[deeper_than_allowed] == [its_twin]"),
    ],
)
def test_a_value_may_not_be_too_deep(expression):
    with pytest.raises(ExpressionError, match=f"more than {MAX_DEPTH} levels") as caught:
        compile_expression(expression).search(DOCUMENT)
    assert caught.value.code == "expression_too_complex"


def at_stack_depth(frames, call):
    return call() if frames == 0 else at_stack_depth(frames - 1, call)


def test_a_nearly_full_stack_gives_an_expression_error():
    text = "[" * 90 + "a" + "]" * 90
    expression = compile_expression(text)
    room = sys.getrecursionlimit() - len(inspect.stack())
    for call in (lambda: expression.search({"a": 1}), lambda: compile_expression(text)):
        with pytest.raises(ExpressionError) as caught:
            at_stack_depth(room - 60, call)
        assert caught.value.code == "expression_too_complex"


@pytest.mark.parametrize(
    "expression",
    [
        *("huge", "abs(huge)", "huge > `1`", "huge == huge", "to_string(huge)", "sum([huge])"),
        *("infinite", "nan", "to_string(infinite)", "ceil(nan)", "floor(infinite)"),
        *("tuple", "set", "bytes", "object", "length(tuple)", "type(object)", "to_string(set)"),
        *("keyed", "to_string(keyed)", "[object]", "{a: bytes}", "sort([object])"),
    ],
)
def test_what_is_no_json_value_is_refused(expression):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(expression).search(NO_JSON)
    assert caught.value.code == "expression_error"


@pytest.mark.parametrize(
    "expression",
    ["upper(surrogate)", "find_first(surrogate, 'x')", "pad_left(surrogate, `5`)", "type(huge)"],
)
def test_odd_values_pass_through_functions_that_can_take_them(expression):
    json.dumps(compile_expression(expression).search(NO_JSON)).encode()


def test_the_depth_of_a_result_has_a_limit_that_real_claims_do_not_meet():
    assert compile_expression("@").search(nested(MAX_DEPTH, in_object)) is not None
    with pytest.raises(ExpressionError, match=f"{MAX_DEPTH} levels"):
        compile_expression("@").search(nested(MAX_DEPTH + 2, in_object))


def test_real_work_fits_the_limits():
    groups = [f"/company/team-{n}" for n in range(5000)]
    tests = " || ".join(f"contains(groups[*], 'team-{n}') && 'Editor'" for n in range(10))
    expression = compile_expression(f"{tests} || 'Viewer'")
    assert expression.search({"groups": groups}) == "Viewer"
    assert len(groups) * 10 * 2 < MAX_WORK


def test_a_spent_limit_does_not_carry_over():
    expression = compile_expression("length(numbers)")
    assert [expression.search(DOCUMENT) for _ in range(10)] == [100_000] * 10


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "roles"]), inner, max_size=3)
    ),
    max_leaves=8,
)
SYNTAX = [*"abx.*[](){}:,@$&|!<>=+-/%0`'\"×é\\", "[?", "[*]", "&&", "||", "==", "!=", ">="]
WORDS = ["roles", "$x", "let", "in", "-1", "`1`", "`[]`", "'a'"]
CALLS = ["contains(", "length(", "sort_by(", "map(", "join(", "to_string(", "pad_left(", "zip("]


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(st.sampled_from(SYNTAX + WORDS + CALLS), max_size=14).map(" ".join)
    | st.text(max_size=20),
    JSON,
)
def test_any_text_on_any_document_gives_json_or_an_expression_error(text, document):
    try:
        found = compile_expression(text).search(document)
    except ExpressionError as error:
        found = error.diagnostics()
    assert json.dumps(found, allow_nan=False)
