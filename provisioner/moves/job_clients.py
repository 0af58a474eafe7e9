"""Job clients: which clients a job is about, as move requests.

A drain or failover moves whoever is assigned to its unit, a return home whoever had to leave
that unit, a rebalance whomever another unit suits clearly better. A job of a policy moves whom that
places elsewhere, and not twice; one that takes this back whom that job moved last.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from control_plane.fleet.move_job import JobKind, MoveJob
from control_plane.fleet.unit import ReturnHome
from control_plane.printable import quoted
from control_plane.store.damaged import UNREADABLE
from control_plane.store.port import KeyValue
from provisioner.fleet_view import FleetView
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment, split_key
from provisioner.moves.move_operation import (
    DRAINED,
    FAILED_OVER,
    MOVED_BACK,
    PLACED_ANEW,
    REBALANCED,
    RETURNED,
    MoveRequest,
)
from provisioner.moves.mover import Mover
from provisioner.moves.plan import MoveStrategy

log = logging.getLogger(__name__)

YIELD_EVERY = 50  # assignments, before other calls get the event loop
CAUSES = {
    JobKind.DRAIN: (DRAINED, MoveStrategy.PLACE),
    JobKind.FAILOVER: (FAILED_OVER, MoveStrategy.SPREAD),
    JobKind.REBALANCE: (REBALANCED, MoveStrategy.BETTER),
    JobKind.RETURN_HOME: (RETURNED, MoveStrategy.PLACE),
    JobKind.POLICY: (PLACED_ANEW, MoveStrategy.ANEW),
    JobKind.MOVE_BACK: (MOVED_BACK, MoveStrategy.PLACE),
}


class JobClients:
    """Over one server's view of the fleet, which knows the tenants."""

    def __init__(self, fleet_view: FleetView, mover: Mover) -> None:
        self._fleet_view = fleet_view
        self._mover = mover

    async def requests(self, job: MoveJob, pairs: Sequence[KeyValue]) -> list[MoveRequest]:
        """Of these assignments, those the job is about, in their order."""
        found: list[MoveRequest] = []
        for start in range(0, len(pairs), YIELD_EVERY):
            for pair in pairs[start : start + YIELD_EVERY]:
                request = self._request(job, pair)
                if request is not None and job.kind is JobKind.POLICY:
                    request = await self._mover.placed_anew(request)
                if request is not None:
                    found.append(request)
            await asyncio.sleep(0)
        return found

    def _request(self, job: MoveJob, pair: KeyValue) -> MoveRequest | None:
        """The client's move, if the job is about it."""
        try:
            record: AssignmentRecord = decode_assignment(pair.value)
            tenant_id, client_id = split_key(pair.key)
        except UNREADABLE:
            log.warning("the assignment at %s is damaged; it stays", quoted(pair.key))
            return None
        leaves = job.kind in (JobKind.DRAIN, JobKind.FAILOVER)
        if leaves and record.unit != job.unit:
            return None
        if job.kind is JobKind.RETURN_HOME and record.home != job.unit:
            return None
        if job.tenant and tenant_id != job.tenant:
            return None
        by, left = (record.why.job, record.why.left) if record.why is not None else ("", "")
        if job.kind is JobKind.POLICY and by == job.id:
            return None
        if job.kind is JobKind.MOVE_BACK and (by != job.undoes or not left):
            return None
        tenant = self._fleet_view.tenant(tenant_id)
        if tenant is None:
            return None
        if job.kind is JobKind.RETURN_HOME and tenant.return_home is not ReturnHome.GRADUAL:
            return None
        cause, strategy = CAUSES[job.kind]
        request = MoveRequest(
            tenant=tenant,
            client_id=client_id,
            found=pair,
            record=record,
            location=record.location,
            cause=cause,
            strategy=strategy,
            to={JobKind.RETURN_HOME: job.unit, JobKind.MOVE_BACK: left}.get(job.kind, ""),
            job=job.id,
            policy_version=job.policy_version,
        )
        if job.kind is JobKind.REBALANCE and not self._mover.suits_better(request):
            return None
        return request
