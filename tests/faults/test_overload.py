"""Twice as many users as a server can serve: it serves as many as before, those who have a home
first, and tells all others when to come back.

Arrivals go by the clock of the server's processor time, and goodput is per second of it, so that a
machine that does other things besides changes neither how many times too much is asked nor what
comes of it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from simulation.load.calls import Callers
from simulation.load.connections import LoadServers
from simulation.load.counts import LoadSecond, together
from simulation.load.processes import Followed, LoadJob, LoadProcesses
from simulation.load.result import spread
from simulation.load.settings import LoadSettings, Scenario
from simulation.load.user_kinds import parse_mix
from tests.support.fault_harness import ROOM, FaultServer, Outcome, fault_harness
from tests.support.judge.verdict import Verdict
from tests.support.measurements import Measured

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

MIX = parse_mix("new=50,known=50")
USERS, CONNECTIONS = 60_000, 32
TOP_PER_S = 12_000.0  # more than a server of one process does on the machines that run this
RAMP_S, OVER_S = 30.0, 75.0
SETTLED = 10  # seconds of overload that are not judged
WINDOW_S = 1.0  # of the server's processor time, over which saturation is taken
TIMES = 2.0
LEAST_GOODPUT = 0.8
MOST_MEMORY_MB = 150.0  # more than after saturation
MOST_UNANSWERED = 0.1


@dataclass(slots=True, kw_only=True)
class Second:
    """What users saw in a second, and what of processors and memory the server had."""

    seen: LoadSecond
    used_s: float
    memory_mb: float


def loaded(
    server: FaultServer, settings: LoadSettings, followed: Followed | None = None
) -> list[Second]:
    """A run, with the generator on another processor than the server, where there are two."""
    process = psutil.Process(server.process.pid)
    job = LoadJob(
        settings=settings,
        servers=LoadServers(addresses=[server.address]),
        callers=Callers(tenant="default", run=secrets.token_hex(4)),
        followed=followed,
    )
    before, seconds = sum(process.cpu_times()[:2]), list[Second]()
    with LoadProcesses(job) as processes:
        processes.prepare(lambda done: None)
        for seen in processes.seconds():
            used = sum(process.cpu_times()[:2])
            memory_mb = process.memory_info().rss / 1e6
            seconds.append(Second(seen=seen, used_s=used - before, memory_mb=memory_mb))
            before = used
    return seconds


def goodput(seconds: Sequence[Second]) -> float:
    """Good answers for each second of the server's processor time."""
    return sum(one.seen.good.total() for one in seconds) / sum(one.used_s for one in seconds)


def saturation(seconds: Sequence[Second]) -> float:
    """The best goodput of some seconds in a row."""
    best = 0.0
    for first in range(len(seconds)):
        for after in range(first + 2, len(seconds) + 1):
            if sum(one.used_s for one in seconds[first:after]) >= WINDOW_S:
                best = max(best, goodput(seconds[first:after]))
                break
    return best


def served(whole: LoadSecond, kind: str) -> float:
    """The share of users of a kind who were."""
    return whole.good[kind] / max(1, whole.arrived[kind])


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_at_twice_the_load_goodput_stays(tmp_path: Path, record: Any, transport: str) -> None:
    async with fault_harness(tmp_path, members=1) as on:
        (server,) = await on.serve(1, f"--transport={transport}")
        await on.fleet(dict.fromkeys(ROOM, 400_000))
        ramp = LoadSettings(
            scenario=Scenario.RAMP, rate_per_s=TOP_PER_S, duration_s=RAMP_S,
            users=USERS, mix=MIX, connections=CONNECTIONS,
        )  # fmt: skip
        begun = await asyncio.to_thread(loaded, server, ramp)
        best = saturation(begun)
        over = LoadSettings(
            rate_per_s=TIMES * best, duration_s=OVER_S,
            users=USERS, mix=MIX, connections=CONNECTIONS,
        )  # fmt: skip
        follow = Followed(pid=server.process.pid, for_s=OVER_S)
        seconds = await asyncio.to_thread(loaded, server, over, follow)
    judged = seconds[SETTLED : int(OVER_S)]
    steady = together([one.seen for one in judged], 0)
    delays, refused = spread(steady.delays_s), steady.refused.total()
    memory_mb = max(one.memory_mb for one in seconds) - begun[-1].memory_mb
    kept = goodput(judged) / best
    record(
        f"twice as many users as can be served ({transport})",
        Outcome(
            verdict=Verdict(),
            measured=Measured(requests=steady.asked, failed=steady.failed.total()),
        ),
        note=f"goodput {kept:.0%} of {best:,.0f} for a second of its processor; served: known "
        f"{served(steady, 'known'):.0%}, new {served(steady, 'new'):.0%}; {refused:,} told to "
        f"come back within {delays.get('min', 0):.1f} to {delays.get('max', 0):.1f} s; "
        f"{memory_mb:.0f} MB more",
    )
    assert kept >= LEAST_GOODPUT
    assert served(steady, "known") > served(steady, "new")
    assert refused > 0
    assert steady.silent == 0
    assert delays["max"] > 1.5 * delays["min"]
    assert steady.failed.total() < MOST_UNANSWERED * steady.asked
    assert memory_mb < MOST_MEMORY_MB
