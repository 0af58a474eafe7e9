"""What is said without CEL is what CEL says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.expressions.direct import direct_of
from control_plane.expressions.environment import Environment, ValueType
from tests.support.examples import examples

ENVIRONMENT = Environment({"event": ValueType.OBJECT, "key": ValueType.STRING})

near = st.sampled_from([0, 1, -1, 2, 2**53 - 1, 2**53, 2**53 + 1, -(2**63), 2**63 - 1])
numbers = near | st.sampled_from([0.0, -0.0, 0.5, 1.0, 2.0, 2.0**53, 1e300])
texts = st.sampled_from(["", "a", "ab", "b", "é", "1"])
constants = st.booleans() | numbers | texts | st.none()
paths = st.sampled_from(["event.a", "event.b", "event.a.b", 'event["a"]', "key", "event.a.b.c"])


def written(constant: Any) -> str:
    return json.dumps(constant, ensure_ascii=False)


compared = st.builds(
    lambda path, sign, constant, mirrored: (
        f"{written(constant)} {sign} {path}" if mirrored else f"{path} {sign} {written(constant)}"
    ),
    paths,
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    constants,
    st.booleans(),
)
leaves = (
    compared
    | paths.map(lambda path: f"{path}.startsWith('a')")
    | st.sampled_from(["event.a", "has(event.a)", "has(event.a.b)", "has(event.x.y)"])
    | st.builds(
        lambda path, those: f"{path} in [{', '.join(map(written, those))}]",
        paths,
        st.lists(texts, max_size=3) | st.lists(constants, max_size=3),
    )
)
conditions = st.recursive(
    leaves,
    lambda inner: st.builds(
        lambda left, sign, right, negated: f"{'!' if negated else ''}({left} {sign} {right})",
        inner,
        st.sampled_from(["&&", "||"]),
        inner,
        st.booleans(),
    ),
    max_leaves=4,
)
values = constants | st.lists(constants, max_size=1)
objects = st.dictionaries(st.sampled_from("abc"), values | st.dictionaries(st.just("b"), values))


@examples(250, 3_000, conditions, objects, texts)
def test_what_is_said_directly_is_what_cel_says(text: str, event: Any, key: str) -> None:
    try:
        # An element of a list is nothing so plain: CEL evaluates it.
        by_cel = ENVIRONMENT.compile(f"[{text}][0]", field="when")
        condition = ENVIRONMENT.compile(text, field="when")
    except InvalidInput:
        return  # a text compared with a number, say, where the types are known
    bound = {"event": event, "key": key}
    assert condition.holds(ENVIRONMENT.bind(bound)) == by_cel.holds(ENVIRONMENT.bind(bound))


@pytest.mark.parametrize(
    ("text", "event", "said"),
    [
        pytest.param('event.a == "x"', {"a": "x"}, True, id="a-text"),
        pytest.param('event.a == "x"', {}, None, id="nothing-there"),
        pytest.param('event.a == "x"', {"a": 1}, None, id="another-type"),
        pytest.param("event.a < 2.5", {"a": 2}, True, id="numbers"),
        pytest.param("event.a > 1", {"a": 2**60}, None, id="too-large-to-be-exact"),
        pytest.param('event.a == "x" || event.b > 1', {"b": 2}, True, id="one-decides"),
        pytest.param('event.a == "x" && event.b > 1', {"b": 2}, None, id="none-decides"),
        pytest.param("!has(event.a) && event.b in ['x']", {"b": "x"}, True, id="not"),
    ],
)
def test_where_cel_need_not_be_asked(text: str, event: dict[str, Any], said: bool | None) -> None:
    direct = direct_of(ENVIRONMENT.compile(text, field="when").tree)
    assert direct is not None
    assert direct({"event": event}) is said


@pytest.mark.parametrize(
    "text",
    ["event.a + 1 > 2", "event.a.size() > 1", "event.a == event.b", "event.a[0] == 1",
     "event.a.exists(x, x == 1)", "event.a == null"],
)  # fmt: skip
def test_what_is_not_so_plain_is_left_to_cel(text: str) -> None:
    assert direct_of(ENVIRONMENT.compile(text, field="when").tree) is None
