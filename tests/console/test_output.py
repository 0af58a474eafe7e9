"""What people and programs see of a result."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from console.cli.output import Format, kilometres, load_bar, show

DOCUMENT = {"unit": "eu-west", "place": "Zürich", "distance_km": None}


def test_json_is_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    show(DOCUMENT, Format.JSON, lambda: "for people")
    assert json.loads(capsys.readouterr().out) == DOCUMENT


def test_yaml_keeps_the_order_of_the_keys(capsys: pytest.CaptureFixture[str]) -> None:
    show(DOCUMENT, Format.YAML, lambda: "for people")
    out = capsys.readouterr().out
    assert list(yaml.safe_load(out)) == list(DOCUMENT)
    assert "Zürich" in out


def test_people_get_the_picture(capsys: pytest.CaptureFixture[str]) -> None:
    show(DOCUMENT, Format.TABLE, lambda: "for people")
    assert capsys.readouterr().out == "for people\n"


@given(st.floats(0, 2), st.integers(1, 30))
def test_a_load_bar_is_as_wide_as_asked(load: float, width: int) -> None:
    assert len(Text.from_markup(load_bar(load, width)).plain) == width


@pytest.mark.parametrize(
    ("load", "bar"),
    [
        pytest.param(0.0, "[green][/][dim]····[/]", id="empty"),
        pytest.param(0.0001, "[green]▏[/][dim]···[/]", id="a few clients are not none"),
        pytest.param(0.5, "[green]██[/][dim]··[/]", id="half"),
        pytest.param(0.75, "[yellow]███[/][dim]·[/]", id="filling"),
        pytest.param(1.2, "[red]████[/][dim][/]", id="over a lowered capacity"),
    ],
)
def test_what_a_load_bar_looks_like(load: float, bar: str) -> None:
    assert load_bar(load, 4) == bar


@pytest.mark.parametrize(
    ("distance_km", "shown"),
    [
        pytest.param(12_345.6, "12,346 km", id="known"),
        pytest.param(None, "–", id="unknown"),
        pytest.param(-1.0, "–", id="unknown on the wire"),
    ],
)
def test_how_distances_are_shown(distance_km: float | None, shown: str) -> None:
    assert kilometres(distance_km) == shown
