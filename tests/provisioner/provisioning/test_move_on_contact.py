"""Clients that ask while their unit is lost: whose state is there alone stays with it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from control_plane.fleet.lifecycle import State
from control_plane.fleet.unit import Failover, Reprovision, TenantId, TenantSpec
from provisioner.geo.location import NOWHERE
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.occupancy import Occupancy
from provisioner.provisioning.move_on_contact import MoveOnContact


class Spawned:
    """A Mover that moves nobody."""

    def __init__(self) -> None:
        self.began = 0

    def spawn(self, work: Any, name: str) -> bool:
        work.close()
        self.began += 1
        return True


@pytest.mark.parametrize(
    ("reprovision", "failover", "state", "moves"),
    [
        (Reprovision.KEEP, Failover.BY_STATE, State.LOST, True),
        (Reprovision.MOVE, Failover.BY_STATE, State.LOST, True),
        (Reprovision.RESET, Failover.BY_STATE, State.LOST, True),
        (Reprovision.MOVE_WITH_STATE, Failover.BY_STATE, State.LOST, False),
        (Reprovision.MOVE_WITH_STATE, Failover.MOVE, State.LOST, True),
        (Reprovision.KEEP, Failover.WAIT, State.LOST, False),
        (Reprovision.MOVE_WITH_STATE, Failover.WAIT, State.DRAINING, True),
    ],
)
def test_who_asks_while_its_unit_is_lost(
    reprovision: Reprovision, failover: Failover, state: State, moves: bool
) -> None:
    mover = Spawned()
    fleet_view: Any = SimpleNamespace(
        fleet=PlacementFleet(units=(), revision=1),
        subscribe=lambda follow: None,
        leaving={"dublin": state},
    )
    placer: Any = SimpleNamespace(occupancy=Occupancy(0))
    contact = MoveOnContact(fleet_view, placer, mover, PlacementPolicy(), clock=lambda: 0.0)  # type: ignore[arg-type]
    tenant = TenantSpec(id=TenantId("t"), reprovision=reprovision, failover=failover)
    pending: Any = SimpleNamespace(
        tenant=tenant, location=NOWHERE, client_id="anna", expires_at=1.0, key=b"k"
    )
    found: Any = SimpleNamespace(key=b"k", mod_revision=1)
    record: Any = SimpleNamespace(unit="dublin", location=NOWHERE, home="")
    assert contact.begin(pending, found, record) is moves
    assert mover.began == int(moves)
