"""Agents that die and flap, clocks that are an hour off, a geo file swapped and corrupted:
what happens around the ledger must not reach it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provisioner.geo.database import bundled_path
from tests.support.clocks import an_hour
from tests.support.fault_harness import FaultHarness, fault_harness
from tests.support.measurements import lines_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

FAST = ("--heartbeat-interval=10", "--election-timeout=100")
AGENT_TTL_S = 2
FLAPS = 4
UNIT, STEADY = "dublin", "virginia"


class Agent:
    """One agent process of a unit."""

    def __init__(self, on: FaultHarness, unit: str) -> None:
        log = (on.folder / f"agent-{unit}-{time.monotonic_ns()}.log").open("w")
        with log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "deployment_units.agent", f"--unit={unit}",
                    f"--server={on.servers[0].address}", f"--ttl-s={AGENT_TTL_S}",
                ],
                stdout=log,
                stderr=log,
            )  # fmt: skip
        on.stack.callback(self.kill)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


IMPATIENT = ("--lost-after-s=0", "--back-after-s=0")


@pytest.mark.parametrize(
    ("arguments", "how"),
    [
        pytest.param((), "its clients stay", id="patient"),
        pytest.param(IMPATIENT, "given up at each silence", id="without hysteresis"),
    ],
)
async def test_agents_that_die_and_flap_lose_nobody(tmp_path, record, arguments, how):
    """Hysteresis is what keeps the clients where they are: taken out, each flap moves them."""
    async with fault_harness(tmp_path, members=1, arguments=FAST) as on:
        await on.serve(2, *arguments)
        await on.fleet()
        Agent(on, STEADY)  # while no agent at all is heard, no unit is given up
        await on.until(lambda: f"live/{STEADY}" in on.judge.standing, "the other agent's beat")
        on.traffic(processes=2, rate=400)
        await on.flowing()
        live = f"live/{UNIT}"
        for _ in range(FLAPS):
            agent = Agent(on, UNIT)
            await on.until(lambda: live in on.judge.standing, "the agent's beat")
            await asyncio.sleep(1.0)
            agent.kill()
            await on.until(lambda: live not in on.judge.standing, "the end of its lease")
            await on.flowing(400)
        outcome = await on.verdict()
    moves = outcome.verdict.moves
    record(f"a unit's agent killed (-9) and started again, four times; {how}", outcome,
           note=f"{moves:,} moves")  # fmt: skip
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, outcome.measured.errors
    assert (moves > 0) is bool(arguments), f"{moves} moves"


@pytest.mark.parametrize("who", ["a provisioner", "client processes"])
async def test_a_clock_an_hour_off_breaks_no_promise(tmp_path, record, who):
    async with fault_harness(tmp_path, members=1, arguments=FAST) as on:
        await on.serve(1)
        if who == "a provisioner":
            for sign in "+-":
                await on.serve_one(environment=an_hour(sign))
        await on.fleet()
        if who == "a provisioner":
            on.traffic(processes=3, rate=450)
        else:
            for sign in "+-":
                on.traffic(processes=1, rate=200, environment=an_hour(sign))
        await on.flowing(4_000)
        outcome = await on.verdict()
        times = [home.at_ms / 1000 for home in on.judge.books.homes.values()]
        walls = [line["w0"] for line in lines_of(on.logs)]
    told = times if who == "a provisioner" else walls
    assert max(told) - min(told) > 7_000, "no clock was off"
    record(f"clocks of {who} an hour ahead and an hour behind", outcome)
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, outcome.measured.errors


async def test_a_geo_file_swapped_and_corrupted_under_load_is_not_noticed(tmp_path, record):
    bundled = bundled_path()
    geo = tmp_path / "geo.mmdb"
    shutil.copy(bundled, geo)
    good = geo.read_bytes()
    async with fault_harness(tmp_path, members=1, arguments=FAST) as on:
        await on.serve(1, f"--geo={geo}")
        await on.fleet()
        on.traffic(processes=2, rate=400)
        await on.flowing()
        for content in (good[: len(good) // 2], b"", good[:-4_096] + b"\xff" * 4_096, good):
            replace(geo, content)
            await asyncio.sleep(3.0)  # the server looks every 2 s
            await on.flowing(300)
            geo.write_bytes(content)  # in place, too: what a careless copy does
            await on.flowing(300)
        outcome = await on.verdict()
    record("geo file cut, emptied, overwritten and replaced under load", outcome)
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, outcome.measured.errors


def replace(path: Path, content: bytes) -> None:
    """A new file in its place, at once."""
    scratch = path.with_suffix(".new")
    scratch.write_bytes(content)
    scratch.replace(path)
