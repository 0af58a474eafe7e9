"""UnitMetrics: what a provisioning server tells Prometheus of each unit, as it sees it."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from provisioner.fleet_view import FleetView
from provisioner.ledger.port import Ledger
from provisioner.provisioning.placer import Placer


class UnitMetrics(Collector):
    """One series per unit and family: as many as there are units."""

    def __init__(self, fleet_view: FleetView, placer: Placer, ledger: Ledger) -> None:
        self._fleet_view = fleet_view
        self._placer = placer
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes."""
        fleet, view, ledger = self._placer.fleet, self._fleet_view, self._ledger
        yield GaugeMetricFamily("homeport_fleet_units", "Units in the fleet.", len(fleet.units))
        room = _family("homeport_unit_room_clients", "Clients that can still be placed at a unit.")
        load = _family("homeport_unit_load_ratio", "Share of a unit's capacity that is taken.")
        capacity = _family("homeport_unit_capacity_clients", "Clients that a unit takes in all.")
        accepting = _family("homeport_unit_accepting", "1 while a unit takes new clients.")
        state = GaugeMetricFamily(
            "homeport_unit_state",
            "1 for the state of each unit's lifecycle.",
            labels=["unit", "state"],
        )
        for unit in fleet.units:
            room.add_metric([unit.id], max(0, ledger.occupancy.room[unit.index]))
            load.add_metric([unit.id], ledger.occupancy.load[unit.index])
            capacity.add_metric([unit.id], view.capacity_of(unit.id))
            accepting.add_metric([unit.id], 1.0 if unit.accepting else 0.0)
            state.add_metric([unit.id, view.lifecycle(unit.id).state.value], 1.0)
        yield from (room, load, capacity, accepting, state)
        heard = _family(
            "homeport_unit_agent_heard",
            "1 while a unit's agent is heard, 0 while it is not any more; units that never had"
            " one are left out.",
        )
        for unit_id, is_heard in view.agents().items():
            heard.add_metric([unit_id], 1.0 if is_heard else 0.0)
        yield heard


def _family(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=["unit"])
