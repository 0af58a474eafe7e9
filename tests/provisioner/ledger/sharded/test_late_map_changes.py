"""A mover's change of the map that lands when the same mover has begun anew: its new attempt
refuses it, and without one the judge notices.

By chance hardly any fleet comes to it: the change has to get lost with the answer to the read
after it, nobody else may change the map, and it has to land in the few steps in which the mover
holds its token again. So the schedule is a directed one; clients and provisioners go at random.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from control_plane.store.port import OutcomeUnknown, StoreUnavailable
from provisioner.shards.shard_map import ShardMoveStage
from tests.provisioner.ledger.sharded.movers_and_operators import open_or_thaw
from tests.provisioner.ledger.sharded.scenario import BUGS, Violation
from tests.provisioner.ledger.sharded.simulated_cluster import Actor
from tests.provisioner.ledger.sharded.simulated_fleet import SimulatedFleet

FLEETS = 8
GROUP = 0
# Of a mover that begins anew: it reads the map and acquires its token.
STEPS_ANEW = 4


def proceed(fleet: SimulatedFleet, actor: Actor) -> None:
    """What the actor asked is done, and it hears the answer."""
    pausing = actor.request is None or actor.request is fleet.pause
    fleet.resume(actor, None if pausing else fleet.perform(actor.request))


def proceed_to_end(fleet: SimulatedFleet, actor: Actor) -> None:
    while actor in fleet.actors:
        proceed(fleet, actor)


def others_proceed(fleet: SimulatedFleet, steps: int) -> None:
    """Everybody but movers, and the map comes to be known."""
    for _ in range(steps):
        if fleet.rng.random() < 0.15:
            fleet.deliver_map()
        others = [one for one in fleet.actors if not one.name.startswith("mover")]
        proceed(fleet, fleet.rng.choice(others))


def begin_move(fleet: SimulatedFleet) -> Actor:
    fleet.move_group(GROUP)
    return next(one for one in reversed(fleet.actors) if one.name.startswith("mover"))


def others_open(fleet: SimulatedFleet) -> None:
    """Servers open the target of a mover that takes its time."""
    proceed_to_end(fleet, fleet.spawn("opening", open_or_thaw(fleet)))


def others_move_back(fleet: SimulatedFleet) -> None:
    """The move has ended, by the map: another one takes the shards back, to its end."""
    if fleet.map.moves:
        return
    proceed_to_end(fleet, begin_move(fleet))


def run(
    seed: int, stage: ShardMoveStage, meanwhile: Callable[[SimulatedFleet], None], *, bug: str = ""
) -> bool:
    """The change that ends `stage` is late: whether it was applied. Raises Violation."""
    fleet = SimulatedFleet(seed, bug=bug)
    try:
        others_proceed(fleet, 300)
        mover = begin_move(fleet)
        while True:
            request = mover.request
            of_map = request is not None and request.writes and request.cluster is fleet.control
            if of_map and fleet.map.moves[0].stage is stage:
                break
            proceed(fleet, mover)
        fleet.resume(mover, OutcomeUnknown("lost"))
        fleet.resume(mover, StoreUnavailable("cut off"))
        for _ in range(STEPS_ANEW):
            proceed(fleet, mover)
        landed = fleet.perform(request).succeeded
        meanwhile(fleet)
        others_proceed(fleet, 200)
        proceed_to_end(fleet, mover)
        others_proceed(fleet, 200)
        return landed
    finally:
        fleet.close()


LATE = pytest.mark.parametrize(
    ("stage", "meanwhile"),
    [
        pytest.param(ShardMoveStage.FROZEN, others_open, id="switched"),
        pytest.param(ShardMoveStage.CLEARING, others_move_back, id="finished"),
    ],
)


@LATE
def test_a_new_attempt_refuses_it(stage, meanwhile):
    assert not any(run(seed, stage, meanwhile) for seed in range(FLEETS))


@LATE
def test_without_a_new_attempt_it_is_applied_and_noticed(stage, meanwhile):
    noticed = 0
    for seed in range(FLEETS):
        try:
            assert run(seed, stage, meanwhile, bug="no-attempt")
        except Violation:
            noticed += 1
    assert noticed >= FLEETS // 4, f"not noticed: {BUGS['no-attempt']}"
