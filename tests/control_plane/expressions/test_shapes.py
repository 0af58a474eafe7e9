"""Expressions that differ in their constants alone have the trees that CEL gives each of them."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.expressions.environment import MOST_SHAPES, Environment, ValueType
from control_plane.expressions.shapes import shape_of, template_of
from control_plane.expressions.tree import Node, tree_of
from tests.support.examples import examples
from tests.support.rule_conditions import conditions, literals

VARIABLES = {"event": ValueType.OBJECT}


def tree(text: str) -> Node | None:
    """By CEL alone; None where it takes none."""
    try:
        return tree_of(Environment(VARIABLES)._env.compile(text).serialize())
    except RuntimeError:
        return None


LITERALS = st.one_of(
    literals, st.sampled_from(["'it'", '"a.b(c) && 1"', "12345", "-7", "- 7", "0.25", "-0", "-0.0"])
)
SHAPES = (
    "event.data.a == {0}", "{0} < event.data.a && event.data.b in [{1}, {2}]",
    "has(event.data.a) || !(event.data.b != {0})", "event.data[{0}] == {1} ",
    "event.data.a.startsWith({0}) && event.data.a==-{1}", "(event.data.a >= {0})",
    "[{0}, {1}].exists(x, x == event.data.a)", "event.data.a - {0} > {1}", "event.data.a == .5",
    "event.data.a == {0}u && size({1}) > {2}", "event.data.a == r{0}", "event.data.a == {0}e3",
)  # fmt: skip


@examples(
    150, 2_000, st.sampled_from(SHAPES), st.lists(st.tuples(LITERALS, LITERALS, LITERALS),
                                                  min_size=2, max_size=4)
)  # fmt: skip
def test_a_tree_with_other_constants_in_it_is_the_one_that_cel_gives(
    words: str, constants: list[tuple[str, str, str]]
) -> None:
    shared = Environment(VARIABLES)
    for those in constants:
        text = words.format(*those)
        expected = tree(text)
        try:
            found = shared.compile(text, field="f").tree
        except InvalidInput:
            assert expected is None
        else:
            assert found == expected
            assert repr(found) == repr(expected)  # 1, 1.0 and true are equal


@examples(60, 600, st.lists(conditions, min_size=1, max_size=8))
def test_conditions_of_one_environment_keep_their_trees(texts: list[str]) -> None:
    shared = Environment(VARIABLES)
    for text in texts:
        try:
            found = shared.compile(text, field="f").tree
        except InvalidInput:
            assert tree(text) is None or "cost" in text
        else:
            assert repr(found) == repr(tree(text))


def test_what_was_shared_is_evaluated_by_its_own_text() -> None:
    shared = Environment(VARIABLES)
    for number in (3, 4):
        found = shared.compile(f"event.data.a in [{number}, 'x']", field="f")
        for value in (3, 4, "x"):
            bindings = shared.bind({"event": {"data": {"a": value}}})
            assert found.evaluate(bindings) is (value in (number, "x"))


def test_a_constant_is_bounded_in_each_text() -> None:
    shared = Environment(VARIABLES)
    shared.compile("event.data.a == 'x'", field="f")
    with pytest.raises(InvalidInput, match="at most 4096"):
        shared.compile(f"event.data.a == '{'x' * 5_000}'", field="f")


def test_what_a_text_must_give_is_held_against_each() -> None:
    shared = Environment(VARIABLES)
    shared.compile("'x' == 'y'", field="f")
    with pytest.raises(InvalidInput, match="must give int"):
        shared.compile("'x' == 'z'", field="f", returns=(ValueType.INT,))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("event.data.a", id="no-constant"),
        pytest.param(r"event.data.a == 'a\n'", id="an-escape"),
        pytest.param("event.data.a == '''a'''", id="three-quotes"),
        pytest.param("event.data.a == b'a'", id="a-prefix"),
        pytest.param("event.data.a == 1e3", id="an-exponent"),
        pytest.param("event.data.a == 0x1", id="a-hexadecimal-number"),
        pytest.param("event.data.a == 1u", id="an-unsigned-number"),
        pytest.param("event.data.a == 007", id="zeros-before-a-number"),
        pytest.param("event.data.a == 1234567890123456", id="a-long-number"),
        pytest.param("event.data.a == 1 // one", id="a-comment"),
        pytest.param("event.data.a == 'ä'", id="not-ascii"),
    ],
)
def test_what_has_no_shape(text: str) -> None:
    assert shape_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[1].exists(x, x == 2)", id="a-loop"),
        pytest.param("duration('1s') == event.data.a", id="a-function-that-reads-its-constant"),
        pytest.param("event.data.a.matches('a')", id="a-regular-expression"),
        pytest.param("event.data.a == -0", id="a-zero-with-a-sign"),
    ],
)
def test_what_has_no_template(text: str) -> None:
    shape, found = shape_of(text), tree(text)
    assert shape is not None
    assert found is not None
    assert template_of(shape, found) is None


def test_only_so_many_shapes_are_kept() -> None:
    shared = Environment(VARIABLES)
    for number in range(MOST_SHAPES + 5):
        shared.compile(f"event.data.a{number} == 1", field="f")
    assert len(shared._shapes) == MOST_SHAPES
