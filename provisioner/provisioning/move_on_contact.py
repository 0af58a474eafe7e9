"""MoveOnContact: clients that ask, and should not stay where they are, are moved before the answer.

Their unit drains or is lost, the unit they had to leave is back, or their tenant wants them
where they are best off. A move that fails costs the client nothing: it is told the home it
has. The desk asks only while `World.restless` says that there may be such clients.
"""

from __future__ import annotations

from collections.abc import Callable

from control_plane.fleet.lifecycle import State
from control_plane.fleet.unit import Reprovision, ReturnHome
from control_plane.store.port import KeyValue
from provisioner.fleet_view import FleetView
from provisioner.geo.remembered import location_of
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment
from provisioner.moves.move_operation import (
    DRAINED,
    FAILED_OVER,
    REPROVISIONED,
    RETURNED,
    Moved,
    MoveRequest,
    Superseded,
)
from provisioner.moves.mover import Mover
from provisioner.moves.plan import MoveStrategy
from provisioner.moves.targets import Targets
from provisioner.placement.eligibility import is_nowhere
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.occupancy import Occupancy
from provisioner.provisioning.pending import PendingProvision

HANDOFF_SHARE = 0.8  # of the time the client waits, that handing its state over may take


class MoveOnContact:
    """One per desk. clock: monotonic seconds."""

    def __init__(
        self,
        fleet_view: FleetView,
        mover: Mover,
        policy: PlacementPolicy,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._fleet_view = fleet_view
        self._mover = mover
        self._policy = policy
        self._clock = clock

    def follow(self, fleet: PlacementFleet, occupancy: Occupancy) -> None:
        """From now on decides over this snapshot."""
        self._targets = Targets(fleet, self._policy, occupancy)

    def takes(self, claim: PendingProvision, found: KeyValue, record: AssignmentRecord) -> bool:
        """Whether the client is to move; then it will be answered, once."""
        who = self._move_request(claim, found, record)
        return who is not None and self._mover.spawn(
            self._move(claim, who), "moving a client that asked"
        )

    def _move_request(
        self, claim: PendingProvision, found: KeyValue, record: AssignmentRecord
    ) -> MoveRequest | None:
        tenant, to, strategy = claim.tenant, "", MoveStrategy.PLACE
        location = claim.location if not is_nowhere(claim.location) else location_of(record.cell)
        leaving = self._fleet_view.leaving.get(record.unit)
        if leaving is State.DRAINING:
            cause = DRAINED
        elif leaving is not None:
            cause, strategy = FAILED_OVER, MoveStrategy.SPREAD
        elif tenant.return_home is ReturnHome.NEXT_CONTACT and self._is_open(record.home):
            cause, to = RETURNED, record.home
        elif tenant.reprovision is not Reprovision.KEEP:
            cause, strategy = REPROVISIONED, MoveStrategy.BETTER
            if self._targets.better(location, tenant.id, claim.key, record.unit) is None:
                return None
        else:
            return None
        return MoveRequest(
            tenant=tenant,
            client_id=claim.client_id,
            found=found,
            record=record,
            location=location,
            cause=cause,
            strategy=strategy,
            to=to,
        )

    def _is_open(self, unit_id: str) -> bool:
        index = self._targets.indices.get(unit_id, -1) if unit_id else -1
        return index >= 0 and self._targets.fleet.units[index].taking

    async def _move(self, claim: PendingProvision, who: MoveRequest) -> None:
        timeout_s = max(0.0, claim.expires_at - self._clock()) * HANDOFF_SHARE
        outcome = await self._mover.move(who, timeout_s=timeout_s)
        provisioner = claim.provisioner
        if isinstance(outcome, Moved):
            provisioner.answer_moved(claim, outcome.unit, outcome.epoch, outcome.at_ms, who.cause)
        elif not isinstance(outcome, Superseded):
            provisioner.answer_existing(claim, who.record)
        elif outcome.found is not None:
            provisioner.answer_existing(claim, decode_assignment(outcome.found.value))
        else:
            provisioner.claim(claim)  # it was released meanwhile, and has no home any more
