"""Views of policies, simulations and latencies, of long texts; see `filled_views`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import RenderableType

from console.cli.views import (
    latencies,
    pins,
    policy_cases,
    policy_moves,
    policy_overlap,
    simulation,
)
from homeport.api.policy.v1 import latency_pb2, pin_pb2
from homeport.api.policy.v1 import policy_pb2 as policy_pb
from simulation.policy.case_run import CaseResult
from tests.support.long_texts import CLIENT, TEXT, UNIT, filled_with_long_texts


def simulated_side(load: float) -> dict[str, Any]:
    of_distance = {"mean": 1_234.5, "p50": 987.6, "p90": 8_765.4, "p99": 19_999.9}
    units = [
        {"id": f"{number}-{UNIT}"[:63], "clients": 43_210_987, "capacity": 50_000_000, "load": load}
        for number in range(simulation.MOST_UNITS + 1)
    ]
    return {
        "clients": 1_000_000_000, "unplaced_share": load / 10, "distance_km": of_distance,
        "latency_ms": of_distance, "cost": {"total": 1e9 * load}, "units": units,
    }  # fmt: skip


SIMULATED = {
    "before": simulated_side(0.5),
    "after": simulated_side(0.97),
    "moved": {
        "clients": 123_456_789,
        "share": 0.123,
        "largest": [{"from": UNIT, "to": None, "clients": 123_456_789}],
    },
}
POLICY_VIEWS: dict[Callable[..., Any], Callable[[], RenderableType]] = {
    policy_moves.ways_view: lambda: policy_moves.ways_view(
        filled_with_long_texts(policy_pb.MoveByPolicyResponse())
    ),
    simulation.simulation_facts: lambda: simulation.simulation_facts(SIMULATED),
    simulation.unit_loads: lambda: simulation.unit_loads(SIMULATED),
    simulation.largest_moves: lambda: simulation.largest_moves(SIMULATED),
    pins.pins_table: lambda: pins.pins_table(
        [pins.pin_document(filled_with_long_texts(pin_pb2.Pin()))] * 2
    ),
    latencies.latencies_table: lambda: latencies.latencies_table(
        [latencies.latency_document(filled_with_long_texts(latency_pb2.LatencyEstimate()))] * 2
    ),
    policy_overlap.overlap_view: lambda: policy_overlap.overlap_view(
        {
            "tenant": CLIENT,
            "units": [CLIENT] * 30,
            "among": 12,
            "tenants": 9,
            "share_all": 0.1,
            "share_any": 0.2,
            "shared_on_average": 0.5,
            "lose_all_with_it": 0.0,
            "most_tenants_of_a_unit": 5,
            "least_tenants_of_a_unit": 1,
            "expected": {"share_all": 0.1, "share_any": 0.2, "shared_on_average": 0.5},
        }
    ),
    policy_cases.cases_table: lambda: policy_cases.cases_table(
        [
            CaseResult(name=TEXT, unit=UNIT, rule="nearest", reason="", broken=TEXT),
            CaseResult(name=TEXT, unit="", rule="eu", reason=TEXT, broken=""),
        ]
    ),
}
