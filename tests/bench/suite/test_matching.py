"""The unit's side of the measurement of matching: all records are kept, and the edges are right."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.ceilings.splink_linkage import row_of
from bench.load.device_population import Record, Shape, population, truth
from bench.load.match_scores import score
from bench.suite.matching import MatchingUnit
from deployment_units.services.device_graph.evidence import TcpStamp, Uptime


async def test_a_unit_finds_browsers_among_records_of_many_at_once(tmp_path: Path) -> None:
    records = population(5, Shape(homes=20, carriers=0, days=3))
    unit = MatchingUnit(tmp_path)
    try:
        await unit.agree(sorted({one.device for one in records if not one.browser}))
        left = iter(records)
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(unit.take(left))
        is_on = {one.browser: one.device for one in records if one.browser}
        found = score(unit.edges(), is_on, truth(records))
    finally:
        await unit.database.close()
    assert found.precision == 1.0
    assert found.recall > 0.9


def test_splink_has_the_instant_by_its_source() -> None:
    came = tuple(TcpStamp(connection=n, value=100, seen_ms=1_100 + n) for n in (0, 1))
    seen = Record(at_ms=1_100, block="b", device="d", browser="w", came=came)
    told = Record(
        at_ms=9_000, block="b", device="d", browser="", came=Uptime(uptime_ms=7, seen_ms=9_000)
    )
    nothing = Record(at_ms=9_000, block="b", device="d", browser="w", came=())
    assert row_of(1, seen) == ("s1", "w", "b", 1_000, None, 1_100)
    assert row_of(2, told) == ("r2", "d", "b", None, 8_993, 9_000)
    assert row_of(3, nothing) == ("s3", "w", "b", None, None, 9_000)
