"""WaysLeft: what is left of the plan that a job keeps to: from which unit to which how many. Pure.

A way is used before a client goes and given back where it stayed, so a worker that dies has
counted too many rather than too few, and whoever takes over moves nobody beyond the plan.
"""

from __future__ import annotations

from collections.abc import Sequence

from control_plane.fleet.move_job import Way

MOST_WAYS = 500  # of a job: its record is written every second


class WaysLeft:
    """Of one job's plan."""

    def __init__(self, ways: Sequence[Way]) -> None:
        self._clients = {(way.source, way.target): way.clients for way in ways}
        self._gone = {(way.source, way.target): way.gone for way in ways}

    @property
    def ways(self) -> tuple[Way, ...]:
        """As the job's record has them, in their order."""
        return tuple(Way(*pair, count, self._gone[pair]) for pair, count in self._clients.items())

    @property
    def used_up(self) -> bool:
        """Whether nobody may go any way any more."""
        return all(self._gone[pair] >= count for pair, count in self._clients.items())

    def use(self, source: str, target: str) -> bool:
        """Whether one more client may go that way, who counts as gone from then on."""
        pair = (source, target)
        if self._gone.get(pair, 0) >= self._clients.get(pair, 0):
            return False
        self._gone[pair] += 1
        return True

    def give_back(self, source: str, target: str) -> None:
        """A client who counted as gone stayed."""
        self._gone[source, target] -= 1
