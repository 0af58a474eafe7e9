"""Documents come to all partitions, in one order, or it is said in which they are: whoever calls,
whichever server dies, and however often the same is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc import aio

from control_plane.auth.callers import Caller
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import Unavailable
from data_sharing.api import partition_calls
from homeport.api.datasharing.v1 import registry_pb2 as registry
from homeport.api.datasharing.v1 import registry_pb2_grpc as registry_grpc
from homeport.api.datasharing.v1 import rule_pb2 as rules
from homeport.api.datasharing.v1 import rule_pb2_grpc as rules_grpc
from homeport.api.datasharing.v1 import sharing_pb2 as sharing
from homeport.api.datasharing.v1 import sharing_pb2_grpc as sharing_grpc
from tests.support.credentials import bearer
from tests.support.partition_servers import JoinedPlaces, joined_places

Code = grpc.StatusCode
PEOPLE = {
    "anna": Caller(
        name="client anna", roles=with_implied({Role.CLIENT}), tenant="acme", client_id="anna"
    ),
    "gate": Caller(name="gate", roles=with_implied({Role.GATEWAY}), tenant="acme"),
    "dev": Caller(name="dev", roles=with_implied({Role.DEVELOPER}), tenant="acme"),
}


@pytest.fixture
async def service() -> AsyncIterator[JoinedPlaces]:
    async with joined_places(3) as made:
        yield made


@pytest.fixture
async def guarded() -> AsyncIterator[JoinedPlaces]:
    async with joined_places(callers=PEOPLE) as made:
        yield made


def away() -> Unavailable:
    return Unavailable("a leader is chosen")


async def apply(made: JoinedPlaces, document: str, *, door: int = 0, **more: str) -> None:
    stub = rules_grpc.RuleServiceStub(made.channels[door])
    await stub.ApplyRules(rules.ApplyRulesRequest(document=document, **more))


async def remove(made: JoinedPlaces, feed: str = "f") -> sharing.SharingPolicy:
    stub = sharing_grpc.SharingServiceStub(made.channels[0])
    return await stub.RemoveSharing(sharing.RemoveSharingRequest(feed=feed))


async def submit(
    made: JoinedPlaces, requests: int = 1, **call
) -> registry.SubmitApplicationResponse:
    async def sent() -> AsyncIterator[registry.SubmitApplicationRequest]:
        for _ in range(requests):
            yield registry.SubmitApplicationRequest()

    return await registry_grpc.ApplicationRegistryStub(made.channels[0]).SubmitApplication(
        sent(), **call
    )


@pytest.mark.parametrize("door", range(3))
async def test_a_document_comes_to_all_through_any_server(service: JoinedPlaces, door: int) -> None:
    await apply(service, "a", door=door)
    assert [place.documents for place in service.places] == [["a"]] * 3


@pytest.mark.parametrize("who", ["anna", "gate"])
async def test_whoever_may_give_a_consent_gives_it_in_all(guarded: JoinedPlaces, who: str) -> None:
    """Though neither may list partitions."""
    stub = sharing_grpc.SharingServiceStub(guarded.channels[1])
    give = (
        stub.GiveOwnConsent(sharing.GiveOwnConsentRequest(purpose="p"), metadata=bearer(who))
        if who == "anna"
        else stub.GiveConsent(sharing.GiveConsentRequest(purpose="p"), metadata=bearer(who))
    )
    given = await give
    assert [place.consents for place in guarded.places] == [[given.consent_id]] * 2


async def test_a_developer_submits_to_all(guarded: JoinedPlaces) -> None:
    answer = await submit(guarded, metadata=bearer("dev"))
    assert answer.WhichOneof("result") == "accepted"


async def test_none_is_begun_while_one_is_not_reached(service: JoinedPlaces) -> None:
    service.servers[2] = ""
    with pytest.raises(aio.AioRpcError, match="nobody has partition 2"):
        await apply(service, "a")
    assert [place.documents for place in service.places] == [[]] * 3


@pytest.mark.parametrize("door", [0, 1])
async def test_a_call_that_comes_to_a_server_of_another_partition_by_now_does_nothing_there(
    service: JoinedPlaces, door: int
) -> None:
    """Two servers that were started again, and have each other's partition."""
    service.servers[1], service.servers[2] = service.servers[2], service.servers[1]
    with pytest.raises(aio.AioRpcError, match="on its way to another server"):
        await apply(service, "a", door=door)
    assert [place.documents for place in service.places] == [[]] * 3


async def test_what_failed_in_one_is_brought_to_it_by_the_same_once_more(
    service: JoinedPlaces,
) -> None:
    service.places[1].fails = away()
    with pytest.raises(aio.AioRpcError, match="done in 2 of 3") as refused:
        await apply(service, "a")
    assert refused.value.code() is Code.UNAVAILABLE
    await apply(service, "a")
    assert [set(place.documents) for place in service.places] == [{"a"}] * 3


