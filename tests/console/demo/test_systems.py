"""What is said of the seven systems at the end of the story is of the chapters that were told."""

from __future__ import annotations

import io

from rich.console import Console

from console.demo.directory.chapters import CHAPTERS
from console.demo.directory.story import Chapter
from console.demo.directory.systems import SYSTEMS, shown, shown_view


def test_a_system_is_shown_by_the_chapter_that_ran() -> None:
    told = [
        Chapter(number=2, title="Proved", found=["one", "two"]),
        Chapter(number=9, title="Emptied", found=["three"]),
    ]
    found = {one["system"]: one for one in shown(told)}
    assert list(found) == ["B", "E", "A", "D", "G", "F", "C"]
    assert (found["B"]["chapter"], found["B"]["title"], found["B"]["true"]) == (2, "Proved", 2)
    assert {one["chapter"] for letter, one in found.items() if letter != "B"} == {None}
    out = io.StringIO()
    Console(file=out, width=200).print(shown_view(told))
    assert "chapter 2: Proved" in out.getvalue()
    assert out.getvalue().count("no chapter of this run") == 6


def test_each_chapter_but_the_first_and_the_last_shows_a_system() -> None:
    of_systems = {chapter for _, _, chapter in SYSTEMS}
    assert {*CHAPTERS} - of_systems == {CHAPTERS[0], CHAPTERS[-1]}
