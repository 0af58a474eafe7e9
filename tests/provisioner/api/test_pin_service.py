"""Pins as operators make them: refused where the policy keeps the client off, bounded, paged."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from control_plane import keys
from control_plane.errors import InvalidInput, NotFound, Refused
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn
from homeport.api.policy.v1 import pin_pb2 as pb
from provisioner.api.pin_service import PinService
from provisioner.applied_policies.followed import FollowedPolicies
from provisioner.applied_policies.pin_registry import PinRegistry
from provisioner.applied_policies.registry import PolicyRegistry
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.placement.filters import PlacementPolicy
from tests.support.provisioning_harness import provisioning
from tests.support.servers import units

POLICY = """policy: 1
groups: {gov: {attributes: {kind: government}}}
rules: [{name: gov, when: '"gov" in client.groups', require: {countries: [US]}}]
"""


@pytest.fixture
async def store(tmp_path) -> AsyncIterator[EmbeddedStore]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    yield store
    await store.close()


@pytest.fixture
async def service(store) -> AsyncIterator[PinService]:
    await PolicyRegistry(store, wall=time.time).apply("default", POLICY, base_version=0)
    policies = FollowedPolicies(store, PlacementPolicy(), wall=time.time)
    await policies.start()
    async with provisioning(store, units(dublin=9, virginia=9)) as harness:
        registry = PinRegistry(store, wall=time.time, jitter=lambda: 0.5)
        yield PinService(registry, policies, harness.fleet_view, store)


async def resident(store, name, attributes=None):
    value = encode_assignment("dublin", 1, 0, "IE:53.3,-6.3~20", attributes=attributes)
    await store.commit(Txn(then=[Put(keys.assignment("default", name), value)]))


async def pin(service, client="anna", unit="virginia", **more):
    request = pb.PinClientRequest(client_id=client, unit_id=unit, **more)
    return await service.PinClient(request, None)


async def test_one_that_is_pinned_is_shown_listed_and_let_go(service, store):
    await resident(store, "anna")
    answer = await pin(service, reason="by contract")
    assert (answer.pin.unit_id, answer.pin.reason, list(answer.warnings)) == (
        "virginia", "by contract", [],
    )  # fmt: skip
    assert await service.GetPin(pb.GetPinRequest(client_id="anna"), None) == answer.pin
    assert list((await service.ListPins(pb.ListPinsRequest(), None)).pins) == [answer.pin]
    for unpinned in (True, False):
        asked = pb.UnpinClientRequest(client_id="anna")
        assert (await service.UnpinClient(asked, None)).unpinned is unpinned
    with pytest.raises(NotFound, match="anna is not pinned"):
        await service.GetPin(pb.GetPinRequest(client_id="anna"), None)


async def test_a_pin_does_not_go_before_the_policy(service, store):
    await resident(store, "anna", {"kind": "government"})
    await resident(store, "ben")
    with pytest.raises(Refused, match="it is in IE, not in US, as rule gov requires"):
        await pin(service, unit="dublin")
    await pin(service, "ben", "dublin")
    assert [one.client_id for one in (await service.ListPins(pb.ListPinsRequest(), None)).pins] == [
        "ben"
    ]


async def test_of_one_that_has_no_home_yet_it_is_said_what_is_not_known(service):
    assert "anna has no home yet" in (await pin(service)).warnings[0]


async def test_pages(service):
    for number in range(5):
        await pin(service, f"c{number}")
    first = await service.ListPins(pb.ListPinsRequest(page_size=3), None)
    rest = await service.ListPins(
        pb.ListPinsRequest(page_size=3, page_token=first.next_page_token), None
    )
    assert [one.client_id for one in (*first.pins, *rest.pins)] == [f"c{n}" for n in range(5)]
    assert not rest.next_page_token


@pytest.mark.parametrize(
    ("more", "error", "says"),
    [
        pytest.param({"unit": "nowhere"}, NotFound, "no unit nowhere", id="no-such-unit"),
        pytest.param({"unit": ""}, NotFound, "no unit", id="no-unit"),
        pytest.param({"client": ""}, InvalidInput, "client_id", id="no-client"),
        pytest.param({"client": "a/b"}, InvalidInput, "client_id", id="a-slash"),
        pytest.param({"reason": "x" * 501}, InvalidInput, "500 characters", id="a-long-reason"),
        pytest.param({"reason": "a\nb"}, InvalidInput, "no line breaks", id="two-lines"),
        pytest.param({"tenant": "gone"}, NotFound, "gone", id="no-such-tenant"),
    ],
)
async def test_what_is_refused(service, more, error, says):
    with pytest.raises(error, match=says):
        await pin(service, **more)
    assert not (await service.ListPins(pb.ListPinsRequest(), None)).pins


async def test_a_time_that_is_over_is_refused_and_one_to_come_is_told(service):
    request = pb.PinClientRequest(client_id="anna", unit_id="dublin")
    request.until_time.FromSeconds(int(time.time()) - 10)
    with pytest.raises(InvalidInput, match="over already"):
        await service.PinClient(request, None)
    request.until_time.FromSeconds(int(time.time()) + 1_000)
    told = (await service.PinClient(request, None)).pin
    assert (told.until_time, told.over) == (request.until_time, False)


@pytest.mark.parametrize("size", [1_001, 2**32 - 1])
async def test_a_page_is_bounded(service, size):
    with pytest.raises(InvalidInput, match="at most 1,000"):
        await service.ListPins(pb.ListPinsRequest(page_size=size), None)
