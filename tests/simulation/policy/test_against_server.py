"""What `exact` simulates, a server does that is asked for one client after another: same unit, same
rule, same refusal, until the fleet is full."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np

from control_plane import keys
from control_plane.errors import Exhausted, Refused, ServiceError
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.store.embedded import EmbeddedStore
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.placement.rendezvous import slot_of
from provisioner.placement_hooks.hooked_policies import HookedPolicies
from simulation.policy.decisions import FULL, REFUSED, Decisions
from simulation.policy.exact import ExactRun
from simulation.policy.simulated_fleet import simulated_fleet
from tests.simulation.policy.fleets import COUNTRIES, random_units
from tests.simulation.policy.served_policy import RULES, Source
from tests.support.policies import compiled
from tests.support.provisioning_harness import AwaitedSink, provisioning
from tests.support.supervision import FailFast

CLIENTS = 120


def told(answer: bytes | ServiceError) -> tuple[str, str]:
    """The unit and the rule."""
    if isinstance(answer, Exhausted):
        return "", FULL
    if isinstance(answer, Refused):
        return "", REFUSED
    assert isinstance(answer, bytes), answer
    found = pb.ProvisionResponse.FromString(answer)
    return found.assignment.unit_id, found.decision.rule


async def test_exact_does_what_a_server_does_client_by_client(tmp_path: Path) -> None:
    rng = random.Random(11)
    units = random_units(rng, 7, 13)
    clients = []
    for number in range(CLIENTS):
        _, latitude, longitude = rng.choice(COUNTRIES)
        kind = rng.choice(["gold", "plain"])
        at = (latitude + rng.uniform(-4, 4), longitude + rng.uniform(-4, 4))
        clients.append((f"{kind}-{number}", at))
    policy = compiled(RULES, tenant=DEFAULT_TENANT.id)

    store = await EmbeddedStore.open(tmp_path / "store.db")
    hooked = HookedPolicies(Source(policy), {}, supervisor=FailFast(), clock=time.monotonic)
    served, locations = [], []
    async with provisioning(store, units, hooked=hooked) as harness:
        for client, at in clients:
            sink = AwaitedSink()
            harness.provisioner.provision(DEFAULT_TENANT, client, None, at, sink)
            served.append(told(await sink.answer))
            locations.append(harness.locator.locate(None, at, None))
    await store.close()

    decisions = Decisions(simulated_fleet(units), DEFAULT_TENANT.id)
    found = [keys.assignment(DEFAULT_TENANT.id, client) for client, _ in clients]
    for location, key in zip(locations, found, strict=True):
        decisions.add(location, policy.of(location, key))
    run = ExactRun(decisions)
    targets, rules = run.place(np.arange(CLIENTS), np.array([slot_of(key) for key in found]))
    fleet = decisions.simulated.fleet.units
    simulated = [
        (str(fleet[target].id) if target >= 0 else "", run.rules[rule])
        for target, rule in zip(targets.tolist(), rules.tolist(), strict=True)
    ]
    assert simulated == served
    assert {FULL, REFUSED, "nearest", "next-best", "spillover"} <= {rule for _, rule in served}
