"""What servers write down keeps to the policy: clients that come, in any order, a unit that drains,
one that is lost, a rebalancing; at a server that knows the fleet as it was, and with a hook that
says anything. Read again from the store after each step."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from control_plane.errors import ServiceError
from control_plane.fleet.lifecycle import Event
from control_plane.fleet.liveness import Liveness
from control_plane.fleet.move_job import JobKind, MoveJob
from control_plane.fleet.unit import TenantSpec
from control_plane.store.embedded import EmbeddedStore
from provisioner.applied_policies.followed_pins import FollowedPins
from provisioner.applied_policies.pin_record import PinRecord
from provisioner.placement.hooks import HookAnswer
from provisioner.placement_hooks.asked_hook import AskedHook
from provisioner.placement_hooks.circuit_breaker import CircuitBreaker
from provisioner.placement_hooks.port import HookFailed
from tests.support.moves_harness import at_work, tenant
from tests.support.policies import compiled
from tests.support.provisioning_harness import AwaitedSink, provisioning
from tests.support.servers import PLACES, units
from tests.support.unit_records import unit_status

BANK = {"kind": "bank"}
PINNED = {f"{kind}-{n}": "mumbai" for kind in ("gov", "x") for n in range(0, 90, 4)}
RULES = """
groups: {gov: {patterns: ["gov-*"]}, bank: {attributes: {kind: bank}}}
rules:
  - {name: east, when: location.longitude > 10.0, forbid: {countries: [US]}}
  - {name: west, when: location.longitude < -20.0, require: {countries: [US, BR]}}
  - {name: gov, when: '"gov" in client.groups', require: {countries: [US]}}
  - name: islands
    when: location.latitude < 5.0 && location.longitude > 95.0
    forbid: {countries: [IN]}
  - {name: banks, when: '"bank" in client.groups', forbid: {countries: [SG]}}
  - {name: asked, hook: {name: anything, deadline_ms: 2000, keep_s: 1, units: 5}}
"""


class Anything:
    """A hook that orders and vetoes as it likes, says nonsense, or fails; of several units it
    leaves one."""

    def __init__(self, rng):
        self.rng = rng
        self.said = Counter()

    async def rank(self, question, *, timeout_s):
        names = [one.unit for one in question.candidates]
        kind = self.rng.choice(["order", "order", "veto", "veto", "nonsense", "failure"])
        self.said[kind] += 1
        asked = frozenset(names)
        if kind == "failure":
            raise HookFailed("UNAVAILABLE it is away")
        if kind == "nonsense":
            return HookAnswer(order=("virginia", "dublin", "gone"), asked=asked)
        if kind == "veto" and len(names) > 1:
            return HookAnswer(vetoed=frozenset({self.rng.choice(names)}), asked=asked)
        return HookAnswer(order=tuple(self.rng.sample(names, len(names))), asked=asked)

    async def close(self):
        pass


def told_of(name):
    """The attributes of a client; None: it has none."""
    return BANK if int(name.rpartition("-")[2]) % 2 else None


def pins_of():
    """As a server follows them."""
    pins = FollowedPins(wall=time.time, on_change=lambda tenant: None)
    for name, unit in PINNED.items():
        pins.note(f"t/{name}", PinRecord(unit=unit, at_ms=1))
    return pins


def check(homes):
    """Each where no rule forbids it, by the place that its record has."""
    for name, home in homes.items():
        country = PLACES[home.unit][2]
        latitude, longitude = home.location.latitude, home.location.longitude
        assert not (latitude < 5.0 and longitude > 95.0 and country == "IN"), (name, home)
        assert not (longitude > 10.0 and country == "US"), (name, home)
        assert not (longitude < -20.0 and country not in ("US", "BR")), (name, home)
        assert not (name.startswith("gov") and country != "US"), (name, home)
        assert home.attributes == told_of(name), (name, home)
        assert PINNED.get(name, home.unit) == home.unit, (name, home)
        assert not (home.attributes == BANK and country == "SG"), (name, home)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
async def test_every_record_keeps_to_the_policy(tmp_path, seed):
    rng = random.Random(seed)
    hook = Anything(rng)
    asked = AskedHook(
        "anything", hook, at_once=8, clock=time.monotonic, breaker=CircuitBreaker(failures=10_000)
    )
    policy = compiled(RULES, tenant="t")
    store = await EmbeddedStore.open(tmp_path / "store.db")
    await tenant(store)
    fleet = units(dublin=25, virginia=60, singapore=25, mumbai=60, sao_paulo=60)
    async with at_work(store, hooks={"anything": asked}) as moves:
        pins = pins_of()
        moves.of = lambda tenant, location, key: pins.applied(policy.of(location, key), key)
        # It does not follow the fleet: as one that started from its snapshot.
        async with provisioning(store, fleet, hooked=moves.hooked) as serving:

            async def come(number):
                kind = rng.choice(["gov", "x", "x", "x"])
                latitude, longitude, _ = rng.choice(list(PLACES.values()))
                at = (latitude + rng.uniform(-2, 2), longitude + rng.uniform(-2, 2))
                sink = AwaitedSink()
                spec = TenantSpec(id="t")
                name = f"{kind}-{number}"
                serving.provisioner.provision(
                    spec, name, None, at, sink, attributes=told_of(name) or {}
                )
                answer = await sink.answer
                return type(answer) if isinstance(answer, ServiceError) else "placed"

            outcomes = Counter([await come(number) for number in range(60)])
            check(await moves.homes())
            await moves.make("dublin", Event.DRAIN, rate_per_s=1e6)
            await moves.ended("drain-dublin")
            check(await moves.homes())
            agent = Liveness(store, "singapore", 10)
            await agent.attach(unit_status())
            await moves.make("singapore", Event.HEARD)
            await agent.leave()
            await moves.make("singapore", Event.SILENT)
            await moves.ended("failover-singapore")
            homes = await moves.homes()
            check(homes)
            assert not {"dublin", "singapore"} & {home.unit for home in homes.values()}
            outcomes += Counter([await come(number) for number in range(60, 90)])
            rebalance = MoveJob(
                id="rebalance", kind=JobKind.REBALANCE, rate_per_s=1e6, max_moves=50, start_ms=1
            )
            await moves.job_store.create(rebalance)
            await moves.ended("rebalance")
            check(await moves.homes())
            await moves.counts()
    await store.close()
    assert outcomes["placed"] > 50
    assert outcomes.total() - outcomes["placed"] > 0, "some no unit may take"
    assert set(hook.said) == {"order", "veto", "nonsense", "failure"}
