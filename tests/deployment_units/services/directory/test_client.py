"""DirectoryClient: whom it asks as whom, and what it says of calls that were not answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import grpc
import pytest
from grpc import aio

from control_plane.errors import (
    AlreadyExists,
    InvalidInput,
    OutcomeUnknown,
    PermissionDenied,
    Refused,
    Unavailable,
)
from control_plane.serving.dialing import FileDialer
from control_plane.serving.errors_to_status import ErrorsToStatus
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.directory import port
from deployment_units.services.directory.client import DirectoryClient
from homeport.api.directory.v1 import directory_pb2 as pb
from homeport.api.directory.v1 import directory_pb2_grpc as pb_grpc

ANNA = Resident(tenant="talk", account="anna", epoch=3)
WAIT_S = 20.0
NOWHERE = "127.0.0.1:1"


class Directory(pb_grpc.DirectoryServiceServicer):
    """Answers what a test has put here, one by one; then what it was asked."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.answers: list[Exception | str] = []
        self.shown = ""
        self.silent = asyncio.Event()
        self.silent.set()

    async def _answer(self, request, context, response):
        self.heard.append(request)
        self.shown = dict(context.invocation_metadata()).get("authorization", "")
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            await context.abort(grpc.StatusCode[answer], "a proxy says so")
        return response

    async def ClaimHandle(self, request, context):
        return await self._answer(request, context, pb.ClaimHandleResponse(handle="anna"))

    async def FinishProof(self, request, context):
        return await self._answer(request, context, pb.FinishProofResponse(kind="mailto"))

    async def Resolve(self, request, context):
        return await self._answer(request, context, pb.ResolveResponse())

    async def WatchAccount(self, request, context):
        yield await self._answer(request, context, pb.WatchAccountResponse())  # a sign of life
        for handle in ("anna", "annabel"):
            held = pb.GetAccountResponse(handles=[pb.HeldHandle(handle=handle)])
            yield pb.WatchAccountResponse(account=held)
        await self.silent.wait()
        await self._answer(request, context, None)


@asynccontextmanager
async def served(directory: Directory) -> AsyncIterator[str]:
    server = aio.server(interceptors=[ErrorsToStatus()])
    pb_grpc.add_DirectoryServiceServicer_to_server(directory, server)
    port_ = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port_}"
    finally:
        await server.stop(None)


@pytest.fixture
async def directory() -> Directory:
    return Directory()


@pytest.fixture
async def client(directory: Directory) -> AsyncIterator[DirectoryClient]:
    async with served(directory) as address:
        one = DirectoryClient("u", [address], aio.insecure_channel, token="a-unit")
        yield one
        await one.close()


CLAIM = pb.ClaimHandleRequest(handle="anna", request_id="one")
FINISH = pb.FinishProofRequest(code="12345678", request_id="two")


async def test_an_account_that_is_looked_for_is_not_the_one_that_asks(client, directory):
    """Resolve has a field for each."""
    await client.call(port.RESOLVE, ANNA, pb.ResolveRequest(account="ben"))
    (heard,) = directory.heard
    assert (heard.account, heard.viewer, heard.tenant) == ("ben", "anna", "talk")
    assert heard.home == pb.ActingHome(unit_id="u", epoch=3)


async def test_it_asks_as_the_accounts_home_with_the_units_token(directory, client) -> None:
    answer = await client.call(port.CLAIM_HANDLE, ANNA, CLAIM)
    assert answer == pb.ClaimHandleResponse(handle="anna")
    home = pb.ActingHome(unit_id="u", epoch=3)
    assert directory.heard == [
        pb.ClaimHandleRequest(
            tenant="talk", account="anna", home=home, handle="anna", request_id="one"
        )
    ]
    assert directory.shown == "Bearer a-unit"
    assert pb.ClaimHandleRequest(handle="anna", request_id="one") == CLAIM
    await client.call(port.RESOLVE, ANNA, pb.ResolveRequest())
    assert directory.heard[-1] == pb.ResolveRequest(tenant="talk", viewer="anna", home=home)


def refused(kind, reason, metadata):
    error = kind("no")
    error.reason, error.metadata = reason, metadata
    return error


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (refused(AlreadyExists, "TAKEN", {}), AlreadyExists),
        (refused(Refused, "WRONG_CODE", {"tries_left": "4"}), Refused),
        (InvalidInput("handle", "no handle"), InvalidInput),
    ],
    ids=["taken", "a wrong code", "no handle"],
)
async def test_what_the_directory_says_is_passed_on(directory, client, said, kind) -> None:
    directory.answers = [said]
    with pytest.raises(kind) as told:
        await client.call(port.CLAIM_HANDLE, ANNA, CLAIM)
    assert (told.value.reason, told.value.message) == (said.reason, said.message)
    assert dict(told.value.metadata) == dict(said.metadata)
    assert getattr(told.value, "field", "") == getattr(said, "field", "")


