"""YAML files of operators: whatever the text, it is read within bounds or said to be wrong."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.yaml_files import MOST_LEVELS, UnreadableYaml, parse, read_text


@given(st.text() | st.text(alphabet="[]{}:,-&*a1<>|\n \"'!#"))
def test_any_text_is_read_or_unreadable(text: str) -> None:
    with suppress(UnreadableYaml):
        parse(text)


@pytest.mark.parametrize("levels", [MOST_LEVELS, MOST_LEVELS + 1])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ("{a: ", "}")], ids=["lists", "mappings"])
def test_levels(levels: int, begin: str, end: str) -> None:
    text = begin * levels + "1" + end * levels
    if levels <= MOST_LEVELS:
        assert parse(text)[0]
    else:
        with pytest.raises(UnreadableYaml, match="deeper"):
            parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a: &x 1\nb: *x", "line 2: anchors and aliases", id="an-alias"),
        pytest.param("a: {<<: {b: 1}}", "`<<`", id="a-merge-key"),
        pytest.param("a: " + "9" * 5_000, "5,000 digits", id="a-long-number"),
        pytest.param("? [1]\n: 2", "cannot be a key", id="a-list-as-a-key"),
        pytest.param("!!python/object:os.system {}", "not YAML", id="an-object"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(UnreadableYaml, match=said):
        parse(text)


def test_an_anchor_that_nobody_uses_is_taken() -> None:
    assert parse("a: &x 1") == ({"a": 1}, [])


def test_a_key_that_stands_twice_is_told_with_its_line() -> None:
    found, problems = parse("a: 1\nb: {c: 1, c: 2}\na: 3")
    assert found == {"a": 3, "b": {"c": 2}}
    assert sorted(line.partition(" stands")[0] for line in problems) == [
        'line 2: the key "c"', 'line 3: the key "a"',
    ]  # fmt: skip


def test_a_file_is_not_read_past_its_bound(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("x" * 101)
    assert read_text(file, most_bytes=101) == "x" * 101
    with pytest.raises(UnreadableYaml, match="larger than 100 bytes"):
        read_text(file, most_bytes=100)
    with pytest.raises(UnreadableYaml, match="larger than 100 bytes"):  # which has no end
        read_text(Path("/dev/zero"), most_bytes=100)
