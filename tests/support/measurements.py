"""What the clients' logs say of a run: requests, failures after retry, and how long writes
stood still. Times are monotonic seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any


@dataclass(slots=True, kw_only=True)
class Measured:
    """Over all client processes of a run."""

    requests: int = 0
    failed: int = 0  # after all retries; being told that there is no room is an answer
    denied: int = 0
    stale: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)  # by message
    writes: list[float] = field(default_factory=list)  # when each acknowledged write was heard of
    calls: list[tuple[float, float, str, bool]] = field(default_factory=list)
    # (began, ended, kind, failed)

    def resumed_after(self, fault: float, *, within_s: float) -> float:
        """Seconds from `fault` to the end of the longest silence of writes that follows, while
        clients asked; within_s where that silence lasts to the end."""
        over = min(fault + within_s, max((began for began, *_ in self.calls), default=fault))
        ends = [at for at in self.writes if fault - 0.5 <= at <= fault + within_s]
        longest, resumed = 0.0, fault
        for before, after in pairwise(ends):
            if after > fault and after - before > longest:
                longest, resumed = after - before, after
        if not ends or ends[-1] < fault or over - ends[-1] > longest:
            return within_s  # nothing was written any more
        return max(0.0, resumed - fault)

    def share_answered(self, begin: float, end: float, kind: str) -> tuple[int, int]:
        """(answered, asked) among calls of a kind that began in the window."""
        chosen = [
            failed for began, _, k, failed in self.calls if k == kind and begin <= began < end
        ]
        return sum(not failed for failed in chosen), len(chosen)

    def p99_s(self, spans: Sequence[tuple[float, float]]) -> float:
        """99th percentile of the calls that began in one of the spans, s."""
        took = sorted(
            ended - began
            for began, ended, _, _ in self.calls
            if any(first <= began < last for first, last in spans)
        )
        return took[int(len(took) * 0.99)] if took else 0.0


def lines_of(logs: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Every whole line of every log."""
    for log in logs:
        with log.open() as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield json.loads(line)


def measure(logs: Sequence[Path]) -> Measured:
    """Reads all logs."""
    told = Measured()
    for line in lines_of(logs):
        failed = line["outcome"] == "error"
        told.requests += 1
        told.failed += failed
        told.denied += line["outcome"] == "denied"
        told.stale += line.get("stale", False)
        told.kinds[line["kind"]] = told.kinds.get(line["kind"], 0) + 1
        if failed:
            message = f"{line['error']}: {line['message']}"
            told.errors[message] = told.errors.get(message, 0) + 1
        elif line.get("new") or line["outcome"] == "released":
            told.writes.append(line["t1"])
        told.calls.append((line["t0"], line["t1"], line["kind"], failed))
    told.writes.sort()
    return told
