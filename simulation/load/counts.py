"""LoadSecond: what one process, or all of them, saw within one second of a run.

Arrivals and answers count in the second in which they happened. Every call that was made ends as
exactly one of: good, refused by reason, failed by kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from simulation.load.latencies import Latencies

MOST_DELAYS = 500  # kept of one second, of what refusals said
MOST_UNITS = 10_000  # told apart


@dataclass(slots=True, kw_only=True)
class LoadSecond:
    """arrived: users by kind; asked: calls, also of those who came back; lost: users who gave up.
    latencies: by kind, since the call was due, of the good, as `Latencies` encodes them; late: by
    how much calls were sent later than they were due. silent: refusals without details.
    delays_s: what some of the refusals said; homes: by unit, of the good."""

    second: int
    arrived: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    came_back: int = 0
    good: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    refused_kinds: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    homes: Counter[str] = field(default_factory=Counter)
    started: int = 0  # good ones that the server had no home for
    moved: int = 0  # good ones whose home is another one now
    stale: int = 0  # good ones that were answered without the store
    silent: int = 0
    held: int = 0  # times that a call waited, since servers took no more on any connection
    delays_s: list[float] = field(default_factory=list)
    latencies: dict[str, bytes] = field(default_factory=dict)
    late: bytes = b""
    cpu_s: float = 0.0  # of the busiest process
    server_cpu: float = 0.0  # processors that the busiest server used; 0.0: not known
    under_way: int = 0  # at its end
    # Of a load with events: those of the good that an outcome must follow; outcomes by status; and
    # how long those that are done took, since their events were due.
    outcomes_due: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    outcome_latency: bytes = b""

    @property
    def answered(self) -> int:
        """Calls that have ended."""
        return self.good.total() + self.refused.total() + self.failed.total()


def together(seconds: Iterable[LoadSecond], second: int) -> LoadSecond:
    """What several processes saw in a second, or one in several, as one."""
    made = LoadSecond(second=second)
    latencies: dict[str, Latencies] = {}
    late, outcome = Latencies(), Latencies()
    for one in seconds:
        for name in ("arrived", "good", "refused", "failed", "refused_kinds", "homes", "outcomes"):
            getattr(made, name).update(getattr(one, name))
        for name in (
            "asked",
            "came_back",
            "lost",
            "started",
            "moved",
            "stale",
            "silent",
            "held",
            "outcomes_due",
        ):
            setattr(made, name, getattr(made, name) + getattr(one, name))
        made.delays_s += one.delays_s
        made.cpu_s = max(made.cpu_s, one.cpu_s)
        made.server_cpu = max(made.server_cpu, one.server_cpu)
        made.under_way += one.under_way
        for kind, encoded in one.latencies.items():
            latencies.setdefault(kind, Latencies()).add(encoded)
        if one.late:
            late.add(one.late)
        if one.outcome_latency:
            outcome.add(one.outcome_latency)
    made.latencies = {kind: held.encoded() for kind, held in latencies.items()}
    made.late = late.encoded()
    made.outcome_latency = outcome.encoded() if outcome.count else b""
    return made
