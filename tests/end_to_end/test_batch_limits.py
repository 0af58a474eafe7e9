"""What holds for single calls holds for streams of batches: quotas of a tenant's record, sizes,
deadlines, connections of an address; and a client that is asked for twice is placed once."""

from __future__ import annotations

import asyncio
import contextlib
import select
import signal
import socket
import uuid
from collections.abc import Iterator, Sequence

import grpc
import pytest

import homeport
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from tests.support import servers
from tests.support.batch_calls import (
    ANSWER_S,
    batch,
    connection,
    counted,
    has_home,
    named,
    placed,
    quota_of,
    refusal,
    tenant_of,
)
from tests.support.certificates import self_signed
from tests.support.etcd import StartEtcd

CONNECTIONS = 6  # of one address
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"  # empty: length, 3; type; flags; stream, 4
CALLS = 100  # of a tenant, at once


@pytest.fixture(scope="module", params=["native", "grpcio"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[servers.Server]:
    folder = tmp_path_factory.mktemp("batches")
    with servers.Server(
        folder, "server", f"embedded:{folder / 'store.db'}", f"--transport={request.param}",
        f"--max-connections-per-address={CONNECTIONS}",
    ) as one:  # fmt: skip
        asyncio.run(servers.apply(one.address, servers.units(dublin=100_000)))
        yield one


async def test_a_batch_over_its_tenants_quota_is_refused_whole(server):
    async with connection(server) as channel:
        tenant = await tenant_of(channel, batched_clients=5)
        other = await tenant_of(channel)
        assert await placed(channel, batch(tenant, named("in", 5))) == ["dublin"] * 5
        over = await refusal(channel, batch(tenant, named("over", 2)))
        assert quota_of(over) == ("batched-clients", "tenant", True)
        assert not await has_home(channel, tenant, "over-0")
        assert not await has_home(channel, tenant, "over-1")
        # Neither another tenant's batches nor the same tenant's single calls are of this quota.
        assert await placed(channel, batch(other, named("in", 50))) == ["dublin"] * 50
        stub = pb_grpc.ProvisioningServiceStub(channel)
        await stub.Provision(pb.ProvisionRequest(tenant=tenant, client_id="one"), timeout=ANSWER_S)


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_batches_of_an_address_are_counted_behind_tls(tmp_path, transport):
    ca, key = self_signed()
    (tmp_path / "tls.pem").write_bytes(ca)
    (tmp_path / "tls.key").write_bytes(key)
    with servers.Server(
        tmp_path, "server", f"embedded:{tmp_path / 'store.db'}", f"--transport={transport}",
        f"--tls-certificate={tmp_path / 'tls.pem'}", f"--tls-key={tmp_path / 'tls.key'}",
    ) as server:  # fmt: skip
        async with connection(server, ca) as first, connection(server, ca) as second:
            tenant = await tenant_of(first, batched_clients__address=5)
            # There is no unit to be placed in, and each client counts all the same.
            assert await placed(first, batch(tenant, named("in", 5))) == [""] * 5
            over = await refusal(second, batch(tenant, named("over", 2)))
            assert quota_of(over) == ("batched-clients", "address", True)


async def test_what_a_stream_had_before_it_went_over_its_quota_stays(server):
    async with connection(server) as channel:
        tenant = await tenant_of(channel, batched_clients=6)
        parts = [batch(tenant, named(f"b{number}", 3)) for number in range(3)]
        over = await refusal(channel, *parts)
        assert quota_of(over) == ("batched-clients", "tenant", True)
        homes = [await has_home(channel, tenant, f"b{number}-0") for number in range(3)]
        assert homes == [True, True, False]


@pytest.mark.parametrize(
    ("count", "padding", "code"),
    [
        pytest.param(1_001, "", grpc.StatusCode.INVALID_ARGUMENT, id="more-clients-than-a-batch"),
        pytest.param(0, "", grpc.StatusCode.INVALID_ARGUMENT, id="no-clients"),
        pytest.param(
            1_000, "x" * 1_100, grpc.StatusCode.RESOURCE_EXHAUSTED, id="more-bytes-than-a-message"
        ),
    ],
)
async def test_too_large_a_batch_ends_its_stream_alone_and_costs_nothing(
    server, count, padding, code
):
    async with connection(server) as channel:
        tenant = await tenant_of(channel, batched_clients=4)
        names = [f"{name}{padding}" for name in named("large", count)]
        assert (await refusal(channel, batch(tenant, names))).code() is code
        assert not await has_home(channel, tenant, "large-0")
        # Over the same connection, and with all of the quota.
        assert await placed(channel, batch(tenant, named("in", 4))) == ["dublin"] * 4


async def test_a_stream_that_stays_open_ends_with_its_deadline_and_keeps_what_it_was_told(server):
    async with connection(server) as channel:
        tenant = await tenant_of(channel)
        call = pb_grpc.ProvisioningServiceStub(channel).ProvisionMany(timeout=1.0)
        await call.write(batch(tenant, named("in", 3)))
        response = await call.read()
        assert [one.provisioned.assignment.unit_id for one in response.results] == ["dublin"] * 3
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await call.read()
        assert told.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert await has_home(channel, tenant, "in-2")


@pytest.mark.slow
async def test_a_stream_without_a_first_message_ends(server):
    async with connection(server) as channel:
        call = pb_grpc.ProvisioningServiceStub(channel).ProvisionMany(timeout=60.0)
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await call.read()
        assert told.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "no message came within" in str(told.value.details())


def idle_connection(server: servers.Server) -> socket.socket:
    """One over which HTTP/2 has begun and no call does."""
    host, _, port = server.address.rpartition(":")
    one = socket.create_connection((host, int(port)), timeout=ANSWER_S)
    one.sendall(PREFACE + SETTINGS)
    return one


def until_closed(idle: Sequence[socket.socket], count: int) -> None:
    """Until the server has closed so many of them, whichever."""
    open_ = set(idle)
    while len(open_) > len(idle) - count:
        told, _, _ = select.select(open_, [], [], ANSWER_S)
        assert told, f"{len(open_)} of {len(idle)} stay open"
        for one in told:
            with contextlib.suppress(ConnectionError):
                if one.recv(4_096):  # SETTINGS come first
                    continue
            open_.remove(one)


async def test_connections_beyond_an_addresss_are_closed_and_streams_in_use_go_on(server):
    async with contextlib.AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(connection(server)) for _ in range(3)]
        tenant = await tenant_of(channels[0])
        calls = [
            pb_grpc.ProvisioningServiceStub(channel).ProvisionMany(timeout=60.0)
            for channel in channels
        ]

        async def told(part: int) -> list[str]:
            units = []
            for number, call in enumerate(calls):
                await call.write(batch(tenant, [f"s{number}-{part}"]))
                response = await call.read()
                units += [one.provisioned.assignment.unit_id for one in response.results]
            return units

        assert await told(0) == ["dublin"] * 3
        idle = [
            stack.enter_context(
                contextlib.closing(await asyncio.to_thread(idle_connection, server))
            )
            for _ in range(2 * CONNECTIONS)
        ]
        beyond = len(idle) + len(channels) - CONNECTIONS
        await asyncio.to_thread(until_closed, idle, beyond)
        assert await told(1) == ["dublin"] * 3
        for call in calls:
            await call.done_writing()


async def test_a_client_that_is_asked_for_twice_at_once_is_placed_once_and_each_call_counts_once(
    server,
):
    """As clients do that hedge: over two connections, one by one and in batches."""
    names = named("twice", 5)
    async with connection(server) as first, connection(server) as second:
        tenant = await tenant_of(first, provisions=10, batched_clients=10)
        before = await counted(first)

        async def single(channel: grpc.aio.Channel, name: str) -> pb.ProvisionResponse:
            stub = pb_grpc.ProvisioningServiceStub(channel)
            request = pb.ProvisionRequest(tenant=tenant, client_id=name)
            return await stub.Provision(request, timeout=ANSWER_S)

        both = await asyncio.gather(
            *(single(channel, name) for name in names for channel in (first, second)),
            placed(first, batch(tenant, names)),
            placed(second, batch(tenant, names)),
        )
        homes = {
            (one.assignment.client_id, one.assignment.unit_id, one.assignment.epoch)
            for one in both[:-2]
        }
        assert homes == {(name, "dublin", 1) for name in names}
        assert both[-2:] == [["dublin"] * 5, ["dublin"] * 5]
        assert await counted(first) == before + 5
        with pytest.raises(grpc.aio.AioRpcError) as over:
            await single(first, names[0])
        assert quota_of(over.value) == ("provisions", "tenant", True)
        assert quota_of(await refusal(second, batch(tenant, names[:1])))[0] == "batched-clients"


async def test_tries_of_the_client_library_that_overlap_place_a_client_once(server):
    """The server stands still while the library tries again and again; then all tries reach it."""
    names = named(f"tried-{uuid.uuid4().hex[:8]}", 20)
    retry = homeport.RetryPolicy(
        attempt_timeout_s=0.2, batch_timeout_s=0.2, initial_backoff_s=0.01, max_backoff_s=0.05
    )
    async with (
        connection(server) as channel,
        homeport.AsyncClient(server.address, timeout_s=ANSWER_S, retry=retry) as client,
    ):
        await client.provision(f"{names[0]}-connected")
        before = await counted(channel)
        server.process.send_signal(signal.SIGSTOP)
        try:
            single = [asyncio.create_task(client.provision(name)) for name in names[:10]]
            many = asyncio.create_task(_all(client, names[10:]))
            await asyncio.sleep(1.0)  # several tries of each
        finally:
            server.process.send_signal(signal.SIGCONT)
        homes = [*await asyncio.gather(*single), *await many]
        assert {home.unit_id for home in homes} == {"dublin"}
        assert {home.epoch for home in homes} == {1}
        assert await counted(channel) == before + len(names)


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["native", pytest.param("grpcio", marks=pytest.mark.slow)])
async def test_tries_that_wait_for_the_store_together_place_a_client_once(
    own_etcd: StartEtcd, tmp_path, transport
):
    """The store stands still: every try reaches the server and waits there beside the one before,
    until it is answered. No more is charged for a client than it was asked for."""
    etcd = own_etcd()
    with servers.Server(tmp_path, "server", etcd.url, f"--transport={transport}") as server:
        await servers.apply(server.address, servers.units(dublin=1_000))
        async with connection(server) as channel:
            tenant = await tenant_of(channel, provisions=CALLS)
            stub = pb_grpc.ProvisioningServiceStub(channel)
            calls = 0

            async def asked(name: str, timeout_s: float = ANSWER_S) -> str:
                nonlocal calls
                calls += 1
                request = pb.ProvisionRequest(tenant=tenant, client_id=name)
                try:
                    answer = await stub.Provision(request, timeout=timeout_s)
                except grpc.aio.AioRpcError as error:
                    return error.code().name
                return f"{answer.assignment.unit_id} {answer.assignment.epoch}"

            async def home(name: str) -> str:
                """Once there is one: slots, and a store that answers."""
                said = await asked(name)
                while said in ("FAILED_PRECONDITION", "UNAVAILABLE"):
                    await asyncio.sleep(0.1)
                    said = await asked(name)
                return said

            assert await home("first") == "dublin 1"
            before = await counted(channel)
            (member,) = etcd.members
            member.freeze()
            try:
                names = named("waits", 5)
                left = await asyncio.gather(*(asked(name, 0.3) for name in names))
                again = [asyncio.create_task(home(name)) for name in names for _ in range(2)]
                await asyncio.sleep(0.1)
            finally:
                member.thaw()
            assert left == ["DEADLINE_EXCEEDED"] * 5
            assert await asyncio.gather(*again) == ["dublin 1"] * 10
            assert await counted(channel) == before + 5
            # Each call was charged once, or, given up before it began, not at all.
            rest = [await asked("first") for _ in range(CALLS - calls)]
            assert set(rest) == {"dublin 1"}
            more = [await asked("first") for _ in range(len(left) + 1)]
            assert "RESOURCE_EXHAUSTED" in more


async def _all(client: homeport.AsyncClient, names: Sequence[str]) -> list[homeport.Assignment]:
    return [
        result.assignment
        async for result in client.provision_many(names)
        if result.assignment is not None
    ]
