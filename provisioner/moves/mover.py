"""Mover: moves clients to other units, for jobs and for clients that ask.

It has a ledger of its own, with one commit queue, because a move writes the usage of two
units; so moves never wait for new clients, nor these for moves. The ledger begins when the
first client is to move: a server that moves nobody holds no second session.

State goes first where the tenant wants that: handed over, acknowledged, then the move. A
handoff that fails leaves the client where it is, and so does a unit that is lost with its state,
unless the tenant would rather have a home without it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

from control_plane import faultpoints, keys
from control_plane.errors import Exhausted, Refused, ServiceError, Unavailable
from control_plane.fleet.unit import Reprovision
from control_plane.store.port import KeyValue
from control_plane.supervision import Supervisor
from provisioner.ledger.client_keys import ClientKeys
from provisioner.ledger.port import Ledger
from provisioner.ledger.provenance import provenance_of
from provisioner.moves.handoff import Handoff
from provisioner.moves.handoff_result import HandoffFailed, MovingClient, UnitAddress
from provisioner.moves.move_operation import (
    FAILED_OVER,
    Moved,
    MoveOperation,
    MoveRequest,
    MoveTarget,
    NotMoved,
    Outcome,
)
from provisioner.moves.plan import MoveStrategy
from provisioner.moves.targets import Targets
from provisioner.placement.choice import Choice, NoChoice
from provisioner.placement.filters import CurrentPolicies
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.hook_candidates import HookCandidates
from provisioner.placement_hooks.hooked_policies import HookedPolicies

log = logging.getLogger(__name__)

MOVE_S = 10.0  # for one move, once its state is handed over
REPLACED = "the policy by which it was to move was replaced"
RESETS = frozenset({Reprovision.RESET, Reprovision.MOVE_WITH_STATE})


class Mover:
    """`move` from the event loop while `run`, a task of the owner's, is at work.

    new_ledger: a ledger with one commit queue, not started. endpoint(unit): host:port, empty
    for a unit that is not known. lease(assignment key): one for the client's departure.
    supervisor: of what it runs. clock: monotonic seconds; wall: Unix. hooks: of `policies`, None:
    they have none.
    """

    def __init__(
        self,
        clients: ClientKeys,
        *,
        new_ledger: Callable[[], Ledger],
        policies: CurrentPolicies,
        fleet: PlacementFleet,
        endpoint: Callable[[str], str],
        lease: Callable[[bytes], Awaitable[int]],
        handoff: Handoff,
        supervisor: Supervisor,
        clock: Callable[[], float],
        wall: Callable[[], float],
        hooks: HookedPolicies | None = None,
    ) -> None:
        self._clients = clients
        self._hooks = hooks
        self._new_ledger = new_ledger
        self._policies = policies
        self._endpoint = endpoint
        self._lease = lease
        self._handoff = handoff
        self._supervisor = supervisor
        self._clock = clock
        self._wall = wall
        self._fleet = fleet
        self._opening = asyncio.Lock()
        self._leasing = asyncio.Lock()  # a crowd shares one departure lease
        self._ledger: Ledger | None = None
        self._group: asyncio.TaskGroup | None = None
        self.moved: dict[str, int] = {}  # by cause, since the start
        self.not_moved = 0  # clients that had to stay, since the start

    # -- its life ----------------------------------------------------------------------

    async def run(self) -> None:
        """Owns whatever moves need, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await asyncio.Event().wait()
        finally:
            self._group = None

    async def ledger(self) -> Ledger:
        """The ledger of moves, at work. Raises Unavailable."""
        async with self._opening:
            if self._ledger is None:
                if self._group is None:
                    raise Unavailable("this server is stopping")
                ledger = self._new_ledger()
                await ledger.start()
                self._group.create_task(self._supervisor.keep("ledger of moves", ledger.run))
                await asyncio.sleep(0)
                self._ledger = ledger
                self.follow(self._fleet)
            return self._ledger

    @property
    def session_id(self) -> str:
        """Under which it moves clients; empty before the first move."""
        return self._ledger.session.id if self._ledger is not None else ""

    def follow(self, fleet: PlacementFleet) -> None:
        """From now on moves clients within this snapshot."""
        self._fleet = fleet
        if self._ledger is not None:
            self._ledger.follow([unit.id for unit in fleet.units])
            self._targets = Targets(fleet, self._policies, self._ledger.occupancy)
            self._candidates = HookCandidates(fleet, self._ledger.occupancy)

    async def return_idle_slots(self, *, timeout_s: float) -> None:
        """Gives back what the ledger of moves holds, while `run` is at work."""
        if self._ledger is not None:
            await self._ledger.return_idle_slots(timeout_s=timeout_s)

    async def close(self) -> None:
        """Ends the session and the connections to units, after `run`."""
        if self._ledger is not None:
            await self._ledger.close()
        await self._handoff.close()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> bool:
        """Runs it beside everything else; False where `run` is not at work."""
        if self._group is None:
            work.close()
            return False
        self._group.create_task(self._supervisor.attempt(name, work))
        return True

    # -- moving ------------------------------------------------------------------------

    def policy_version(self, tenant: str) -> int:
        """The version of a tenant's policy by which this server moves clients; 0: it has none."""
        return self._policies.revision_of(tenant)

    async def placed_anew(self, request: MoveRequest) -> MoveRequest | None:
        """The same client with where it would live if it came again; None: where it lives, or
        nobody has room for it. Only once `ledger` has answered."""
        await self._ask_hook(request)
        found = self._targets.anew(
            request.location, request.tenant.id, request.placed_by, request.record.unit
        )
        if isinstance(found, NoChoice):
            return None
        unit = self._targets.fleet.units[found.unit_index].id
        if unit == request.record.unit:
            return None
        return replace(request, to=unit, rule=found.rule)

    def suits_better(self, request: MoveRequest) -> bool:
        """Whether another unit suits a client on a healthy unit clearly better, or that may be,
        and its hook is to be asked. Only once `ledger` has answered."""
        tenant, key = request.tenant.id, request.placed_by
        if self._hooks is not None and self._hooks.wants(tenant, request.location, key):
            return True
        return not isinstance(self._find(request), ServiceError)

    async def move(self, request: MoveRequest, *, timeout_s: float = MOVE_S) -> Outcome:
        """Moves one client, with its state where its tenant wants that. Never raises for what
        goes wrong on the way: the client stays, and the outcome says why."""
        try:
            outcome = await self._move(request, timeout_s)
        except ServiceError as error:
            outcome = NotMoved(error.message)
        if isinstance(outcome, Moved):
            self.moved[request.cause] = self.moved.get(request.cause, 0) + 1
        elif isinstance(outcome, NotMoved):
            self.not_moved += 1
        return outcome

    async def _move(self, request: MoveRequest, timeout_s: float) -> Outcome:
        if request.cause == FAILED_OVER and request.tenant.waits_for_lost_units:
            return NotMoved(
                f"its state is in unit {request.record.unit}, which is lost; it waits for the unit,"
                f" or for tenant {request.tenant.id} with --failover move"
            )
        ledger = await self.ledger()
        await self._ask_hook(request)
        until = self._clock() + timeout_s
        policy = request.tenant.reprovision
        if request.takes_state:
            target = self._find(request)
            if isinstance(target, ServiceError):
                return NotMoved(target.message)
            failed = await self._hand_over(request, target.account.unit, timeout_s)
            if failed is not None:
                return NotMoved(failed.reason)
            until = self._clock() + MOVE_S
            request = replace(request, to=target.account.unit, rule=target.why.rule)
        async with self._leasing:
            lease = await self._lease(request.found.key)
        operation = MoveOperation(
            request,
            ledger.account(request.record.unit),
            find=self._find,
            stamp_of=self._policies.stamp_of,
            lease=lease,
            held=await self._held(request),
            at_ms=int(self._wall() * 1000),
            expires_at=until,
        )
        account = operation.choose()
        if isinstance(account, ServiceError):
            return NotMoved(account.message)
        operation.account = account
        faultpoints.passing("moves.commit.before")
        ledger.submit(operation)
        outcome = await operation.outcome  # the ledger bounds it by expires_at
        faultpoints.passing("moves.commit.after")
        if isinstance(outcome, Moved) and policy in RESETS and request.cause != FAILED_OVER:
            self.spawn(self._forget(request), "forget a client that left")
        return outcome

    async def _ask_hook(self, request: MoveRequest) -> None:
        """Until its answer is known, or that there is none."""
        if self._hooks is None:
            return
        asked = self._hooks.ask(
            request.tenant.id, request.location, request.placed_by, self._candidates
        )
        if asked is not None:
            await asyncio.wait([asked], timeout=MOVE_S)

    def _find(self, request: MoveRequest) -> MoveTarget | ServiceError:
        """The unit that the client should go to, as the fleet is now."""
        assert self._ledger is not None
        ledger, targets = self._ledger, self._targets
        if request.policy_version and self.policy_version(request.tenant.id) != (
            request.policy_version
        ):
            return Refused(REPLACED)
        if request.to:
            index = targets.indices.get(request.to, -1)
            if index < 0 or not targets.fleet.units[index].accepting:
                return Refused(f"unit {request.to} takes no clients now")
            if not targets.allows(index, request.location, request.tenant.id, request.placed_by):
                return Refused(f"the tenant's policy keeps the client off unit {request.to}")
            if ledger.occupancy.room[index] <= 0:
                ledger.request_slots([request.to])
                return Exhausted(f"unit {request.to} has no room")
            return self._target(request, index, request.rule)
        tenant, key = request.tenant.id, request.placed_by
        choice: Choice | NoChoice | None
        if request.strategy is MoveStrategy.SPREAD:
            choice = targets.spread(request.location, tenant, key)
        elif request.strategy is MoveStrategy.BETTER:
            choice = targets.better(request.location, tenant, key, request.record.unit)
            if choice is None:
                return Refused("no unit suits it clearly better")
        else:
            choice = targets.place(request.location, tenant, key)
        if isinstance(choice, NoChoice):
            if not choice.allowed:
                return Refused(choice.reason)
            ledger.request_slots(choice.allowed)
            return Exhausted("no unit that may take them has room")
        if targets.fleet.units[choice.unit_index].id == request.record.unit:
            return Refused("its unit takes clients again")
        return self._target(request, choice.unit_index, choice.rule)

    def _target(self, request: MoveRequest, unit_index: int, rule: str) -> MoveTarget:
        assert self._ledger is not None
        fleet = self._targets.fleet
        why = provenance_of(
            fleet,
            unit_index,
            rule,
            request.location,
            cause=request.cause,
            job=request.job,
            left=request.record.unit,
        )
        return MoveTarget(
            self._ledger.account(fleet.units[unit_index].id),
            why,
            self._policies.stamp_of(request.tenant.id),
        )

    async def _held(self, request: MoveRequest) -> KeyValue | None:
        """The hold that stands beside the assignment as seen."""
        if request.tenant.hold_s <= 0:
            return None
        held = await self._clients.get(keys.hold(request.tenant.id, request.client_id))
        if held is None or held.mod_revision != request.found.mod_revision:
            return None
        return held

    async def _hand_over(
        self, request: MoveRequest, target: str, timeout_s: float
    ) -> HandoffFailed | None:
        faultpoints.passing("moves.handoff.before")
        result = await self._handoff.hand_over(
            MovingClient(
                tenant=request.tenant.id,
                client_id=request.client_id,
                epoch=request.record.epoch + 1,
            ),
            source=self._address(request.record.unit),
            target=self._address(target),
            timeout_s=timeout_s,
        )
        faultpoints.passing("moves.handoff.after")
        return result if isinstance(result, HandoffFailed) else None

    async def _forget(self, request: MoveRequest) -> None:
        failed = await self._handoff.forget(
            MovingClient(
                tenant=request.tenant.id, client_id=request.client_id, epoch=request.record.epoch
            ),
            unit=self._address(request.record.unit),
        )
        if failed is not None:
            log.warning("a client's state stays at the unit it left: %s", failed.reason)

    def _address(self, unit: str) -> UnitAddress:
        return UnitAddress(unit_id=unit, endpoint=self._endpoint(unit))
