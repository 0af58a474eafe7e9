"""FailureDetector: detects units whose agents are silent, or heard again, and writes it.

How long an agent has been heard, or not, is measured by this server's own monotonic clock
from what it saw; the transaction compares what the store shows. Every server polls, and
whoever is first writes. While the store is away nothing is measured, and where no agent at
all is heard no unit is given up: then it is not the units that are lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from control_plane.errors import ServiceError
from control_plane.fleet.lifecycle import Event, State, detected_event
from control_plane.fleet.transitions import TransitionRequest, Transitions
from control_plane.store.port import Health
from provisioner.fleet_view import FleetView

log = logging.getLogger(__name__)

POLL_S = 0.5


class FailureDetector:
    """`run` is a task of the owner's. clock: monotonic seconds; wall: Unix seconds; jitter:
    0 to 1, new at each call."""

    def __init__(
        self,
        fleet_view: FleetView,
        transitions: Transitions,
        health: Health,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._fleet_view = fleet_view
        self._transitions = transitions
        self._health = health
        self._clock = clock
        self._wall = wall
        self._jitter = jitter
        self._since: dict[str, tuple[bool, float]] = {}  # unit -> (heard, since when)

    async def run(self) -> None:
        """Polls for ever."""
        while True:
            await asyncio.sleep(POLL_S * (0.75 + 0.5 * self._jitter()))
            for unit_id, event in self.poll():
                request = TransitionRequest(event=event, return_home=self._fleet_view.brings_home())
                try:
                    done = await self._transitions.apply(unit_id, request)
                except ServiceError as error:
                    log.info("cannot write event %s of unit %s now: %s", event, unit_id, error)
                    continue
                if done.changed:
                    state = done.view.lifecycle.state
                    level = logging.WARNING if state is State.LOST else logging.INFO
                    log.log(level, "unit %s is %s", unit_id, state.value)

    def poll(self) -> list[tuple[str, Event]]:
        """What has happened to units, as far as this server can tell by now: (unit, event)."""
        if not self._health.connected:
            self._since.clear()
            return []
        now, now_ms = self._clock(), int(self._wall() * 1000)
        agents = self._fleet_view.agents()
        for unit_id in self._since.keys() - agents.keys():
            del self._since[unit_id]
        anybody = any(agents.values())
        events: list[tuple[str, Event]] = []
        for unit_id, heard in agents.items():
            known = self._since.get(unit_id)
            if known is None or known[0] is not heard:
                known = self._since[unit_id] = (heard, now)
            event = detected_event(
                self._fleet_view.lifecycle(unit_id),
                heard=heard,
                for_s=now - known[1],
                now_ms=now_ms,
                policy=self._transitions.loss_policy,
            )
            if event is Event.HEARD or (event is Event.SILENT and anybody):
                events.append((unit_id, event))
        return events
