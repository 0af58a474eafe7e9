"""Moving: what moves clients between units, notices when they must, and gives up expired holds.

Part of the wiring: `provisioner.wiring.server` builds the rest.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from control_plane.fleet.lifecycle import LossPolicy
from control_plane.fleet.transitions import Transitions
from control_plane.handoff.orders import OrderIssuer
from control_plane.supervision import Supervisor
from provisioner.ledger.fences import Fences
from provisioner.ledger.hold_expiry import HoldExpiry
from provisioner.ledger.holds import HoldConfirmer
from provisioner.moves.dialing import unit_dialer
from provisioner.moves.executor import Executor
from provisioner.moves.failure_detector import FailureDetector
from provisioner.moves.handoff import Handoff
from provisioner.moves.job_store import JobStore
from provisioner.moves.mover import Mover
from provisioner.settings import Settings
from provisioner.wiring.clusters import Departures, hold_confirmer, moves_ledger
from provisioner.wiring.state import ServerState, policy_fence
from provisioner.wiring.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """hold_expiries: by the name of the store with the holds."""

    transitions: Transitions
    mover: Mover
    job_store: JobStore
    executor: Executor
    failure_detector: FailureDetector
    holds: HoldConfirmer
    departures: Departures
    hold_expiries: Mapping[str, HoldExpiry]

    @property
    def damaged(self) -> Iterator[str]:
        """The keys of jobs and of holds that cannot be read."""
        yield from self.job_store.damaged
        for one in self.hold_expiries.values():
            yield from one.damaged

    def tasks(self) -> dict[str, Task]:
        """What works beside the calls, by name."""
        return {
            "holds": self.holds.run,
            **{f"hold expiry {name}": one.run for name, one in self.hold_expiries.items()},
            "mover": self.mover.run,
            "job store": self.job_store.run,
            "job executor": self.executor.run,
            "failure detector": self.failure_detector.run,
        }


def build_moving(
    settings: Settings,
    state: ServerState,
    rng: random.Random,
    supervisor: Supervisor,
) -> Moving:
    """Over what the server knows."""
    store, fleet_view, ledger = state.store, state.fleet_view, state.ledger
    departures = Departures(store, state.cluster_set, longest_ticket_s=fleet_view.longest_ticket_s)
    hold_expiries = {
        name: HoldExpiry(
            one,
            hold_s=fleet_view.hold_s,
            shortest_hold_s=fleet_view.shortest_hold_s,
            account=ledger.account,
            release=ledger.release,
            lease=departures.leases[name].current,
            clock=time.monotonic,
            wall=time.time,
            jitter=rng.random,
        )
        for name, one in state.assignments.items()
    }
    transitions = Transitions(
        store,
        state.registry,
        wall=time.time,
        loss_policy=LossPolicy(
            lost_after_s=settings.lost_after_s, back_after_s=settings.back_after_s
        ),
        rate_per_s=settings.move_rate_per_s,
    )
    mover = Mover(
        state.client_keys,
        new_ledger=lambda: moves_ledger(
            settings,
            store,
            state.cluster_set,
            rng,
            supervisor,
            lambda: Fences(policy_fence(state.policies)),
        ),
        policies=state.hooked,
        hooks=state.hooked,
        fleet=fleet_view.fleet,
        endpoint=fleet_view.endpoint_of,
        lease=departures.lease_for,
        handoff=Handoff(OrderIssuer(state.issuer), connect=unit_dialer(settings), wall=time.time),
        supervisor=supervisor,
        clock=time.monotonic,
        wall=time.time,
    )
    fleet_view.subscribe(mover.follow)
    job_store = JobStore(store, wall=time.time)
    executor = Executor(
        store,
        state.client_keys,
        job_store=job_store,
        mover=mover,
        fleet_view=fleet_view,
        registry=state.registry,
        transitions=transitions,
        supervisor=supervisor,
        clock=time.monotonic,
        wall=time.time,
        jitter=rng.random,
    )
    failure_detector = FailureDetector(
        fleet_view,
        transitions,
        store.health,
        clock=time.monotonic,
        wall=time.time,
        jitter=rng.random,
    )
    return Moving(
        transitions=transitions,
        mover=mover,
        job_store=job_store,
        executor=executor,
        failure_detector=failure_detector,
        holds=hold_confirmer(store, state.cluster_set),
        departures=departures,
        hold_expiries=hold_expiries,
    )
