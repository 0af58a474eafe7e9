"""What became of the calls of one run. Every call is counted once, as good or as an
error of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(slots=True, kw_only=True)
class CallCounts:
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


def total(counts: Sequence[CallCounts]) -> CallCounts:
    """All of them as one; at least one must be given."""
    errors: Counter[str] = Counter()
    for one in counts:
        errors.update(one.errors)
    return CallCounts(
        asked=sum(one.asked for one in counts),
        good=sum(one.good for one in counts),
        errors=errors,
        latencies_s=[value for one in counts for value in one.latencies_s],
        kept=[message for one in counts for message in one.kept],
        began_at=min(one.began_at for one in counts),
        ended_at=max(one.ended_at for one in counts),
        cpu_s=sum(one.cpu_s for one in counts),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """One run of all processes, as the suite sees it."""

    per_s: float  # good answers
    good: int
    errors: dict[str, int]
    p50_ms: float
    p99_ms: float
    busiest: float  # share of a core that the busiest sending process used, 0 to 1
    kept: tuple[bytes, ...]


def load_result(processes: Sequence[CallCounts]) -> LoadResult:
    """From the first call of any process to the last answer of any."""
    together = total(processes)
    latencies = sorted(together.latencies_s) or [0.0]
    return LoadResult(
        per_s=together.good / max(together.ended_at - together.began_at, 1e-9),
        good=together.good,
        errors=dict(together.errors.most_common()),
        p50_ms=median(latencies) * 1e3,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1e3,
        busiest=max(t.cpu_s / max(t.ended_at - t.began_at, 1e-9) for t in processes),
        kept=tuple(together.kept),
    )
