"""A client for whom no unit within the cap has room waits, and brings along since when."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import Exhausted, ServiceError
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.http_serving.status_json import error_response
from control_plane.pacing import CoroutinePacer
from control_plane.store.embedded import EmbeddedStore
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api.batches import BatchRun
from provisioner.api.requests import read_batch
from provisioner.api.waiting_clients import waits_since_ms
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.latency import CapInForce
from provisioner.provisioning.room_awaited import (
    LONGEST_S,
    SHORTEST_S,
    STRETCH,
    TOKEN,
    RoomAwaited,
    ask_again_s,
)
from tests.support.policies import compiled
from tests.support.provisioning_harness import (
    IN_IRELAND,
    AwaitedSink,
    ProvisioningHarness,
    provisioning,
)
from tests.support.servers import units

# Virginia is some 80 ms from Ireland, Dublin next door.
POLICY = """
rules: [{name: in-time, rank: {latency: {cap_ms: 50, relax: [{after_s: 120, to_ms: 100}]}}}]
"""


class Policies:
    """As a source: the policy above for everybody."""

    policy = compiled(POLICY, tenant="default")
    default = PlacementPolicy()

    def of(self, tenant, location, client_key):
        return self.policy.of(location, client_key)

    def revision_of(self, tenant):
        return 7

    def stamp_of(self, tenant):
        return 7, 0


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ProvisioningHarness]:
    """Dublin takes one client, and anna has the place."""
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=1, virginia=9), policies=Policies()) as harness:
        assert home_of(await harness.ask("anna")) == "dublin"
        yield harness
    await store.close()


def home_of(answer: bytes | ServiceError) -> str:
    assert isinstance(answer, bytes), answer
    return pb.ProvisionResponse.FromString(answer).assignment.unit_id


def awaited(answer: bytes | ServiceError) -> RoomAwaited:
    assert isinstance(answer, RoomAwaited)
    return answer


def since(harness: ProvisioningHarness, answer: bytes | ServiceError, client: str) -> int:
    token = awaited(answer).metadata[TOKEN]
    return waits_since_ms(harness.provisioner, "default", client, token)


def ago_ms(seconds: float) -> int:
    return int((time.time() - seconds) * 1000)


async def test_who_finds_no_room_within_the_cap_waits_and_others_are_served(
    harness: ProvisioningHarness,
) -> None:
    before = ago_ms(0)
    answer = awaited(await harness.ask("ben"))
    assert answer.message == (
        "all units that may take this client within 50 ms are full; it waits for room, and 120 s "
        "from now may live within 100 ms: ask again with the waiting token"
    )
    assert before <= since(harness, answer, "ben") <= ago_ms(0)
    assert answer.metadata["within_ms"] == "50"
    assert answer.metadata["relaxes_after_s"] == "120"
    assert 0 < answer.retry_after_s <= LONGEST_S
    assert home_of(await harness.ask("anna")) == "dublin", "who has a home keeps it"


async def test_a_token_keeps_since_when_and_after_the_step_the_wider_cap_holds(
    harness: ProvisioningHarness,
) -> None:
    waits_since = ago_ms(60)
    answer = await harness.ask("ben", waits_since_ms=waits_since)
    assert since(harness, answer, "ben") == waits_since
    assert "60 s from now" in awaited(answer).message
    assert home_of(await harness.ask("ben", waits_since_ms=ago_ms(121))) == "virginia"


async def test_room_that_comes_free_is_had_before_the_step(harness: ProvisioningHarness) -> None:
    awaited(await harness.ask("ben"))
    assert await harness.assignments.release("default", "anna")
    for _ in range(100):  # the slot comes back with the next settlement
        answer = await harness.ask("ben", waits_since_ms=ago_ms(5))
        if isinstance(answer, bytes):
            break
    assert home_of(answer) == "dublin"


async def test_who_asks_twice_at_once_has_waited_as_long_as_the_longest(
    harness: ProvisioningHarness,
) -> None:
    """The one that is joined later included."""
    fresh, waiting = AwaitedSink(), AwaitedSink()
    waits_since = ago_ms(60)
    harness.provisioner._known_share = 1.0  # the store is asked first, so both are under way
    harness.begin("ben", fresh)
    harness.begin("ben", waiting, waits_since_ms=waits_since)
    for sink in (fresh, waiting):
        assert since(harness, await sink.answer, "ben") == waits_since
    fresh, waiting = AwaitedSink(), AwaitedSink()
    harness.begin("ben", fresh)
    harness.begin("ben", waiting, waits_since_ms=ago_ms(121))
    assert home_of(await waiting.answer) == home_of(await fresh.answer) == "virginia"


async def test_clients_of_a_batch_wait_each_by_itself(harness: ProvisioningHarness) -> None:
    tokens = harness.placer.waiting

    async def batch(*clients: pb.ClientOrigin) -> list[pb.ProvisionResult]:
        request = pb.ProvisionManyRequest(clients=clients, without_tickets=True)
        read = read_batch(request.SerializeToString())
        run = BatchRun(harness.provisioner, DEFAULT_TENANT, read)
        await run.begin(CoroutinePacer(per_pass=1, clock=time.monotonic))
        return list(pb.ProvisionManyResponse.FromString(await run.response()).results)

    def client(name: str, token: str = "") -> pb.ClientOrigin:
        return pb.ClientOrigin(client_id=name, address=IN_IRELAND, waiting_token=token)

    now_ms, waits_since = ago_ms(0), ago_ms(130)
    long = tokens.issue("default", "carl", since_ms=waits_since, now_ms=now_ms)
    results = await batch(client("ben"), client("carl", long), client("dora", long), client("anna"))
    assert [one.WhichOneof("outcome") for one in results] == [
        "error", "provisioned", "error", "provisioned",
    ]  # fmt: skip
    assert results[1].provisioned.assignment.unit_id == "virginia"
    for one in (results[0], results[2]):
        error = one.error
        assert error.code == "RESOURCE_EXHAUSTED"
        assert error.retry_after.ToMilliseconds() > 0
        told = waits_since_ms(harness.provisioner, "default", one.client_id, error.waiting_token)
        assert told >= now_ms, "another's token says nothing"


@given(st.floats(1.001, 1e5), st.floats(0.0, 1.0))
def test_the_next_ask_is_not_after_the_step_however_clients_stretch_it(
    left_s: float, jitter: float
) -> None:
    after_s = ask_again_s(left_s, jitter)
    assert 0.4 <= after_s <= LONGEST_S
    assert after_s * STRETCH <= left_s * (1 + 1e-9)


@pytest.mark.parametrize(
    ("left_s", "expected"),
    [
        pytest.param(0.7, 0.7, id="soon-at-the-step"),
        pytest.param(0.0, SHORTEST_S, id="never-at-once"),
        pytest.param(inf, 2.0, id="no-step-follows-as-where-units-are-full"),
    ],
)
def test_when_to_ask_next(left_s: float, expected: float) -> None:
    assert ask_again_s(left_s, 0.5) == expected


def test_asks_are_spread() -> None:
    assert ask_again_s(60.0, 0.0) == LONGEST_S / 2
    assert ask_again_s(60.0, 1.0) == LONGEST_S


def test_over_http_the_token_is_in_the_details_and_the_time_in_the_header() -> None:
    error = RoomAwaited(CapInForce(limit_ms=50.0, next_ms=99.0, next_after_s=7.0), jitter=1.0)
    answer = error_response(error.told("t"))
    assert answer.status == 429
    assert answer.headers["Retry-After"] == "6"
    assert isinstance(answer.body, bytes)
    (info,) = [one for one in json.loads(answer.body)["details"] if "metadata" in one]
    assert info["reason"] == "WAITING_FOR_ROOM"
    assert info["metadata"] == {
        "waited_s": "0", "within_ms": "50", "relaxes_after_s": "7", "waiting_token": "t",
    }  # fmt: skip


def test_what_is_told_to_one_is_not_told_to_another() -> None:
    error = RoomAwaited(CapInForce(limit_ms=50.0), jitter=0.5)
    assert error.told("t").metadata[TOKEN] == "t"
    assert TOKEN not in error.metadata
    assert error.told("t").retry_after_s == error.retry_after_s
    assert isinstance(error, Exhausted)
