"""Pairs: two servers that are asked the same right after one another, each first as often as the
other, so that a machine that is busy with something else slows both of a pair alike.

Two short runs of each make a pair: ours, theirs, theirs, ours, and the next the other way round.
What a server's process uses of processors is read besides: it does not depend on who else does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load.results import LoadResult
from bench.suite.measurement import Samples

PAIRS = 3  # a round


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two. name: of its figures, `<name>_per_s`, `<name>_cpu_us` and `<name>_p99_ms`;
    pid: of its server; run(): asks for clients nobody has asked for."""

    name: str
    pid: int
    run: Callable[[], LoadResult]


def cpu_s(pid: int) -> float:
    """What a process has used of processors since it started, in user mode and in the kernel's.
    Linux alone tells (proc_pid_stat(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask_in_pairs(samples: Samples, ours: Side, theirs: Side, *, pairs: int = PAIRS) -> None:
    """Adds the figures of so many pairs, one value each."""
    for number in range(pairs):
        first, second = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        runs: dict[str, list[tuple[LoadResult, float]]] = {ours.name: [], theirs.name: []}
        for side in (first, second, second, first):
            before = cpu_s(side.pid)
            result = side.run()
            runs[side.name].append((result, cpu_s(side.pid) - before))
        _add(samples, runs)


def _add(samples: Samples, runs: Mapping[str, Sequence[tuple[LoadResult, float]]]) -> None:
    for name, both in runs.items():
        good = sum(result.good for result, _ in both)
        seconds = sum(result.good / result.per_s for result, _ in both)
        samples.add(f"{name}_per_s", good / seconds)
        samples.add(f"{name}_cpu_us", sum(cpu for _, cpu in both) / good * 1e6)
        samples.add(f"{name}_p99_ms", max(result.p99_ms for result, _ in both))


def units_of(*names: str) -> dict[str, str]:
    """Of the figures of sides with these names."""
    kinds = {"per_s": "clients/s", "cpu_us": "us of the server's processors a client",
             "p99_ms": "ms at 256 in flight"}  # fmt: skip
    return {f"{name}_{kind}": unit for name in names for kind, unit in kinds.items()}
