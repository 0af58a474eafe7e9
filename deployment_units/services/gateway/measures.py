"""OutboxMeasures: what an operator is told of the deliveries of a unit.

Counts are added where something comes of an attempt or a delivery; what waits is read from the
database now and then, on the event loop, because a scrape comes from another thread. All labels
have few values: channels, outcomes and states of this package.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from enum import StrEnum

from deployment_units.services.gateway.states import DeliveryRecord
from deployment_units.services.gateway.waiting import WaitingNow, waiting_now
from deployment_units.services.state.database import UnitDatabase

TO_UNIT = "unit"  # the channel of what goes to an account at another unit
READ_S = 5.0


class OutboxMeasures:
    """Of one unit. attempts: by channel (of Channel, or TO_UNIT) and outcome; ended: deliveries of
    which nothing further was due, by the state that was known then; waiting: as last read."""

    def __init__(self) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()
        self.ended: Counter[str] = Counter()
        self.waiting = WaitingNow(0, None)

    def attempted(self, channel: str, outcome: StrEnum) -> None:
        """The other side has answered, or not in time."""
        self.attempts[channel, outcome.value] += 1

    def over(self, record: DeliveryRecord) -> None:
        """Nothing further is due of a delivery."""
        self.ended[record.state.value] += 1

    async def run(self, database: UnitDatabase, read_s: float = READ_S) -> None:
        """Reads what waits, until cancelled."""
        while True:
            self.waiting = database.read(waiting_now)
            await asyncio.sleep(read_s)
