"""Progress bars on stderr, for whatever lasts longer than a second; silent where stderr is no
terminal, so that logs and pipes stay clean."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from console.cli.output import console_for_notes

SHOW_AFTER_S = 1.0


@contextmanager
def counting(
    doing: str, *, total: int | None, show_after_s: float = SHOW_AFTER_S
) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with how many more are done. `total` None: nobody knows how
    many there will be; the bar then shows how many and how fast."""
    notes = console_for_notes()
    if not notes.is_terminal:
        yield lambda more: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(TextColumn):
        def render(self, task: Task) -> Text:
            # Over the whole time: results come in batches, so a moving average would jump.
            rate = task.completed / task.elapsed if task.elapsed else 0.0
            return Text(f"{rate:,.0f}/s", style="dim")

    known = (TaskProgressColumn(), TimeRemainingColumn()) if total is not None else ()
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(""),
        *known,
        console=notes,
        transient=True,
    )
    task = progress.add_task(doing, total=total)
    show_at_s = time.monotonic() + show_after_s
    shown = False

    def advance(more: int) -> None:
        nonlocal shown
        if not shown and time.monotonic() >= show_at_s:
            progress.start()
            shown = True
        progress.advance(task, more)

    try:
        yield advance
    finally:
        progress.stop()
