"""Story: tells what happens, checks that it is so, and fails where it is not.

Every claim is told only after it was found true; figures and seconds are those of this run. The
same is kept as a document for programs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from console.cli.failure import CommandFailed
from console.cli.markup import escape
from console.cli.output import json_text


@dataclass(slots=True)
class Chapter:
    """What was found in one of them. took_s: of a chapter that has ended."""

    number: int
    title: str
    found: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    took_s: float = 0.0


class Story:
    """Chapters, one at a time. clock: monotonic seconds."""

    def __init__(self, out: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.chapters: list[Chapter] = []
        self._out = out
        self._clock = clock

    @contextmanager
    def chapter(self, number: int, title: str) -> Iterator[None]:
        """Inside it, everything belongs to this chapter; a failure names it."""
        current = Chapter(number=number, title=title)
        self.chapters.append(current)
        began_s = self._clock()
        self._out.print(f"\n[bold cyan]{number}  {escape(title)}[/]")
        try:
            yield
        except CommandFailed as failed:
            raise CommandFailed(f"chapter {number}: {failed.message}", failed.code) from failed
        current.took_s = self._clock() - began_s
        self._out.print(f"   [dim]{current.took_s:.1f} s[/]")

    def tell(self, words: str) -> None:
        """What is done, in rich's markup; claims nothing."""
        self._out.print(f"   {words}")

    def check(self, claim: str, expected: object, seen: object) -> None:
        """Tells that something is so. claim: in rich's markup. expected, seen: what JSON can hold.
        Raises CommandFailed where it is not, with both."""
        plain = Text.from_markup(claim).plain
        if expected != seen:
            raise CommandFailed(
                f"{plain}: expected {json_text(expected)}, and it is {json_text(seen)}"
            )
        self.chapters[-1].found.append(plain)
        self._out.print(f"   [green]✓[/] {claim}")

    def figure(self, name: str, value: int | float | str) -> None:
        """Keeps a number for the document."""
        self.chapters[-1].figures[name] = value

    def document(self) -> list[dict[str, Any]]:
        """All of it, for programs; claims without markup."""
        return [
            {
                "chapter": one.number,
                "title": one.title,
                "took_s": round(one.took_s, 2),
                "found": one.found,
                "figures": one.figures,
            }
            for one in self.chapters
        ]
