"""What only the asynchronous client has to promise."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

import homeport
from homeport.async_stream import AsyncStream
from homeport.failure import Code
from tests.sdk.client_harness import QUICK


async def test_cancelling_the_task_cancels_the_call(server, service):
    service.hang()
    async with homeport.AsyncClient(server.address) as client:
        task = asyncio.create_task(client.provision("phone"))
        assert await asyncio.to_thread(service.called.wait, 10.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(service.given_up.wait, 10.0)


async def test_cancelling_while_waiting_for_the_next_try_ends_at_once(server, service):
    service.fail(5, retry_after_s=5.0)
    async with homeport.AsyncClient(server.address, timeout_s=60.0) as client:
        task = asyncio.create_task(client.provision("phone"))
        assert await asyncio.to_thread(service.called.wait, 10.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert service.methods() == ["Provision"]


async def test_cancelling_a_stream_ends_it(server, service):
    service.hang()
    async with homeport.AsyncClient(server.address) as client:

        async def collect() -> None:
            async with aclosing(client.provision_many(["phone"])) as results:
                async for _ in results:
                    pass

        task = asyncio.create_task(collect())
        assert await asyncio.to_thread(service.called.wait, 10.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(service.given_up.wait, 10.0)


class SilentCall:
    """As much of a grpc.aio call as a stream reads from: no answer ever comes; once
    `cancelled` is set, the call ends like one that somebody cancelled."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    async def __aiter__(self):
        await self.cancelled.wait()
        raise asyncio.CancelledError
        yield


async def test_a_task_that_is_cancelled_while_it_waits_for_an_answer_ends():
    task = asyncio.create_task(AsyncStream(SilentCall()).receive(60.0))
    await asyncio.sleep(0)  # the task begins
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_that_is_cancelled_under_a_task_is_a_failure_and_leaves_the_task_alone():
    call = SilentCall()
    call.cancelled.set()
    failure = await AsyncStream(call).receive(60.0)
    assert failure.code is Code.UNAVAILABLE


async def test_a_timeout_of_asyncio_works_on_calls(server, service):
    service.hang()
    async with homeport.AsyncClient(server.address) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.provision("phone")


async def test_clients_may_come_from_an_asynchronous_source(server):
    async def clients():
        for n in range(25):
            yield f"phone-{n}"

    async with homeport.AsyncClient(server.address) as client:
        results = [r async for r in client.provision_many(clients(), batch_size=10)]
    assert [r.client_id for r in results] == [f"phone-{n}" for n in range(25)]


async def test_an_error_of_the_source_comes_through(server):
    async def clients():
        yield "phone"
        raise LookupError("the file ended in the middle of a line")

    async with homeport.AsyncClient(server.address) as client:
        with pytest.raises(LookupError, match="in the middle"):
            [r async for r in client.provision_many(clients())]


async def test_closing_ends_a_stream_under_way(server, service):
    service.hang()
    client = homeport.AsyncClient(server.address, retry=QUICK)

    async def collect() -> None:
        async for _ in client.provision_many(["phone"]):
            pass

    task = asyncio.create_task(collect())
    assert await asyncio.to_thread(service.called.wait, 10.0)
    await client.close()
    with pytest.raises(RuntimeError, match="this client is closed"):
        await task


async def test_a_cancelled_task_stays_cancelled_when_the_client_closes_as_well(server, service):
    service.hang()
    client = homeport.AsyncClient(server.address)
    task = asyncio.create_task(client.provision("phone"))
    assert await asyncio.to_thread(service.called.wait, 10.0)
    task.cancel()
    await client.close()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_client_may_be_made_outside_a_loop_but_belongs_to_the_first_that_uses_it(server):
    client = homeport.AsyncClient(server.address)

    async def use() -> homeport.Assignment:
        return await client.provision("phone")

    assert asyncio.run(use()).unit_id == "unit-0"
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(use())


async def test_a_unit_may_be_kept(server):
    async with homeport.AsyncUnit(server.address) as unit:
        with pytest.raises(homeport.Unsupported):
            await unit.admit("ticket")
