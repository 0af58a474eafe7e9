"""Tally: what became of the calls of one run. Every call is counted once, as good or as an
error of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(slots=True, kw_only=True)
class Tally:
    """One connection's, or one process's. `began_at` and `ended_at` are of time.monotonic,
    which all processes of a machine share; `cpu_s` is what the sending process used."""

    asked: int
    good: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)  # of a sample
    kept: list[bytes] = field(default_factory=list)  # messages of a sample of the good
    began_at: float = 0.0
    ended_at: float = 0.0
    cpu_s: float = 0.0


def total(tallies: Sequence[Tally]) -> Tally:
    """All of them as one; at least one must be given."""
    errors: Counter[str] = Counter()
    for tally in tallies:
        errors.update(tally.errors)
    return Tally(
        asked=sum(tally.asked for tally in tallies),
        good=sum(tally.good for tally in tallies),
        errors=errors,
        latencies_s=[value for tally in tallies for value in tally.latencies_s],
        kept=[message for tally in tallies for message in tally.kept],
        began_at=min(tally.began_at for tally in tallies),
        ended_at=max(tally.ended_at for tally in tallies),
        cpu_s=sum(tally.cpu_s for tally in tallies),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run of all processes, as the suite sees it."""

    per_s: float  # good answers
    good: int
    errors: dict[str, int]
    p50_ms: float
    p99_ms: float
    busiest: float  # share of a core that the busiest sending process used, 0 to 1
    kept: tuple[bytes, ...]


def outcome(processes: Sequence[Tally]) -> Outcome:
    """From the first call of any process to the last answer of any."""
    together = total(processes)
    latencies = sorted(together.latencies_s) or [0.0]
    return Outcome(
        per_s=together.good / max(together.ended_at - together.began_at, 1e-9),
        good=together.good,
        errors=dict(together.errors.most_common()),
        p50_ms=median(latencies) * 1e3,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1e3,
        busiest=max(t.cpu_s / max(t.ended_at - t.began_at, 1e-9) for t in processes),
        kept=tuple(together.kept),
    )