async def test_a_unit_that_is_not_let_says_so_as_its_own_fault(directory, client, caplog) -> None:
    directory.answers = [PermissionDenied("a role is missing")] * 2
    with pytest.raises(Unavailable, match="operator"):
        await client.call(port.CLAIM_HANDLE, ANNA, CLAIM)
    assert "a role is missing" in caplog.text


async def test_what_changes_something_is_sent_again_with_the_same_id(directory, client) -> None:
    directory.answers = ["UNAVAILABLE"]
    await client.call(port.CLAIM_HANDLE, ANNA, CLAIM)
    assert len(directory.heard) == 2
    assert directory.heard[0] == directory.heard[1]


@pytest.mark.parametrize("broken", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL"])
async def test_a_try_of_a_code_is_not_made_twice_and_its_outcome_is_not_known(
    directory, client, broken
) -> None:
    directory.answers = [broken]
    with pytest.raises(OutcomeUnknown, match="request_id"):
        await client.call(port.FINISH_PROOF, ANNA, FINISH)
    assert len(directory.heard) == 1


async def test_that_nothing_was_done_is_known_where_the_directory_says_so(
    directory, client
) -> None:
    directory.answers = [Unavailable("the store is away", retry_after_s=7.0)]
    with pytest.raises(Unavailable, match="the store is away") as told:
        await client.call(port.FINISH_PROOF, ANNA, FINISH)
    assert not isinstance(told.value, OutcomeUnknown)
    assert told.value.retry_after_s == 7.0


async def test_another_server_is_asked_where_one_cannot_be_reached(directory) -> None:
    async with served(directory) as address:
        client = DirectoryClient("u", [NOWHERE, address], aio.insecure_channel)
        await client.call(port.FINISH_PROOF, ANNA, FINISH)  # nothing was sent to the first one
        assert len(directory.heard) == 1
        calls = [client.call(port.CLAIM_HANDLE, ANNA, CLAIM) for _ in range(20)]
        assert len(await asyncio.gather(*calls)) == 20
        await client.close()


async def test_where_nobody_can_be_reached_surely_nothing_was_done() -> None:
    client = DirectoryClient("u", [NOWHERE], aio.insecure_channel, connect_s=0.1)
    with pytest.raises(Unavailable) as told:
        await client.call(port.FINISH_PROOF, ANNA, FINISH)
    assert not isinstance(told.value, OutcomeUnknown)
    await client.close()


async def handles(client: DirectoryClient) -> list[str]:
    """Those of Anna that a stream tells of, to its end."""
    found: list[str] = []
    try:
        async with asyncio.timeout(WAIT_S), aclosing(client.watch(ANNA)) as told:
            async for account in told:
                found += [one.handle for one in account.handles]
    except Unavailable:
        pass
    return found


async def test_an_account_is_followed_as_its_home_and_signs_of_life_say_nothing(
    directory, client
) -> None:
    assert await handles(client) == ["anna", "annabel"]
    home = pb.ActingHome(unit_id="u", epoch=3)
    assert directory.heard[0] == pb.WatchAccountRequest(tenant="talk", account="anna", home=home)
    assert directory.shown == "Bearer a-unit"


async def test_that_the_account_is_at_home_elsewhere_is_told(directory, client) -> None:
    directory.answers = [refused(Refused, "STALE_EPOCH", {})]
    with pytest.raises(Refused) as told:
        await anext(client.watch(ANNA))
    assert told.value.reason == "STALE_EPOCH"


async def test_a_stream_that_falls_silent_ends_and_the_next_one_is_at_another_server() -> None:
    silent, other = Directory(), Directory()
    silent.silent.clear()
    async with served(silent) as first, served(other) as second:
        client = DirectoryClient("u", [first, second], aio.insecure_channel, silent_s=0.1)
        assert await handles(client) == ["anna", "annabel"]
        assert await handles(client) == ["anna", "annabel"]
        assert (len(silent.heard), other.heard != []) == (1, True)
        await client.close()
        silent.silent.set()


async def test_streams_take_no_room_of_calls() -> None:
    """A connection takes so many calls at once; here one."""
    directory = Directory()
    directory.silent.clear()
    server = aio.server(
        interceptors=[ErrorsToStatus()], options=[("grpc.max_concurrent_streams", 1)]
    )
    pb_grpc.add_DirectoryServiceServicer_to_server(directory, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    dial = FileDialer(ca=None, certificate=None, key=None, settings=("", "", ""))
    client = DirectoryClient("u", [address], dial, connect_apart=dial.apart)
    async with asyncio.timeout(WAIT_S), aclosing(client.watch(ANNA)) as told:
        await anext(told)
        await client.call(port.CLAIM_HANDLE, ANNA, CLAIM)
    await client.close()
    await server.stop(None)
