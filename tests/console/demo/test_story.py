"""A story is told only where it is true."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from console.cli.failure import CommandFailed, ExitCode
from console.demo.directory.story import Story


def story(times: list[float]) -> tuple[Story, io.StringIO]:
    out = io.StringIO()
    return Story(Console(file=out, width=200), clock=lambda: times.pop(0)), out


def test_what_is_true_is_told_with_the_time_that_it_took() -> None:
    one, out = story([10.0, 12.5])
    with one.chapter(1, "A name"):
        one.check("she claims [bold]@anna[/]", "anna", "anna")
        one.figure("racers", 16)
    assert "✓ she claims @anna" in out.getvalue()
    assert "2.5 s" in out.getvalue()
    assert one.document() == [
        {
            "chapter": 1,
            "title": "A name",
            "took_s": 2.5,
            "found": ["she claims @anna"],
            "figures": {"racers": 16},
        }
    ]


def test_what_is_not_true_ends_the_story_with_what_was_expected_and_seen() -> None:
    one, out = story([0.0])
    with pytest.raises(CommandFailed) as failed, one.chapter(2, "A name"):
        one.check("there is [bold]one[/]", 1, 2)
    assert failed.value.message == "chapter 2: there is one: expected 1, and it is 2"
    assert failed.value.code is ExitCode.FAILED
    assert "✓" not in out.getvalue()
    assert one.document()[0]["found"] == []
