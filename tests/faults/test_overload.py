"""Twice as many users as a server can serve: it serves as many as before, those who have a home
first, and tells all others when to come back.

What saturates a server is its event loop, which has one processor at most. Arrivals go by the clock
of its processor time, and goodput is per second of it, so that a machine that does other things
besides changes neither how many times too much is asked nor what comes of it. Saturated it is by as
many calls as keep it busy, each made when another has ended.
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
from simulation.load.processor_clock import used_s
from simulation.load.result import spread
from simulation.load.settings import LoadSettings
from simulation.load.user_kinds import parse_mix
from tests.support.fault_harness import ROOM, FaultServer, Outcome, fault_harness
from tests.support.judge.verdict import Verdict
from tests.support.measurements import Measured

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

MIX = parse_mix("new=50,known=50")
CONNECTIONS = 32
PREPARED = 20_000  # users who have a home before the clock starts, at least
SATURATED_S, OVER_S = 30.0, 75.0
BUSY = 256  # calls that are always under way, by which a server is saturated and no more
SOME = 8
SETTLED = 10  # seconds that are not judged
TOP_PER_S = 12_000.0  # more than a server does in a second of a processor
TIMES = 2.0
LEAST_GOODPUT = 0.8
MOST_MEMORY_MB = 150.0  # more than after saturation
MOST_UNANSWERED = 0.1


@dataclass(slots=True, kw_only=True)
class Second:
    """What users saw in a second; what of a processor the server's event loop had, and how much
    memory the server."""

    seen: LoadSecond
    used_s: float
    memory_mb: float


def loaded(
    server: FaultServer, rate_per_s: float, for_s: float, at_least: int, *, speed: float = 1.0
) -> list[Second]:
    """A run of so many users for each second that the server's event loop computes, times
    `speed`."""
    process = psutil.Process(server.process.pid)
    new = int(rate_per_s * for_s / 2)
    settings = LoadSettings(
        rate_per_s=rate_per_s,
        duration_s=for_s,
        users=new + PREPARED,
        mix=MIX,
        connections=CONNECTIONS,
    )
    job = LoadJob(
        settings=settings,
        servers=LoadServers(addresses=[server.address]),
        callers=Callers(tenant="default", run=secrets.token_hex(4)),
        followed=Followed(pid=process.pid, for_s=for_s, at_least=at_least, speed=speed),
    )
    before, seconds = used_s(process.pid), list[Second]()
    with LoadProcesses(job) as processes:
        processes.prepare(lambda done: None)
        for seen in processes.seconds():
            used = used_s(process.pid)
            memory_mb = process.memory_info().rss / 1e6
            seconds.append(Second(seen=seen, used_s=used - before, memory_mb=memory_mb))
            before = used
    return seconds[SETTLED : int(for_s)]


def goodput(seconds: Sequence[Second]) -> float:
    """Good answers for each second that the server's event loop computed."""
    return sum(one.seen.good.total() for one in seconds) / sum(one.used_s for one in seconds)


def served(whole: LoadSecond, kind: str) -> float:
    """The share of users of a kind who were."""
    return whole.good[kind] / max(1, whole.arrived[kind])


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_at_twice_the_load_goodput_stays(tmp_path: Path, record: Any, transport: str) -> None:
    async with fault_harness(tmp_path, members=1) as on:
        (server,) = await on.serve(1, f"--transport={transport}")
        await on.fleet(dict.fromkeys(ROOM, 400_000))
        saturated = await asyncio.to_thread(loaded, server, TOP_PER_S, SATURATED_S, BUSY, speed=0.0)
        best = goodput(saturated)
        judged = await asyncio.to_thread(loaded, server, TIMES * best, OVER_S, SOME)
    steady = together([one.seen for one in judged], 0)
    delays, refused = spread(steady.delays_s), steady.refused.total()
    memory_mb = max(one.memory_mb for one in judged) - saturated[-1].memory_mb
    kept = goodput(judged) / best
    record(
        f"twice as many users as can be served ({transport})",
        Outcome(
            verdict=Verdict(),
            measured=Measured(requests=steady.asked, failed=steady.failed.total()),
        ),
        note=f"goodput {kept:.0%} of {best:,.0f} for a second of its event loop; served: known "
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
