"""Attacks on what others get: more calls, larger ones and dearer ones than a tenant's share. They
are let in, as far as quotas go; what they must not do is slow the probe."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import Message

from homeport.api.cloudevents.v1.cloudevents_pb2 import CloudEvent
from homeport.api.datasharing.v1 import feed_pb2, feed_pb2_grpc
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from tests.support.attacks.credentials import bearer
from tests.support.attacks.target import BANK, Attack, AttackFunction, Attempts, Target

CALL_S = 10.0
WIDE = 64  # calls at once


async def _code(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def new_clients_without_end(target: Target, attempts: Attempts) -> None:
    """Batches of the bank's clients, as many as are answered."""
    goes_on, numbers = target.until(), itertools.count()

    async def batches() -> AsyncIterator[pb.ProvisionManyRequest]:
        while goes_on():
            yield pb.ProvisionManyRequest(
                tenant=BANK,
                clients=[pb.ClientOrigin(client_id=f"flood-{next(numbers)}") for _ in range(1000)],
            )

    async with grpc.aio.insecure_channel(target.address) as channel:
        stub = pb_grpc.ProvisioningServiceStub(channel)
        while goes_on():
            call = stub.ProvisionMany(batches(), metadata=bearer(target.tokens["bank-admin"]))
            try:
                async for response in call:
                    for result in response.results:
                        attempts.told(result.error.code or "OK")
            except grpc.aio.AioRpcError as error:
                attempts.told(error.code().name)
                await asyncio.sleep(0.05)


async def explains_without_end(target: Target, attempts: Attempts) -> None:
    """The dearest read, many at once."""
    goes_on = target.until()
    more = bearer(target.tokens["bank-admin"])
    async with grpc.aio.insecure_channel(target.address) as channel:
        stub = pb_grpc.ProvisioningServiceStub(channel)
        while goes_on():
            calls = [
                stub.ExplainPlacement(
                    pb.ExplainPlacementRequest(tenant=BANK, client_id=f"c{n}", address="8.8.8.8"),
                    metadata=more,
                    timeout=CALL_S,
                )
                for n in range(WIDE)
            ]
            for code in await asyncio.gather(*map(_code, calls)):
                attempts.told(code)


async def messages_of_the_largest_size(target: Target, attempts: Attempts) -> None:
    """Strangers send what is as large as a message may be, and larger."""
    goes_on = target.until()
    contents = [b"\xff" * 900_000, b"\x0a\x80\x80\x10" + b"a" * 262_144, b"x" * (5 << 20)]
    paths = [
        "/homeport.api.provisioning.v1.ProvisioningService/Provision",
        "/homeport.api.fleet.v1.FleetService/ApplyUnit",
        "/homeport.api.datasharing.v1.FeedService/PublishBatch",
        "/homeport.api.datasharing.v1.RuleService/ApplyRules",
    ]
    async with grpc.aio.insecure_channel(target.address) as channel:
        while goes_on():
            calls = [
                channel.unary_unary(path)(content, timeout=CALL_S)
                for path in paths
                for content in contents
            ]
            for code in await asyncio.gather(*map(_code, calls)):
                attempts.told(code, let_in=code == "OK")


async def watches_without_end(target: Target, attempts: Attempts) -> None:
    """The bank's viewer opens streams and leaves them open."""
    goes_on = target.until()
    more = bearer(target.tokens["bank-admin"])
    async with grpc.aio.insecure_channel(target.address) as channel:
        stub = pb_grpc.ProvisioningServiceStub(channel)
        open_: list[Any] = []
        numbers = itertools.count()
        while goes_on():
            for _ in range(100):
                request = pb.WatchAssignmentRequest(
                    tenant=BANK, client_id=f"w{next(numbers)}", known_epoch=1
                )
                open_.append(stub.WatchAssignment(request, metadata=more))
                attempts.told("opened")
            await asyncio.sleep(0.02)
        for call in open_:
            call.cancel()


