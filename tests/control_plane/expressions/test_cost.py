"""What an expression can cost is worked out before it is evaluated, and bounded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.expressions.cost import BUDGET, MOST_TEXT, estimate
from control_plane.expressions.environment import Environment, ValueType
from control_plane.expressions.expression import Fault

ENV = Environment({"event": ValueType.OBJECT})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("event.s.replace('a', event.s) == ''", "line 1, column 16: this can make a "
                     "text of", id="a-text-in-place-of-every-character"),
        pytest.param("event.l.join(event.s) == ''", "can make a text", id="a-text-between-items"),
        pytest.param("event.l.map(x, event.s).join('') == ''", "can make a text",
                     id="a-text-for-every-item"),
        pytest.param("'a'" + ".replace('a', 'aaaaaaaaaa')" * 7 + " == ''", "can make a text",
                     id="a-constant-that-grows"),
        pytest.param("event.s.replace('', event.s) == ''", "can make a text",
                     id="a-text-around-every-character"),
        pytest.param("event.s.split('').map(x, x).size() > 1", "column 22: the expression can cost",
                     id="every-character-of-a-text-collected"),
        pytest.param("event.o.all(p, p.v.map(q, q).size() > 1)", "do less in the loop",
                     id="lists-in-a-list-collected"),
        pytest.param("event.l.map(x, event.l).map(y, y.map(z, z)).size() > 1", "can cost",
                     id="lists-of-lists"),
        pytest.param("event.l.all(a, event.l.map(b, b).size() > event.l.filter(b, b).size() && "
                     + " && ".join(["event.s.matches('a+b')"] * 40) + ")", "can cost",
                     id="searches-in-a-loop"),
        pytest.param(" && ".join(["event.s.lowerAscii() != event.s.upperAscii()"] * 8), "can cost",
                     id="many-copies-of-a-text"),
    ],
)  # fmt: skip
def test_what_can_cost_too_much_is_refused_by_its_place(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match="when: line 1, column") as found:
        ENV.compile(text, field="when")
    assert said in found.value.message


@pytest.mark.parametrize(
    "text",
    [
        "event.l.exists(x, x == 'b')",
        "event.l.exists(x, x == event.s || x.startsWith('a'))",
        "event.l.exists(x, event.l.exists(y, x == y))",
        "event.rows.exists(r, r.kind == 'fire' && r.level > 3.0 && has(r.at))",
        "event.l.filter(x, x > 3.0).size() > 2",
        "event.l.map(x, x * 2.0).exists(y, y > 10.0)",
        "event.s.lowerAscii().contains('fire') || event.s.matches('^a+b')",
        "event.s.replace('a', 'bb').size() > 3",
        "event.s.split(',').exists(x, x == 'b')",
        "[1, 2, 3].map(x, x * 2).exists(y, y == event.n)",
    ],
)
def test_what_rules_are_made_of_is_within_the_budget(text: str) -> None:
    found = estimate(ENV.compile(text, field="when").tree)
    assert found.units <= BUDGET
    assert found.text <= MOST_TEXT


@pytest.mark.parametrize(
    "text",
    [
        "event.l.map(x, x).size() > 1",
        "event.l.filter(x, x > 1.0).size() > 1",
        "event.l.map(x, x > 0.5, x).size() > 1",
        "event.s == event.t || event.l.exists(x, x in event.l)",
        "event.m.map(k, k).size() > 1",
    ],
)
def test_a_list_longer_than_was_reckoned_with_is_a_fault(text: str) -> None:
    made = ENV.compile(text, field="when")
    (loop,) = made.loops
    for items, faulty in ((loop.most, False), (loop.most + 1, True), (30_000, True)):
        listed: Any = [1.0] * items
        if loop.path == ("event", "m"):
            listed = {f"k{n}": 1.0 for n in range(items)}
        bindings = ENV.bind({"event": {loop.path[1]: listed}})
        for found in (made.holds(bindings), made.evaluate(bindings)):
            assert isinstance(found, Fault) == faulty, found
            if isinstance(found, Fault):
                assert f"event.{loop.path[1]} has {items:,} items" in found.message


def test_of_the_paths_looped_over_what_is_shorter_counts() -> None:
    made = ENV.compile("event.a.map(x, x).size() > 1 && event.b.exists(x, x)", field="when")
    assert {loop.path[1] for loop in made.loops} == {"a", "b"}
    assert all(loop.most == 300 for loop in made.loops)


@given(st.integers(0, 2_000), st.integers(0, 6))
def test_the_estimate_grows_with_what_is_looped_over(items: int, more: int) -> None:
    """A literal list has no other length than it has."""

    def units(count: int) -> int:
        listed = ", ".join(["1"] * min(count, 400))
        text = f"[{listed}].exists(x, x == event.n)"
        return estimate(ENV.compile(text, field="when").tree).units

    assert units(items) <= units(items + more)
