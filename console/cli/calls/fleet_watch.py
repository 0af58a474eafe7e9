"""FleetChanges: the fleet, followed across breaks; what is told is what differs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.errors import HomeportError, InvalidRequest, NoRoom, Unavailable
from homeport.failure import Code
from homeport.retrying import RetryPolicy, backoff_s


class FleetChange(NamedTuple):
    """A unit that is new or has changed; None: `unit_id` is gone."""

    unit_id: str
    unit: fleet.Unit | None


def fleet_changes(
    watch: Callable[[int], Iterator[fleet.WatchFleetResponse]],
    *,
    wait: Callable[[float], None],
    jitter: Callable[[], float],
    lost: Callable[[str], None],
    policy: RetryPolicy | None = None,
) -> Generator[FleetChange]:
    """For ever. `watch(revision)` is one stream; `lost` hears why one ended. Raises
    HomeportError where nobody could be watched in the first place, and where another try
    cannot help."""
    policy = policy or RetryPolicy()
    known: dict[str, fleet.Unit] = {}
    revision, in_vain = 0, 0
    while True:
        anew, begun = not revision, False
        try:
            for message in watch(revision):
                in_vain, begun = 0, True
                ids = {unit.spec.unit_id for unit in message.units}
                gone = (
                    [name for name in known if name not in ids]
                    if anew
                    else message.removed_unit_ids
                )
                anew, revision = False, message.revision
                for unit_id in gone:
                    if known.pop(unit_id, None) is not None:
                        yield FleetChange(unit_id, None)
                for unit in message.units:
                    if known.get(unit.spec.unit_id) != unit:
                        known[unit.spec.unit_id] = unit
                        yield FleetChange(unit.spec.unit_id, unit)
            lost("the server ended the watch")
            told_s = None
        except HomeportError as error:
            if error.code is Code.OUT_OF_RANGE and revision:
                revision = 0
                continue
            if isinstance(error, InvalidRequest) or not isinstance(error, Unavailable | NoRoom):
                raise
            if not revision and not begun:
                raise
            lost(error.message)
            told_s = error.retry_after_s
        in_vain += 1
        pause_s = backoff_s(policy, in_vain, jitter())
        wait(pause_s if told_s is None else max(told_s, pause_s))
