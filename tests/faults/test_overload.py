"""Twice as many users as a server can serve: it serves as many as before, those who have a home
first, and tells all others when to come back. What is twice as many: `simulation.load.overload`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from simulation.load.counts import LoadSecond, together
from simulation.load.overload import OverloadedServer, goodput, overloaded, saturated
from simulation.load.result import spread
from tests.support.fault_harness import ROOM, Outcome, fault_harness
from tests.support.judge.verdict import Verdict
from tests.support.measurements import Measured

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

SATURATED_S, OVER_S = 30.0, 75.0
TIMES = 2.0
LEAST_GOODPUT = 0.8
MOST_MEMORY_MB = 300.0  # more than after saturation, with the records of all that came since
MOST_UNANSWERED = 0.1


def memory_mb(pid: int) -> float:
    """Resident."""
    return psutil.Process(pid).memory_info().rss / 1e6


def served(whole: LoadSecond, kind: str) -> float:
    """The share of users of a kind who were."""
    return whole.good[kind] / max(1, whole.arrived[kind])


@pytest.mark.parametrize("door", ["native transport", "HTTP"])
async def test_at_twice_the_load_goodput_stays(tmp_path: Path, record: Any, door: str) -> None:
    """On grpcio it does not, since calls wait before they are read."""
    async with fault_harness(tmp_path, members=1) as on:
        (begun,) = await on.serve(
            1, "--transport=native", "--http-listen=127.0.0.1:0", "--max-connections-per-address=0"
        )  # all users come from here
        await on.fleet(dict.fromkeys(ROOM, 400_000))
        over_http = door == "HTTP"
        server = OverloadedServer(
            address=str(begun.told["http"]) if over_http else begun.address,
            pid=begun.process.pid,
            http=over_http,
        )
        look = partial(memory_mb, server.pid)
        before = await asyncio.to_thread(saturated, server, SATURATED_S, look=look)
        best = goodput(before)
        judged = await asyncio.to_thread(overloaded, server, TIMES * best, OVER_S, look=look)
    steady = together([one.seen for one in judged], 0)
    delays, refused = spread(steady.delays_s), steady.refused.total()
    more_mb = max(one.looked for one in judged) - before[-1].looked
    kept = goodput(judged) / best
    record(
        f"twice as many users as can be served ({door})",
        Outcome(
            verdict=Verdict(),
            measured=Measured(requests=steady.asked, failed=steady.failed.total()),
        ),
        note=f"goodput {kept:.0%} of {best:,.0f} for a second of its event loop; served: known "
        f"{served(steady, 'known'):.0%}, new {served(steady, 'new'):.0%}; {refused:,} told to "
        f"come back within {delays.get('min', 0):.1f} to {delays.get('max', 0):.1f} s; "
        f"{more_mb:.0f} MB more",
    )
    assert kept >= LEAST_GOODPUT
    assert served(steady, "known") > served(steady, "new")
    assert refused > 0
    assert steady.silent == 0
    assert delays["max"] > 1.5 * delays["min"]
    assert steady.failed.total() < MOST_UNANSWERED * steady.asked
    assert more_mb < MOST_MEMORY_MB
