"""Tables: what becomes of their columns where room is short, and of rows where it is piped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.tree import Tree

from console.cli.tables import Table, allotted, facts, fold, number, optional, whole
from tests.support.long_texts import CLIENT, TEXT, UNIT
from tests.support.rendered_views import left_out_of, rendered


def test_short_content_keeps_all_columns_in_narrow_terminals() -> None:
    table = Table(fold("unit"), optional(whole("country")), number("clients"))
    table.add_row("eu-west", "IE", "1,234")
    lines = rendered(table, 30).splitlines()
    assert [line.split() for line in lines if "eu" in line] == [["eu-west", "IE", "1,234"]]


def test_a_column_is_left_out_by_choice_and_said_to_be() -> None:
    table = Table(fold("why"), optional(whole("country")), optional(whole("load")))
    table.add_row(TEXT, "Ireland", "0.5 of 1.0")
    shown = rendered(table, 26)
    assert left_out_of(shown) == ["load"]
    assert "Ireland" in shown


def test_where_no_table_fits_each_row_is_a_block_and_a_long_id_has_a_line_of_its_own() -> None:
    table = Table(whole("unit"), fold("why"), number("clients"))
    table.add_row(UNIT, "it is far", "7")
    table.add_row("b", "it is near", "8")
    assert rendered(table, 40).splitlines() == [
        "unit", UNIT, "why      it is far", "clients  7",
        "",
        "unit     b", "why      it is near", "clients  8",
    ]  # fmt: skip


def test_a_tree_is_as_wide_as_its_longest_word() -> None:
    tree = Tree("root")
    tree.add(f"short words and {CLIENT}")
    assert CLIENT in rendered(tree, 40)


def test_whole_columns_stay_in_one_line_and_folded_ones_share_the_rest() -> None:
    table = Table(whole("state"), fold("why"))
    table.add_row("not serving", TEXT)
    lines = rendered(table, 40).splitlines()
    assert any("not serving" in line for line in lines)


def test_a_row_must_fit_its_table() -> None:
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        Table(fold("unit")).add_row("a", "b")


def test_facts_are_names_and_values() -> None:
    assert rendered(facts(("unit", "eu-west")), 80).split() == ["unit", "eu-west"]


@given(
    st.lists(st.tuples(st.integers(1, 80), st.integers(1, 80)), min_size=1, max_size=8),
    st.integers(0, 400),
)
def test_allotted_widths_fit_and_nobody_gets_more_than_it_needs(
    columns: list[tuple[int, int]], room: int
) -> None:
    natural = [max(pair) for pair in columns]
    least = [min(pair) for pair in columns]
    widths = allotted(natural, least, room)
    assert (widths is None) == (sum(least) > room)
    if widths is None:
        return
    assert sum(widths) <= room
    for width, need, few in zip(widths, natural, least, strict=True):
        assert few <= width <= need
    assert sum(widths) > min(room, sum(natural)) - len(widths)
