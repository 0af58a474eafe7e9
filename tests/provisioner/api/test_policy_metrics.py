"""What policies tell Prometheus of pins, attributes and simulations."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from provisioner.api.policy_metrics import MOST_TENANTS_TOLD, PolicyMetrics
from provisioner.applied_policies.followed_pins import FollowedPins
from provisioner.applied_policies.pin_record import PinRecord


def told(pins: FollowedPins) -> dict[tuple[str, ...], float]:
    policies: Any = SimpleNamespace(count=0, behind=(), undecided=lambda: 0, pins=pins)
    updates: Any = SimpleNamespace(written=3, waiting=2, refused=1)
    simulations: Any = SimpleNamespace(counts={"done": 5}, waiting=4)
    return {
        (one.name.removeprefix("homeport_policy_"), *one.labels.values()): one.value
        for family in PolicyMetrics(policies, updates, simulations).collect()
        for one in family.samples
        if one.value and not one.name.endswith("_created")
    }


@pytest.fixture
def pins() -> FollowedPins:
    return FollowedPins(wall=lambda: 0.0, on_change=lambda tenant: None)


PIN = PinRecord(unit="dublin", at_ms=1)


def test_pins_are_told_by_tenant_and_the_rest_of_policies(pins: FollowedPins) -> None:
    for name in ("city/a", "city/b", "bank/a"):
        pins.note(name, PIN)
    pins.note("city/a", None)
    pins.note("city/b", PIN)  # again
    assert told(pins) == {
        ("pinned_clients", "city"): 1,
        ("pinned_clients", "bank"): 1,
        ("attribute_writes_total",): 3,
        ("attribute_writes_waiting",): 2,
        ("attribute_refusals_total",): 1,
        ("simulations_total", "done"): 5,
        ("simulations_waiting",): 4,
    }


def test_of_many_tenants_those_with_the_fewest_are_told_together(pins: FollowedPins) -> None:
    for number in range(MOST_TENANTS_TOLD + 50):
        for client in range(2 if number < MOST_TENANTS_TOLD else 1):
            pins.note(f"t{number}/c{client}", PIN)
    by_tenant = Counter(
        {key[1]: value for key, value in told(pins).items() if key[0] == "pinned_clients"}
    )
    assert len(by_tenant) == MOST_TENANTS_TOLD + 1
    assert by_tenant.pop("other") == 50
    assert set(by_tenant.values()) == {2}
