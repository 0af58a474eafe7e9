"""P8: shards move between clusters under load. No request fails, nobody is lost or doubled."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from control_plane import faultpoints
from tests.support.sharded_harness import ShardedHarness, sharded_harness

KILLED = -9


async def moved(harness: ShardedHarness, *words: str) -> dict:
    """Moves shards to the end; what the command says."""
    done = await harness.command("move-shards", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.faults
async def test_shards_move_between_clusters_under_load(tmp_path, record):
    async with sharded_harness(tmp_path) as harness:
        on = harness.on
        await harness.serve(2)
        await on.fleet()
        on.traffic(processes=2, rate=400)
        await on.flowing(800)
        there = await moved(harness, "--from=east", "--to=west", "--count=256", "--at-once=64")
        await on.flowing(200)
        back = await moved(harness, "--from=west", "--to=east", "--count=400", "--at-once=100")
        await on.flowing(400)
        outcome = await on.verdict()
    pause_ms = max(there["longest_pause_ms"], back["longest_pause_ms"])
    note = f"{there['clients'] + back['clients']:,} clients copied, writes waited {pause_ms} ms"
    record("656 shards moved between two clusters and back", outcome, note=note)
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, f"P8: {outcome.measured.errors}"
    assert there["clients"] > 0, "nobody was in the shards that moved"


@pytest.mark.faults
@pytest.mark.timeout(400)
async def test_a_mover_killed_anywhere_is_followed_by_another(tmp_path, record):
    async with sharded_harness(tmp_path) as harness:
        on = harness.on
        await harness.serve(2)
        await on.fleet()
        on.traffic(processes=2, rate=300)
        await on.flowing(400)
        source, target = "east", "west"
        for label in faultpoints.SHARDS:
            armed = {**os.environ, faultpoints.VARIABLE: f"{label}:1"}
            killed = await harness.command(
                "move-shards", f"--from={source}", f"--to={target}", "--count=60",
                environment=armed,
            )  # fmt: skip
            assert killed.returncode == KILLED, (label, killed.stderr)
            await asyncio.sleep(1.0)  # what was kept back waits for whoever comes
            await moved(harness, "--resume")
            source, target = target, source
        await on.flowing(200)
        outcome = await on.verdict()
    record("mover of shards killed (-9) at each fault point", outcome)
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, f"P8: {outcome.measured.errors}"


@pytest.mark.faults
async def test_servers_thaw_what_a_dead_mover_left_frozen(tmp_path, record):
    async with sharded_harness(tmp_path) as harness:
        on = harness.on
        await harness.serve(2)
        await on.fleet()
        on.traffic(processes=2, rate=300)
        await on.flowing(400)
        for label in ("shards.frozen", "shards.switched"):
            armed = {**os.environ, faultpoints.VARIABLE: f"{label}:1"}
            killed = await harness.command(
                "move-shards", "--from=east", "--to=west", "--count=200", environment=armed
            )
            assert killed.returncode == KILLED, killed.stderr
            await on.until(
                lambda: all(
                    move["stage"] in ("copying", "clearing")
                    for move in harness.recorder.books.maps[-1].moves
                ),
                "the shards to be written again",
            )
            await on.flowing(600)
            await moved(harness, "--resume")
        outcome = await on.verdict()
    record("mover of shards killed (-9) while they are frozen, and not followed", outcome)
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, f"P8: {outcome.measured.errors}"


@pytest.mark.faults
@pytest.mark.timeout(400)
@pytest.mark.parametrize("bug", ["move_without_epoch", "skip_the_last_changes"])
async def test_a_mover_that_leaves_something_out_is_seen(tmp_path, bug):
    """What P8 stands on, taken out: the judge must notice."""
    async with sharded_harness(tmp_path) as harness:
        on = harness.on
        await harness.serve(2)
        await on.fleet()
        on.traffic(processes=3, rate=900, workers=60)
        await on.flowing(1_000)
        program = ("-m", "tests.faults.broken_mover", bug)
        for _ in range(6):
            for source, target in (("east", "west"), ("west", "east")):
                done = await harness.command(
                    "move-shards", f"--from={source}", f"--to={target}", "--count=400",
                    "--at-once=400", program=program,
                )  # fmt: skip
                assert done.returncode == 0, done.stderr
        outcome = await on.verdict()
    assert outcome.verdict.broken > 0
