"""MoveOnContact: clients that ask, and should not stay where they are, are moved first.

Their unit drains or is lost, the unit they had to leave is back, or their tenant wants them
where they are best off. A move that fails costs the client nothing: it is told the
assignment it has. Asked only while `FleetView.restless` says that there may be such clients.
"""

from __future__ import annotations

from collections.abc import Callable

from control_plane.errors import Unavailable
from control_plane.fleet.lifecycle import State
from control_plane.fleet.unit import Reprovision, ReturnHome
from control_plane.store.port import KeyValue
from provisioner.fleet_view import FleetView
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
from provisioner.placement.filters import PolicySource
from provisioner.placement.fleet import PlacementFleet
from provisioner.provisioning.pending import AnyPending
from provisioner.provisioning.placer import Placer

HANDOFF_SHARE = 0.8  # of the time the client waits, that handing its state over may take


class MoveOnContact:
    """One per server; follows `fleet_view` from the beginning, behind `placer`. clock:
    monotonic seconds."""

    def __init__(
        self,
        fleet_view: FleetView,
        placer: Placer,
        mover: Mover,
        policies: PolicySource,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._fleet_view = fleet_view
        self._placer = placer
        self._mover = mover
        self._policies = policies
        self._clock = clock
        self._follow(fleet_view.fleet)
        fleet_view.subscribe(self._follow)

    def _follow(self, fleet: PlacementFleet) -> None:
        """From now on decides over this snapshot."""
        self._targets = Targets(fleet, self._policies, self._placer.occupancy)

    def begin(self, pending: AnyPending, found: KeyValue, record: AssignmentRecord) -> bool:
        """Whether the client is to move; then `pending` is answered once it is over."""
        request = self._move_request(pending, found, record)
        return request is not None and self._mover.spawn(
            self._move(pending, request), "moving a client that asked"
        )

    def _move_request(
        self, pending: AnyPending, found: KeyValue, record: AssignmentRecord
    ) -> MoveRequest | None:
        tenant, to, strategy = pending.tenant, "", MoveStrategy.PLACE
        location = pending.location
        if is_nowhere(location):
            location = record.location
        leaving = self._fleet_view.leaving.get(record.unit)
        if leaving is State.DRAINING:
            cause = DRAINED
        elif leaving is not None and tenant.waits_for_lost_units:
            return None  # what it has is there alone
        elif leaving is not None:
            cause, strategy = FAILED_OVER, MoveStrategy.SPREAD
        elif tenant.return_home is ReturnHome.NEXT_CONTACT and self._is_open(record.home):
            cause, to = RETURNED, record.home
        elif tenant.reprovision is not Reprovision.KEEP:
            cause, strategy = REPROVISIONED, MoveStrategy.BETTER
            key = record.placed_by(pending.key)
            if self._targets.better(location, tenant.id, key, record.unit) is None:
                return None
        else:
            return None
        return MoveRequest(
            tenant=tenant,
            client_id=pending.client_id,
            found=found,
            record=record,
            location=location,
            cause=cause,
            strategy=strategy,
            to=to,
        )

    def _is_open(self, unit_id: str) -> bool:
        index = self._targets.indices.get(unit_id, -1) if unit_id else -1
        return index >= 0 and self._targets.fleet.units[index].accepting

    async def _move(self, pending: AnyPending, request: MoveRequest) -> None:
        timeout_s = max(0.0, pending.expires_at - self._clock()) * HANDOFF_SHARE
        flow = pending.flow
        try:
            outcome = await self._mover.move(request, timeout_s=timeout_s)
        except BaseException:  # nobody foresaw it, or the server stops: the client is answered
            flow.failed(pending, Unavailable("the client's move was interrupted; try again"))
            raise
        if isinstance(outcome, Moved):
            flow.moved(pending, request.record, outcome, request.cause)
        elif not isinstance(outcome, Superseded):
            flow.stays(pending, request.record)
        elif outcome.found is not None:
            flow.stays(pending, decode_assignment(outcome.found.value))
        else:
            flow.claim(pending)  # released meanwhile: it has no assignment any more