async def events_without_end(target: Target, attempts: Attempts) -> None:
    """Batches of a thousand events of feeds that the bank has not got."""
    goes_on, numbers = target.until(), itertools.count()
    more = bearer(target.tokens["bank-admin"])
    async with grpc.aio.insecure_channel(target.address) as channel:
        stub = feed_pb2_grpc.FeedServiceStub(channel)
        while goes_on():
            request = feed_pb2.PublishBatchRequest(tenant=BANK)
            for _ in range(1000):
                request.events.add(
                    id=f"e{next(numbers)}", source="/bank", spec_version="1.0", type="bank.none",
                    text_data='{"a": [1, 2, 3]}',
                )  # fmt: skip
            attempts.told(await _code(stub.PublishBatch(request, metadata=more, timeout=CALL_S)))


async def fleet_is_listed_without_end(target: Target, attempts: Attempts) -> None:
    """A viewer's dearest read of the fleet, many at once."""
    goes_on = target.until()
    more = bearer(target.tokens["viewer"])
    async with grpc.aio.insecure_channel(target.address) as channel:
        stub = fleet_pb2_grpc.FleetServiceStub(channel)
        while goes_on():
            calls = [
                stub.ListUnits(fleet_pb2.ListUnitsRequest(), metadata=more, timeout=CALL_S)
                for _ in range(WIDE)
            ]
            for code in await asyncio.gather(*map(_code, calls)):
                attempts.told(code)


def given_up(path: str, request: Message) -> AttackFunction:
    """Calls of a method that an ordinary client begins and cancels, at once or a moment later, so
    that some are cancelled before they are sent, some on the way and some while they are worked
    on."""

    async def run(target: Target, attempts: Attempts) -> None:
        goes_on, content = target.until(), request.SerializeToString()
        more = bearer(target.tokens["bank-admin"])
        async with grpc.aio.insecure_channel(target.address) as channel:
            method = channel.unary_unary(path)

            async def give_up(after_s: float) -> None:
                call = method(content, metadata=more, timeout=CALL_S)
                await asyncio.sleep(after_s)
                attempts.told("given up" if call.cancel() else (await call.code()).name)

            while goes_on():
                await asyncio.gather(*(give_up(n % 8 * 0.0005) for n in range(WIDE)))

    return run


PROVISIONER = (
    Attack(
        name="calls that are given up",
        what="another tenant's calls for its clients, cancelled by their client",
        run=given_up(
            "/homeport.api.provisioning.v1.ProvisioningService/Provision",
            pb.ProvisionRequest(tenant=BANK, client_id="bob"),
        ),
    ),
    Attack(
        name="new clients without end",
        what="another tenant's batches of a thousand clients",
        run=new_clients_without_end,
    ),
    Attack(
        name="explanations without end",
        what="another tenant's explanations, 64 at once",
        run=explains_without_end,
    ),
    Attack(
        name="watches without end",
        what="another tenant's watches, opened and left open",
        run=watches_without_end,
    ),
    Attack(
        name="the fleet is listed without end",
        what="a viewer's listings, 64 at once",
        run=fleet_is_listed_without_end,
    ),
    Attack(
        name="messages of the largest size",
        what="strangers' messages of a megabyte and of five",
        run=messages_of_the_largest_size,
    ),
)
DATA_SHARING = (
    Attack(
        name="calls that are given up",
        what="another tenant's events, cancelled by their client",
        run=given_up(
            "/homeport.api.datasharing.v1.FeedService/PublishBatch",
            feed_pb2.PublishBatchRequest(
                tenant=BANK,
                events=[CloudEvent(id="e", source="/bank", spec_version="1.0", type="b")],
            ),
        ),
    ),
    Attack(
        name="events without end",
        what="another tenant's batches of a thousand events",
        run=events_without_end,
    ),
    Attack(
        name="messages of the largest size",
        what="strangers' messages of a megabyte and of five",
        run=messages_of_the_largest_size,
    ),
)
