"""What a hidden field says changes nothing that anybody else can see: not what is decided, kept,
sent, logged, counted or told, nor in which order. So no rule can be written that tells it, by its
condition, its errors, its timers, or by what it makes of some other field."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from homeport.api.datasharing.v1 import sharing_pb2 as pb
from tests.support.datasharing_callers import OPERATOR
from tests.support.decisions_harness import event
from tests.support.governed_feed import PURPOSE, RULES, Governed, governed_feed, kept_besides_events

ABSENT: dict[str, Any] = {}
DATA = {
    "another-text": {"name": "Ben"},
    "what-a-condition-asks-for": {"name": "Annabel-Lee", "nested": {"name": "Annabel-Lee"}},
    "what-makes-an-error": {"name": "12x", "salary": "much"},
    "what-makes-none": {"name": "12", "salary": 12},
    "a-number-that-no-double-has": {"salary": 2**80},
    "nothing": {"name": None, "salary": None, "nested": None},
    "a-list": {"name": [1, 2, 3], "nested": [{"name": "A"}]},
    "much-of-it": {"name": "A" * 20_000, "nested": {f"n{n}": n for n in range(300)}},
    "another-name-of-a-field": {"Name": "Ben", "minutes ": 1},
    "a-name-with-a-slash": {"minutes/x": 1, "/minutes": 2},
}


# Without settings that are maps with several fields: those are in no order.
ORDERLY = "\n".join(line for line in RULES.splitlines() if "of-outcome" not in line)
ORDERLY = ORDERLY.replace("{all: t}", "{all: 't[0].data'}")


async def seen(folder: Path, hidden: dict[str, Any], log: pytest.LogCaptureFixture) -> Any:
    """All that others see of three events that have it. folder: of a server's own."""
    log.clear()
    async with governed_feed(folder, rules=ORDERLY) as made:
        harness = made.harness
        for number in range(3):
            data = {**hidden, "minutes": 50 + number} if number % 2 else {"minutes": 9, **hidden}
            await harness.publish(event(data, id=f"e{number}", time_ms=harness.clock() - number))
        await harness.publish(event({"frost": True}, id="w1", feed="weather"))
        harness.clock.now_ms += 3_600_000  # what waits comes due
        while await harness.worker.tick():
            pass
        await made.perform('"done"')
        return [
            await made.told(),
            [await made.tail(*whose) for whose in (("heating",), ("", PURPOSE), ("", ""))],
            str(await made.service.ListSharedReads(pb.ListSharedReadsRequest(), OPERATOR)),
            kept_besides_events(harness),
            counted(made),
            [record.getMessage() for record in log.records],
        ]


def counted(made: Governed) -> dict[str, Any]:
    """What metrics are made of, but for how long anything took."""
    counts = made.harness.worker.counts
    plain = ("decided", "fired", "failed", "evicted", "parking")
    return {name: getattr(counts, name) for name in plain} | {
        "parked": made.harness.worker.state.parked
    }


@pytest.mark.parametrize("hidden", DATA.values(), ids=DATA.keys())
async def test_whatever_it_is_all_else_is_as_without_it(
    tmp_path: Path, hidden: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "data_sharing")
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    without = await seen(tmp_path / "without", ABSENT, caplog)
    assert await seen(tmp_path / "with", hidden, caplog) == without
    assert "fired" in without[0]
