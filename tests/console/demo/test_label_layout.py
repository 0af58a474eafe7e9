"""Labels on the map keep clear of each other."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from console.demo.label_layout import Box, Mark, overlap, place_labels

PAGE = Box(left=0.0, bottom=0.0, width=100.0, height=50.0)


def mark(x: float, y: float) -> Mark:
    return Mark(x=x, y=y, radius=1.0, width=12.0, height=3.0)


def inside(box: Box) -> bool:
    return overlap(box, PAGE) >= box.width * box.height - 1e-9


def test_a_lonely_label_stands_to_the_right_of_its_mark() -> None:
    (box,) = place_labels([mark(50, 25)], within=PAGE, gap=0.5)
    assert box == Box(left=51.5, bottom=23.5, width=12.0, height=3.0)


def test_a_label_at_the_right_edge_moves_to_the_left() -> None:
    (box,) = place_labels([mark(95, 25)], within=PAGE, gap=0.5)
    assert inside(box)
    assert box.left + box.width < 95


def test_crowded_labels_find_places_of_their_own() -> None:
    """Four neighbours whose first choices would all collide."""
    marks = [mark(50, 25), mark(53, 25), mark(50, 27.5), mark(53, 27.5)]
    boxes = place_labels(marks, within=PAGE, gap=0.5)
    assert all(overlap(a, b) == 0.0 for a, b in combinations(boxes, 2))


@given(st.floats(2, 98), st.floats(3, 47))
def test_a_label_never_covers_its_own_mark_or_leaves_the_page(x: float, y: float) -> None:
    (box,) = place_labels([mark(x, y)], within=PAGE, gap=0.5)
    around = Box(left=x - 1, bottom=y - 1, width=2.0, height=2.0)
    assert overlap(box, around) < 1e-9
    assert inside(box)
