"""A population whose truth is known: no wrong edge, and hardly one that is missing."""

from __future__ import annotations

from collections import defaultdict

import pytest

from bench.load.device_population import SERVER, Record, Shape, population, truth
from deployment_units.services.device_graph.evidence import BootInstant, boot_of
from deployment_units.services.device_graph.graph import Consent, DeviceGraph, apply
from deployment_units.services.device_graph.matching import (
    SESSION_MS,
    Linked,
    Observation,
    Session,
    match,
)

HOMES = Shape(homes=150, carriers=1, days=5)
POWER_CUTS = Shape(homes=150, carriers=0, days=5, power_cut_days=2.0, seen_days=0.3)
CARRIERS = Shape(homes=0, carriers=2, behind_carrier=80, days=2, seen_days=0.5)
FULL_CARRIERS = Shape(homes=0, carriers=2, behind_carrier=250, days=2, seen_days=0.5)


def edges_of(records: list[Record]) -> dict[str, str]:
    """Browsers with the devices on which they are found, one record at a time."""
    sessions: dict[str, dict[tuple[str, str], Session]] = defaultdict(dict)
    waiting: dict[str, list[Observation]] = defaultdict(list)
    graphs: dict[str, DeviceGraph] = defaultdict(DeviceGraph)

    def decided(seen: Observation, now_ms: int) -> bool:
        decision = match(seen, sessions[seen.block].values())
        graph = graphs[seen.browser]
        graphs[seen.browser] = apply(graph, seen.browser, decision, Consent.BOTH, now_ms=now_ms)
        return isinstance(decision, Linked)

    for one in records:
        boot = boot_of(one.came)
        if not isinstance(boot, BootInstant):
            continue
        if one.browser:
            seen = Observation(
                browser=one.browser, block=one.block, server=SERVER, boot=boot, seen_ms=one.at_ms
            )
            if not decided(seen, one.at_ms):
                waiting[one.block].append(seen)
            continue
        sessions[one.block][one.device, boot.source] = Session(
            device=one.device, block=one.block, server=SERVER, boot=boot
        )
        waiting[one.block] = [
            seen
            for seen in waiting[one.block]
            if one.at_ms - seen.seen_ms < SESSION_MS and not decided(seen, one.at_ms)
        ]
    return {
        browser: edge.device for browser, graph in graphs.items() for edge in graph.edges.values()
    }


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("shape", "least_found"),
    [
        pytest.param(HOMES, 0.95, id="homes"),
        pytest.param(POWER_CUTS, 0.9, id="power cuts"),
        pytest.param(CARRIERS, 0.85, id="carriers"),
        pytest.param(FULL_CARRIERS, 0.85, id="full carriers", marks=pytest.mark.slow),
    ],
)
def test_edges_are_right_and_most_are_there(seed: int, shape: Shape, least_found: float) -> None:
    records = population(seed, shape)
    found, possible = edges_of(records), truth(records)
    is_on = {one.browser: one.device for one in records if one.browser}
    right = sum(is_on[browser] == device for browser, device in found.items())
    assert len(found) > 100
    assert right >= 0.998 * len(found)
    assert right >= least_found * len(possible)


def test_kernels_that_shift_each_connection_are_on_no_line() -> None:
    records = population(3, Shape(homes=60, days=3, one_shift_each=1.0, by_uptime=0.0))
    assert any(one.came for one in records if one.browser)
    assert edges_of(records) == {}