async def test_what_was_removed_in_some_is_removed_from_the_rest(service: JoinedPlaces) -> None:
    for place in service.places:
        place.policies.add("f")
    service.places[1].fails = away()
    with pytest.raises(aio.AioRpcError, match="done in 2 of 3"):
        await remove(service)
    assert (await remove(service)).feed == "f"
    assert [place.policies for place in service.places] == [set()] * 3
    with pytest.raises(aio.AioRpcError) as refused:
        await remove(service)
    assert refused.value.code() is Code.NOT_FOUND


async def test_what_goes_one_back_is_not_to_be_sent_again_as_it_is(service: JoinedPlaces) -> None:
    """It would go one further, or forth again, where it was done."""
    stub = registry_grpc.ApplicationRegistryStub(service.channels[0])
    service.places[1].fails = away()
    with pytest.raises(aio.AioRpcError, match="name it as version") as refused:
        await stub.RollbackApplication(registry.RollbackApplicationRequest(application="a"))
    assert refused.value.code() is not Code.UNAVAILABLE  # which programs send again
    await stub.RollbackApplication(
        registry.RollbackApplicationRequest(application="a", version="2")
    )
    assert [place.versions[0] for place in service.places] == ["2"] * 3


async def test_all_go_back_to_one_version(service: JoinedPlaces) -> None:
    service.places[2].versions = ["3", "1", "2"]
    stub = registry_grpc.ApplicationRegistryStub(service.channels[0])
    await stub.RollbackApplication(registry.RollbackApplicationRequest(application="a"))
    assert [place.versions[0] for place in service.places] == ["2"] * 3


async def test_a_submission_that_one_refuses_is_not_told_as_accepted(service: JoinedPlaces) -> None:
    service.places[1].refuses = True
    with pytest.raises(aio.AioRpcError, match="in 1: it breaks a rule"):
        await submit(service)


async def test_a_submission_of_nothing_is_for_the_registry_to_refuse(service: JoinedPlaces) -> None:
    answer = await submit(service, requests=0)
    assert answer.WhichOneof("result") == "accepted"  # by this one, which takes anything


async def test_a_tenant_that_is_left_out_has_its_turn_with_the_same_that_is_named(
    service: JoinedPlaces,
) -> None:
    """Or two documents would come to partitions in different orders."""
    going, may_go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        service.places[0].before = None
        going.set()
        await may_go.wait()

    service.places[0].before = hold
    first = asyncio.create_task(apply(service, "first"))
    await going.wait()
    second = asyncio.create_task(apply(service, "second", tenant="default"))
    await asyncio.wait([second], timeout=0.2)
    may_go.set()
    await asyncio.gather(first, second)
    assert [place.documents for place in service.places] == [["first", "second"]] * 3


async def test_few_documents_of_a_tenant_wait_and_who_leaves_waits_no_more(
    service: JoinedPlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_calls, "MOST_WAITING", 2)
    going, may_go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        service.places[0].before = None
        going.set()
        await may_go.wait()

    service.places[0].before = hold
    stub = rules_grpc.RuleServiceStub(service.channels[0])
    first = asyncio.create_task(apply(service, "first"))
    await going.wait()
    leaves = stub.ApplyRules(rules.ApplyRulesRequest(document="left"))
    while True:  # until both are in the line
        try:
            await stub.ApplyRules(rules.ApplyRulesRequest(document="more"), timeout=0.1)
        except aio.AioRpcError as error:
            if error.code() is Code.RESOURCE_EXHAUSTED:
                break
    leaves.cancel()
    while True:  # the one that left has made room
        try:
            await stub.ApplyRules(rules.ApplyRulesRequest(document="more"), timeout=0.1)
        except aio.AioRpcError as error:
            if error.code() is Code.DEADLINE_EXCEEDED:
                break
    may_go.set()
    await first
    await apply(service, "last")
    assert [place.documents for place in service.places] == [["first", "last"]] * 3


@pytest.mark.parametrize("given", ["", "x", "k-" + "g" * 20, "k-" + "1" * 21])
async def test_no_caller_names_consents_as_it_likes(service: JoinedPlaces, given: str) -> None:
    stub = sharing_grpc.SharingServiceStub(service.channels[0])
    metadata = (("homeport-partition", "alone"), ("homeport-made-id", given))
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.GiveConsent(sharing.GiveConsentRequest(purpose="p"), metadata=metadata)
    assert refused.value.code() is Code.INVALID_ARGUMENT
    assert service.places[0].consents == []
