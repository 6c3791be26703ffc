"""The public surface: what an expression is, its copies, and what its errors tell a person."""

import json
from types import MappingProxyType

import pytest

from embedjwt.errors import EmbedJWTError
from embedjwt.expressions import Expression, ExpressionError, compile_expression

ROLE = (
    "contains(info.roles[*], 'admin') && 'Admin' || "
    "contains(info.roles[*], 'editor') && 'Editor' || 'Viewer'"
)


@pytest.mark.parametrize(
    ("roles", "role"),
    [(["admin"], "Admin"), (["x", "editor"], "Editor"), ([], "Viewer"), (["Admin"], "Viewer")],
)
def test_the_role_expression_of_grafanas_manual(roles, role):
    assert compile_expression(ROLE).search({"info": {"roles": roles}}) == role


def test_an_expression_keeps_its_text():
    expression = compile_expression("a.b")
    assert isinstance(expression, Expression)
    assert expression.text == "a.b"


def test_an_expression_error_is_a_refusal_of_ours():
    with pytest.raises(EmbedJWTError) as caught:
        compile_expression("a ||")
    assert isinstance(caught.value, ExpressionError)
    assert (caught.value.code, caught.value.status) == ("expression_error", 403)


def test_a_read_only_mapping_is_a_document():
    assert compile_expression("a").search(MappingProxyType({"a": 1})) == 1


@pytest.mark.parametrize("text", ["roles", "@.roles", "`[1, 2]`", "to_array(roles)"])
def test_a_result_is_the_callers_to_change(text):
    document = {"roles": [1, 2]}
    expression = compile_expression(text)
    expression.search(document).append(3)
    assert expression.search(document) == document["roles"] == [1, 2]


def test_integers_stay_integers_where_a_float64_has_the_same_value():
    document = {"small": 41, "large": 2**53 + 1}
    found = compile_expression("[small, large]").search(document)
    assert json.dumps(found) == "[41, 9007199254740992.0]"


def test_half_a_surrogate_pair_is_replaced_as_go_does():
    found = compile_expression("[a, to_string([a])]").search({"a": "x\ud800"})
    assert found == ["x\ufffd", '["x\ufffd"]']


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        ("a ||", ["at character 5", "something is missing", "a ||\n      ^"]),
        ("roles[?x = 'y']", ["at character 10", "roles[?x = 'y']\n           ^", "=="]),
        ("(a || b", ["at character 1", "never closed"]),
        ("'abc", ["at character 1", "quote is never closed"]),
        ("`foo`", ["at character 1", "not valid JSON", "'quotes'"]),
        ("`NaN`", ["at character 1", "not valid JSON"]),
        ("`1e999`", ["at character 1", "not valid JSON"]),
        ("a # b", ["at character 3", "unknown character"]),
        ("a 1", ["at character 3", "`5`"]),
        ("my-app.roles", ["at character 3", '"my-claim"']),
        ("app-1.roles", ["at character 4", '"my-claim"']),
        ("a % b", ["at character 3", "arithmetic (%)", "identity provider"]),
        ("a × b", ["at character 3", "arithmetic (×)"]),
        ("a // b", ["at character 3", "arithmetic (//)"]),
        ("a * b", ["at character 3", "arithmetic (*)"]),
        ("-a", ["at character 1", "arithmetic (-)"]),
        ("a.b | let $x = c in $x", ["at character 11", "variables", "($ | X)"]),
        ("let $x = a in let $y = b in $y", ["variables", "($ | X)"]),
        ("let $x = a in $y", ["variables", "($ | X)"]),
        ("'a'(b)", ["at character 1", "only a function"]),
        ('"abs"(b)', ["must not stand in quotes"]),
        ("[99999999999999999999]", ["at character 2", "64 bits"]),
        ("contians(a, 'b')", ["no JMESPath function contians()", "mean contains()"]),
        ("qqq(a)", ["no JMESPath function qqq()"]),
        ("length(a, b)", ["length() takes 1 argument, not 2"]),
        ("contains(a)", ["contains() takes 2 arguments, not 1"]),
        ("merge()", ["merge() takes at least 1 argument, not 0"]),
        ("split(a)", ["split() takes 2 to 3 arguments, not 1"]),
    ],
)
def test_a_compile_error_says_where_and_what_to_write(expression, parts):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(expression)
    text = caught.value.diagnostics()
    assert [part for part in parts if part not in text] == []


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        ("contains(none, 'x')", ["contains(): argument 1", "not null", "(claim || `[]`)"]),
        ("length(secret, 'x')[0]", ["length()"]),
        ("lower(none)", ["must be string, not null", "(claim || '')"]),
        ("sum(secret)", ["array of numbers, not string"]),
        ("sum(mixed)", ["array of numbers, not array"]),
        ("sort_by(people, &name)", ["sort_by()", "null and string"]),
        ("group_by(people, &age)", ["group_by()", "not number"]),
        ("from_items(people)", ["from_items()", "pair"]),
        ("find_first(secret, 'a', `9`, `1`)", ["find_first()", "start"]),
        ("pad_left(secret, `-1`)", ["pad_left()", "width", "at least 0"]),
        ("pad_left(secret, `50`, secret)", ["pad_left()", "one ASCII character"]),
        ("replace(secret, 'a', 'b', `0.5`)", ["replace()", "count", "whole number"]),
        ("contains(people, people[0])", ["contains()", "object"]),
        ("people[::0]", ["step of 0"]),
        ("&secret", ["no JSON value", "&name"]),
    ],
)
def test_an_evaluation_error_names_types_and_no_value(expression, parts):
    document = {
        "secret": "s3cr3t",
        "mixed": [1, "s3cr3t"],
        "people": [{"name": "s3cr3t", "age": 1}, {"age": 2}],
    }
    with pytest.raises(ExpressionError) as caught:
        compile_expression(expression).search(document)
    text = caught.value.diagnostics()
    assert [part for part in parts if part not in text] == []
    assert "s3cr3t" not in text


def test_a_long_expression_is_shown_around_its_error():
    with pytest.raises(ExpressionError) as caught:
        compile_expression("a || " * 500 + "#" + " || a" * 500)
    excerpt, caret = caught.value.hint.split("\n")
    assert len(excerpt) == 100
    assert excerpt[caret.index("^") - 2] == "#"


def test_words_of_other_dialects_are_plain_names():
    document = {"let": 1, "in": 2, "true": 3}
    assert compile_expression("[let, in, true]").search(document) == [1, 2, 3]
