"""The order in which a line is seen: rows of the Unicode Bidirectional Algorithm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identifiers.visual_order import runs_right_to_left, visual_order

ALEF, BET, GIMEL, SHIN = "\u05d0", "\u05d1", "\u05d2", "\u05e9"
BEH = "\u0628"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("abc", "abc", id="left to right"),
        pytest.param(ALEF + BET + GIMEL, GIMEL + BET + ALEF, id="right to left"),
        pytest.param(ALEF + BET + "12", "12" + BET + ALEF, id="a number keeps its order"),
        pytest.param(ALEF + "12" + BET, BET + "12" + ALEF, id="a number in between (I1)"),
        pytest.param("a" + ALEF + BET + "b", "a" + BET + ALEF + "b", id="a run in between"),
        pytest.param("a" + ALEF + "-" + BET, "a" + BET + "-" + ALEF, id="a neutral within (N1)"),
        pytest.param("a-" + ALEF, "a-" + ALEF, id="a neutral at an edge (N2)"),
        pytest.param(ALEF + "(" + BET, BET + ")" + ALEF, id="a bracket is mirrored (L4)"),
        pytest.param(ALEF + "1,2", "1,2" + ALEF, id="a comma between digits (W4)"),
        pytest.param(ALEF + "$1", "$1" + ALEF, id="a sign beside a digit (W5)"),
        pytest.param(BEH + "1+2", "2+1" + BEH, id="no plus between Arabic numbers (W2, W6)"),
        pytest.param(SHIN + "\u05c1" + BET, BET + SHIN + "\u05c1", id="a mark follows (L3)"),
        pytest.param("\u202e" + "ab", "ab", id="what sets a direction is left out"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_the_order_that_is_seen(text: str, expected: str) -> None:
    assert visual_order(text) == expected


@given(st.text(st.sampled_from("abc019-_." + ALEF + BET + BEH + "\u0301\u0660"), max_size=20))
def test_nothing_is_lost(text: str) -> None:
    assert sorted(visual_order(text)) == sorted(text)


@given(st.text(max_size=20))
def test_text_that_runs_one_way_is_seen_as_it_is_stored(text: str) -> None:
    if text.isalnum() and not runs_right_to_left(text):
        assert visual_order(text) == text
