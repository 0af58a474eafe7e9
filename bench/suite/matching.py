"""Matching browsers with devices: one record at a time, kept, beside Splink over all of them.

A population whose truth is known. Ours: each record by itself, in order of time, 128 under way:
when it booted is read from what came, and what a unit makes of a report or of a browser is done in
one transaction of its database, group commit, durable; the account of each device was asked for
consent before. In this process, on the event loop and with the collector of an agent, without
calls. What waits too long is forgotten each hour of the population. The ceiling: Splink, on DuckDB
in a process of its own with all processors: trained on the records and asked for the pairs among
them, with when each booted worked out before the clock starts; its best F1 of ten thresholds.

The two do the same work only where they find the same: with an F1 that is lower than Splink's by
more than 0.005 there is no ratio.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.ceilings import splink_linkage
from bench.load.device_population import SERVER, Record, Shape, population, truth
from bench.load.match_scores import Score, best_score, same_work, score
from bench.suite.measurement import WARM_UP, Failed, Measurement, Ratio, Samples, divisor
from bench.suite.processes import scratch
from control_plane.process import run_on_uvloop
from control_plane.serving.gc_freeze import freeze_gc
from deployment_units.agent.keeping import PARTS
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.device_graph import kept, linking, waiting
from deployment_units.services.device_graph.evidence import BootInstant, boot_of
from deployment_units.services.device_graph.requests import REACH
from deployment_units.services.state.database import UnitDatabase

SEED: Final = 20_261
HOMES: Final = 2_000
CARRIERS: Final = 2
UNDER_WAY: Final = 128  # two groups of commits: one is written while the other waits
TENANT: Final = "bench"
DEVICE: Final = "device"  # each account has one
SPLINK_FOLDER: Final = Path("build/bench/splink")
_HOUR_MS: Final = 3_600_000


class MatchingUnit:
    """A unit's database and accounts, with what it makes of records."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = 0
        self.database = UnitDatabase(folder, PARTS, monotonic=time.monotonic)
        self.accounts = Accounts(self.database, wall_ms=lambda: self.now_ms)

    async def agree(self, devices: Sequence[str]) -> None:
        """Each device is of an account that agrees to be matched."""
        for start in range(0, len(devices), UNDER_WAY):
            async with asyncio.TaskGroup() as group:
                for one in devices[start : start + UNDER_WAY]:
                    group.create_task(
                        self.accounts.change(
                            _resident(one),
                            lambda db, owner: kept.set_consent(db, owner, REACH, True, now_ms=0),
                        )
                    )

    async def take(self, records: Iterator[Record]) -> None:
        """One after another, each until it is durable."""
        for record in records:
            an_hour_on = record.at_ms // _HOUR_MS > self.now_ms // _HOUR_MS
            self.now_ms = record.at_ms
            forgotten = self._forget(record.at_ms) if an_hour_on else None
            await (self._seen(record) if record.browser else self._reported(record))
            if forgotten is not None:
                await forgotten

    async def _reported(self, record: Record) -> None:
        boots, now_ms = _boots(record), record.at_ms
        await self.accounts.change(
            _resident(record.device),
            lambda db, owner: linking.device_reported(
                db, TENANT, owner, DEVICE,
                label="", block=record.block, server=SERVER, boots=boots, now_ms=now_ms,
            ),
        )  # fmt: skip

    async def _seen(self, record: Record) -> None:
        boots, now_ms = _boots(record), record.at_ms
        await self.database.transact(
            lambda db: linking.browser_seen(
                db, TENANT, record.browser,
                block=record.block, server=SERVER, boots=boots, now_ms=now_ms,
            )
        )  # fmt: skip

    def _forget(self, now_ms: int) -> asyncio.Future[int]:
        """Handed in before what comes after it."""
        return self.database.submit(lambda db: waiting.forget_waiting(db, now_ms=now_ms))

    def edges(self) -> dict[str, str]:
        """Browsers with the devices they are on, as kept."""
        rows = self.database.read(
            lambda db: db.execute(
                "SELECT e.browser, o.account FROM device_edges e JOIN owners o USING (owner)"
            ).fetchall()
        )
        return dict(rows)


def _boots(record: Record) -> list[BootInstant]:
    boot = boot_of(record.came)
    return [boot] if isinstance(boot, BootInstant) else []


def _resident(device: str) -> Resident:
    return Resident(tenant=TENANT, account=device, epoch=1)


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    python = splink_linkage.environment(Path.cwd() / SPLINK_FOLDER)
    freeze_gc()  # as an agent does
    for number in range(WARM_UP, rounds):
        keeping = Samples() if number == WARM_UP else samples
        share = divisor(number, quick=quick)
        records = population(SEED, Shape(homes=HOMES // share, carriers=max(1, CARRIERS // share)))
        is_on = {one.browser: one.device for one in records if one.browser}
        possible = truth(records)
        with scratch() as folder:
            found = run_on_uvloop(_ours(folder / "unit", records, keeping))
            tick()
            theirs = splink_linkage.link(python, folder, records)
            tick()
        keeping.add("splink_records_per_s", len(records) / theirs.seconds)
        keeping.add("splink_predicted_per_s", len(records) / theirs.predict_seconds)
        _add_scores(
            keeping,
            score(found, is_on, possible),
            best_score(theirs.predictions, is_on, possible),
        )


async def _ours(folder: Path, records: Sequence[Record], keeping: Samples) -> dict[str, str]:
    unit = MatchingUnit(folder)
    try:
        await unit.agree(sorted({one.device for one in records if not one.browser}))
        left = iter(records)
        began, used = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(UNDER_WAY):
                group.create_task(unit.take(left))
        keeping.add("records_matched_per_s", len(records) / (time.perf_counter() - began))
        keeping.add("matched_cpu_us", 1e6 * (time.process_time() - used) / len(records))
        return unit.edges()
    finally:
        await unit.database.close()


def _add_scores(keeping: Samples, ours: Score, theirs: Score) -> None:
    """Raises Failed where ours is worse."""
    for name, one in (("match", ours), ("splink", theirs)):
        keeping.add(f"{name}_f1_percent", 100 * one.f1)
        keeping.add(f"{name}_precision_percent", 100 * one.precision)
    if not same_work(ours, theirs):
        raise Failed(
            f"F1 is {ours.f1:.4f} and Splink's {theirs.f1:.4f}: not the same work, so no ratio"
        )


MATCHING = Measurement(
    name="matching devices",
    ratios=(
        Ratio(key="match_vs_splink", ours="records_matched_per_s", ceiling="splink_records_per_s",
              target=8.0),
    ),
    units={
        "records_matched_per_s": "records/s, matched and kept",
        "splink_records_per_s": "records/s, trained on and predicted",
        "splink_predicted_per_s": "records/s, predicted alone",
        "matched_cpu_us": "us of processor a record",
        "match_f1_percent": "% F1", "splink_f1_percent": "% F1 of Splink, best of ten thresholds",
        "match_precision_percent": "% right", "splink_precision_percent": "% right of Splink there",
    },
    run=measure,
    steps=lambda rounds: 2 * (rounds + 1),
)  # fmt: skip
