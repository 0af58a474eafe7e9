"""Scripts of a text, and those that have letters of the same looks."""

from __future__ import annotations

import pytest

from control_plane.identifiers.scripts import digit_systems, scripts_of, scripts_that_look_alike


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("anna", {"Latn"}, id="Latin"),
        pytest.param("a1-2", {"Latn"}, id="digits are of all"),
        pytest.param("12-3", None, id="digits alone"),
        pytest.param("анна", {"Cyrl"}, id="Cyrillic"),
        pytest.param("аnna", set(), id="mixed"),
        pytest.param("日本", {"Hani", "Hanb", "Jpan", "Kore"}, id="Han is of three"),
        pytest.param("日本の", {"Jpan"}, id="Han beside kana"),
        pytest.param("カー", {"Kana", "Jpan"}, id="a long mark of kana"),
        pytest.param("日本김", {"Kore"}, id="Han beside Hangul"),
        pytest.param("日の김", set(), id="kana beside Hangul"),
        pytest.param("中ㄅ", set(), id="Bopomofo is recommended for no identifier"),
        pytest.param("a😀", set(), id="no character of identifiers"),
    ],
)
def test_scripts_of_a_text(text: str, expected: set[str] | None) -> None:
    found = scripts_of(text)
    assert (found if found is None else set(found)) == expected


def test_systems_of_digits() -> None:
    assert digit_systems("a12٣") == {"0", "٠"}
    assert digit_systems("anna") == set()


@pytest.mark.parametrize(
    ("text", "other", "so"),
    [
        pytest.param("раура", "Latn", True, id="Cyrillic as Latin"),
        pytest.param("сосо", "Latn", True, id="Cyrillic as Latin, again"),
        pytest.param("coco", "Cyrl", True, id="Latin as Cyrillic"),
        pytest.param("жук", "Latn", False, id="a letter that is nowhere else"),
        pytest.param("太郎", "Latn", False, id="Han"),
    ],
)
def test_a_text_may_be_one_of_another_script_as_a_whole(text: str, other: str, so: bool) -> None:
    assert (other in scripts_that_look_alike(text)) is so
    assert not scripts_that_look_alike(text) & (scripts_of(text) or set())
