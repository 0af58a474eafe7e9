"""Live progress of a load on stderr; where that is no terminal, a line now and then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from console.cli.output import console_for_notes
from simulation.load.counts import LoadSecond
from simulation.load.latencies import Latencies
from simulation.load.limits import WORDS, Limit, limit_of
from simulation.load.settings import LoadSettings

TOLD_EVERY_S = 30
TOLD_EVERY_PREPARED = 500_000


class LoadProgress(Protocol):
    """What hears how a load goes on."""

    def prepared(self, done: int) -> None:
        """So many known users have a home."""

    def passed(self, second: LoadSecond) -> None:
        """A second of the run is over."""


class ToldProgress:
    """For logs: a line each half minute, and each half million known users."""

    def __init__(self, console: Console, settings: LoadSettings) -> None:
        self._console = console
        self._settings = settings
        self._told = 0  # half millions

    def prepared(self, done: int) -> None:
        if done // TOLD_EVERY_PREPARED > self._told:
            self._told = done // TOLD_EVERY_PREPARED
            self._console.print(f"known users with a home: {done:,}")

    def passed(self, second: LoadSecond) -> None:
        if (second.second + 1) % TOLD_EVERY_S == 0:
            text = Text.from_markup(progress_lines(second, self._settings.duration_s))
            self._console.print(text.plain.replace("\n", "   "))


class ShownProgress:
    """Two lines that change: how it goes, and what limits it."""

    def __init__(self, live: Live, settings: LoadSettings) -> None:
        self._live = live
        self._settings = settings
        self._live.update(Text("connecting …", style="dim"))

    def prepared(self, done: int) -> None:
        self._live.update(Text(f"known users get their homes: {done:,} …", style="dim"))

    def passed(self, second: LoadSecond) -> None:
        self._live.update(Text.from_markup(progress_lines(second, self._settings.duration_s)))


def progress_lines(second: LoadSecond, duration_s: float) -> str:
    """What is shown of a second, in rich's markup."""
    latencies = Latencies()
    for encoded in second.latencies.values():
        latencies.add(encoded)
    limit = limit_of(second)
    colour = "green" if limit is Limit.NOTHING else "yellow"
    return (
        f"[bold]{second.second + 1} s[/] of {duration_s:g} s   "
        f"arrived {second.arrived.total():,}/s   good {second.good.total():,}/s   "
        f"refused {second.refused.total():,}/s   failed {second.failed.total():,}/s   "
        f"under way {second.under_way:,}   p50 {latencies.at_ms(50):,.1f} ms   "
        f"p99 {latencies.at_ms(99):,.1f} ms\n"
        f"limited by [{colour}]{WORDS[limit]}[/]"
    )


@contextmanager
def live_progress(settings: LoadSettings) -> Iterator[LoadProgress]:
    """Shown while inside."""
    console = console_for_notes()
    if not console.is_terminal:
        yield ToldProgress(console, settings)
        return
    with Live(console=console, transient=True, refresh_per_second=4) as live:
        yield ShownProgress(live, settings)
