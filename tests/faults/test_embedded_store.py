"""The embedded store under -9 and on a full disk: one server, its own database file."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from control_plane.store.embedded import EmbeddedStore
from tests.support.fault_harness import FaultHarness, Outcome, embedded_fault_harness
from tests.support.judge.recorder import recording
from tests.support.measurements import measure
from tests.support.small_disk import fill, small_disk

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

KILLS = 4
TMPFS_BYTES = 24 << 20


async def judged(on: FaultHarness, file: Path) -> Outcome:
    """Ends everything and judges what the file holds."""
    await on.quiet()
    for server in on.servers:
        server.kill()
    store = await EmbeddedStore.open(file)
    try:
        async with recording(store, on.folder / "judge.db") as recorder:
            verdict = await recorder.finish(store, on.logs)
    finally:
        await store.close()
    return Outcome(verdict=verdict, measured=measure(on.logs))


async def test_killed_under_load_it_keeps_what_it_acknowledged(tmp_path, record):
    file = tmp_path / "store.db"
    async with embedded_fault_harness(tmp_path, file) as on:
        port = await on.serve_at_one_port()
        await on.fleet()
        on.traffic(processes=2, rate=400)
        killed = []
        for _ in range(KILLS):
            await on.flowing(800)
            killed.append(time.monotonic())
            on.servers[-1].kill()
            await on.serve_one(f"--listen=127.0.0.1:{port}")
        await on.flowing(800)
        outcome = await judged(on, file)
    spans = zip(killed, [*killed[1:], killed[-1] + 10.0], strict=True)
    resumed = [
        round(outcome.measured.resumed_after(at, within_s=until - at), 2) for at, until in spans
    ]
    record("server with the embedded store killed (-9), restarted", outcome, resumed_s=resumed)
    # One server alone is away while it starts again; calls wait for it, within their deadline.
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, outcome.measured.errors
    assert outcome.measured.writes[-1] > killed[-1]


async def test_a_full_disk_stops_writes_and_nothing_else(tmp_path, record):
    with small_disk(tmp_path / "disk", TMPFS_BYTES) as disk:
        file = disk / "store.db"
        async with embedded_fault_harness(tmp_path, file) as on:
            await on.serve(1)
            await on.fleet()
            on.traffic(processes=2, rate=300, timeout_s=20.0)
            await on.flowing(600)
            filled = time.monotonic()
            ballast = disk / "ballast"
            fill(ballast)
            await asyncio.sleep(6.0)
            freed = time.monotonic()
            ballast.unlink()
            await on.flowing(1_000)
            outcome = await judged(on, file)
    known = outcome.measured.share_answered(filled, freed, "known")
    resumed = round(outcome.measured.resumed_after(freed, within_s=15.0), 2)
    record("disk of the embedded store full for 6 s", outcome, resumed_s=[resumed],
           known_answered=f"{known[0]} of {known[1]}")  # fmt: skip
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, outcome.measured.errors
