"""Records of one unit, "u", as tests of the fleet's records write them."""

from __future__ import annotations

from typing import Any

from control_plane.fleet.unit import Position, UnitHealth, UnitId, UnitSpec, UnitStatus


def unit_spec(capacity: int = 100, **more: Any) -> UnitSpec:
    """What an operator wants of the unit."""
    return UnitSpec(id=UnitId("u"), endpoint="u.example.net:443", country="IE", capacity=capacity,
                    position=Position(latitude=1, longitude=2), **more)  # fmt: skip


def unit_status(incarnation: str = "1", load: float = 0.0) -> UnitStatus:
    """What its agent reports."""
    return UnitStatus(health=UnitHealth.SERVING, load=load, version="1", incarnation=incarnation,
                      reported_at=0.0)  # fmt: skip
