"""Nobody gets a home by a policy that was replaced, whatever his server has heard of it."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from control_plane import keys
from control_plane.errors import Exhausted, ServiceError
from control_plane.fleet.capacity import CapacityRecord, encode_capacity
from control_plane.fleet.raised_fence import raise_fence
from control_plane.fleet.records import encode_tenant
from control_plane.fleet.unit import TenantId, TenantSpec
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import KeyValue, Put, Store, Txn
from provisioner.applied_policies.followed import FollowedPolicies
from provisioner.applied_policies.pin_registry import PinRegistry
from provisioner.applied_policies.registry import PolicyRegistry
from provisioner.ledger.assignment import decode_assignment
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.ledger.fences import Fences
from provisioner.ledger.operations import Claim
from provisioner.ledger.policy_fence import PolicyBeingRead, PolicyFence
from provisioner.ledger.single_store import single_store_ledger
from provisioner.ledger.store_ledger import StoreLedger
from provisioner.placement.filters import PlacementPolicy, why_forbidden
from tests.support.fleets import at, fleet
from tests.support.ledger_operations import WAIT_S
from tests.support.supervision import FailFast

FLEET = fleet("dublin", "virginia")
ONLY = "policy: 1\nrules: [{{name: only, require: {{units: [{}]}}}}]"
SHORT_S = 0.05
names = itertools.count()


@pytest.fixture
async def store(tmp_path) -> AsyncIterator[EmbeddedStore]:
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    record = encode_capacity(CapacityRecord(capacity=10_000))
    tenant = encode_tenant(TenantSpec(id=TenantId("acme")))
    await opened.commit(
        Txn(
            then=[
                *(Put(keys.capacity(one.id), record) for one in FLEET.units),
                Put(keys.tenant("acme"), tenant),
            ]
        )
    )
    yield opened
    await opened.close()


@pytest.fixture
def registry(store: EmbeddedStore) -> PolicyRegistry:
    return PolicyRegistry(store, wall=time.time)


@pytest.fixture
def pins(store: EmbeddedStore) -> PinRegistry:
    return PinRegistry(store, wall=time.time, jitter=lambda: 0.5)


class ByPolicy(Claim):
    """A client that wants the first unit that its policy lets it live in."""

    __slots__ = ("asked", "outcome", "server", "stamp")

    def __init__(self, server: Server, client: str, tenant: str) -> None:
        self.server = server
        self.key = keys.assignment(tenant, client)
        self.expires_at = time.monotonic() + WAIT_S
        self.outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.asked: list[int] = []  # the revisions that it chose by

    def choose(self):
        tenant, policies = self.key.split(b"/")[-2].decode(), self.server.policies
        self.asked.append(policies.revision_of(tenant))
        self.stamp = policies.stamp_of(tenant)
        policy = policies.of(tenant, at(52.5, 13.4, country="DE"), self.key)
        for one in FLEET.units:
            account = self.server.ledger.account(one.id)
            if not why_forbidden(one, policy) and account.reachable > 0:
                self.value = encode_assignment(one.id, 1, 0, "x", self.asked[-1])
                return account
        return Exhausted("none of them")

    def is_current(self) -> bool:
        return self.server.policies.stamp_of(self.key.split(b"/")[-2].decode()) == self.stamp

    def assigned(self, revision: int) -> None:
        self.outcome.set_result(self.account.unit)

    def existing(self, found: KeyValue) -> None:
        self.outcome.set_result(decode_assignment(found.value).unit)

    def failed(self, error: ServiceError) -> None:
        self.outcome.set_result(error.reason)


@dataclass
class Server:
    """A ledger, and the policies as its server follows them."""

    ledger: StoreLedger
    policies: FollowedPolicies

    def begin(self, client: str, *, tenant: str = "acme", within_s: float = WAIT_S) -> ByPolicy:
        wish = ByPolicy(self, client, tenant)
        wish.expires_at = time.monotonic() + within_s
        choice = wish.choose()
        assert not isinstance(choice, ServiceError)
        wish.account = choice
        self.ledger.submit(wish)
        return wish

    async def ask(self, client: str, *, tenant: str = "acme", within_s: float = WAIT_S) -> str:
        wish = self.begin(client, tenant=tenant, within_s=within_s)
        return await asyncio.wait_for(wish.outcome, WAIT_S)


@asynccontextmanager
async def server(store: Store, *, hears: bool = True, fenced: bool = True) -> AsyncIterator[Server]:
    """hears: whether it hears of changes after it has begun."""
    policies = FollowedPolicies(
        store, PlacementPolicy(), wall=time.time, heard_s=0.1, read_s=SHORT_S
    )
    await policies.start()
    fence = PolicyFence(heard=policies.heard, overdue=policies.overdue)
    ledger = single_store_ledger(
        store,
        clock=time.monotonic,
        jitter=lambda: 0.0,
        new_id=lambda: f"p{next(names)}",
        supervisor=FailFast(),
        fences=Fences(fence) if fenced else Fences(),
    )
    await ledger.start()
    ledger.follow([one.id for one in FLEET.units])
    tasks = [asyncio.create_task(ledger.run())]
    if hears:
        tasks.append(asyncio.create_task(policies.run()))
    await asyncio.sleep(0)
    try:
        yield Server(ledger, policies)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_server_that_has_not_heard_of_a_policy_gives_no_home_by_the_one_before(
    store, registry
):
    await registry.apply("acme", ONLY.format("dublin"), base_version=0)
    async with server(store, hears=False) as deaf, server(store) as other:
        assert await deaf.ask("before") == "dublin"
        await registry.apply("acme", ONLY.format("virginia"), base_version=1)
        assert await deaf.ask("after", within_s=0.5) == "UNAVAILABLE"
        assert await other.ask("after") == "virginia"
        assert await deaf.ask("after", within_s=0.5) != "dublin"


async def test_without_the_fence_such_a_server_gives_it(store, registry):
    """So that the tests beside this one are known to look where it happens."""
    await registry.apply("acme", ONLY.format("dublin"), base_version=0)
    async with server(store, hears=False, fenced=False) as deaf:
        await registry.apply("acme", ONLY.format("virginia"), base_version=1)
        assert await deaf.ask("after") == "dublin"


async def test_who_was_decided_by_the_one_before_and_waits_is_decided_anew(store, registry):
    await registry.apply("acme", ONLY.format("dublin"), base_version=0)
    async with server(store) as one:
        assert await one.ask("first") == "dublin"  # from now on it has slots there
        waits = one.begin("waits")  # decided, and in the queue: the loop has not turned since
        await registry.apply("acme", ONLY.format("virginia"), base_version=1)
        assert await asyncio.wait_for(waits.outcome, WAIT_S) in {"dublin", "virginia"}
        record = decode_assignment((await store.get(waits.key)).value)
        assert (record.unit, record.policy) in {("dublin", 1), ("virginia", 2)}
        assert await one.ask("later") == "virginia"


async def test_a_first_policy_is_one_that_replaces(store, registry):
    async with server(store, hears=False) as deaf:
        assert await deaf.ask("before") == "dublin"
        await registry.apply("acme", ONLY.format("virginia"), base_version=0)
        assert await deaf.ask("after", within_s=0.5) == "UNAVAILABLE"


async def test_a_tenant_whose_policy_takes_long_to_read_waits_alone(store, registry):
    async with server(store, hears=False) as slow:
        await registry.apply("acme", ONLY.format("virginia"), base_version=0)
        # Heard of, and not compiled: as long as nobody takes it.
        follows = asyncio.create_task(slow.policies.replica.run())
        try:
            assert await slow.ask("c", tenant="default") == "dublin"
            assert slow.policies.overdue == {"acme"}
            assert await slow.ask("a") == PolicyBeingRead.reason
            reads = asyncio.create_task(slow.policies._compile_changed())
            await asyncio.wait_for(reads, WAIT_S)
            assert slow.policies.overdue == set()
            assert await slow.ask("a") == "virginia"
        finally:
            follows.cancel()
            await asyncio.gather(follows, return_exceptions=True)


@pytest.mark.parametrize("seed", range(4))
async def test_changes_and_newcomers_race_and_no_home_is_by_an_older_policy(store, registry, seed):
    """Three servers, one of them deaf. Every record that is written after a change was told as
    done, at a later revision of the store, names that version or a later one."""
    rng = random.Random(seed)
    applied: list[tuple[int, int]] = []  # (store's revision at which it was told, version)
    async with server(store) as first, server(store) as second, server(store, hears=False) as deaf:

        async def newcomer(number: int) -> None:
            await asyncio.sleep(rng.random() * 0.2)
            which = rng.choice([first, second, second, deaf])
            await which.ask(f"c{number}", within_s=0.4)

        async def change() -> None:
            for version in range(6):
                await asyncio.sleep(rng.random() * 0.04)
                only = ONLY.format(rng.choice(["dublin", "virginia"]))
                record = await registry.apply("acme", only, base_version=version)
                revision = (await store.get(keys.policy("acme"))).mod_revision
                applied.append((revision, record.version))

        async with asyncio.TaskGroup() as group:
            group.create_task(change())
            for number in range(60):
                group.create_task(newcomer(number))
    homes = (await store.range(keys.assignments_of("acme"))).items
    assert homes
    for pair in homes:
        in_force = max((v for at, v in applied if at < pair.mod_revision), default=0)
        assert decode_assignment(pair.value).policy == in_force


@pytest.mark.parametrize("value", [b"soon", b"\xff", b"1" * 5_000])
async def test_a_fence_that_cannot_be_read_is_not_adopted_and_is_told(caplog, value):
    async def heard(revision: int) -> bool:
        raise AssertionError("nobody can know which revision it asks for")

    fence = PolicyFence(heard=heard, overdue=())
    before = fence.compare
    await fence.adopt(KeyValue(keys.POLICIES_FENCE, value, 7, 7, 1))
    assert fence.compare == before
    assert "policies-fence is damaged" in caplog.text


async def test_the_fence_of_a_cluster_names_the_revision_of_the_control_data(store, tmp_path):
    cluster = await EmbeddedStore.open(tmp_path / "cluster.db")
    try:
        registry = PolicyRegistry(store, wall=time.time, assignment_clusters=[cluster])
        await registry.apply("acme", ONLY.format("dublin"), base_version=0)
        revision = (await store.get(keys.policy("acme"))).mod_revision
        found = await cluster.get(keys.POLICIES_FENCE)
        assert int(found.value) == revision
        await raise_fence(cluster, keys.POLICIES_FENCE, revision - 1)  # never lowered
        assert await cluster.get(keys.POLICIES_FENCE) == found
        asked = []

        async def heard(revision: int) -> bool:
            asked.append(revision)
            return True

        await PolicyFence(heard=heard, overdue=()).adopt(found)
        assert asked == [revision]
    finally:
        await cluster.close()


async def test_a_server_that_has_not_heard_of_a_pin_gives_no_home_without_it(store, pins):
    async with server(store, hears=False) as deaf, server(store) as other:
        assert await deaf.ask("before") == "dublin"
        await pins.pin("acme", "after", "virginia", reason="", until_ms=0)
        assert await deaf.ask("after", within_s=0.5) == "UNAVAILABLE"
        assert await other.ask("after") == "virginia"
        assert await other.ask("another") == "dublin"


async def test_who_was_decided_before_it_was_pinned_and_waits_is_decided_anew(store, pins):
    async with server(store) as one:
        assert await one.ask("first") == "dublin"
        await pins.pin("acme", "pinned-then", "virginia", reason="", until_ms=0)
        waits = one.begin("waits")  # decided, and in the queue: the loop has not turned since
        _, revision = await pins.pin("acme", "waits", "virginia", reason="", until_ms=0)
        unit = await asyncio.wait_for(waits.outcome, WAIT_S)
        written = await store.get(waits.key)
        assert unit == "virginia" or written.mod_revision < revision
        assert await one.ask("pinned-then") == "virginia"


async def test_one_whose_pin_was_taken_away_goes_where_the_others_do(store, pins):
    await pins.pin("acme", "a", "virginia", reason="", until_ms=0)
    async with server(store) as one:
        await pins.unpin("acme", "a")
        assert await one.ask("a") == "dublin"
