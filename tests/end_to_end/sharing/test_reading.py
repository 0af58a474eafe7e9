"""Feeds read over the wire, on both transports: from where, for whom, and by nobody else."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from homeport.api.datasharing.v1 import feed_pb2 as pb
from homeport.api.datasharing.v1 import registry_pb2
from tests.end_to_end.sharing.calls import publish, read
from tests.support.data_sharing_server import submission
from tests.support.submissions import SPEED, event, text


async def test_a_reader_gets_what_comes_and_where_to_go_on(feeds, tenant):
    call = feeds.Tail(pb.TailRequest(tenant=tenant, after_position=0, follow=True), timeout=60)
    await publish(feeds, tenant, event("a"), event("b"))
    seen: list[str] = []
    position = 0
    while len(seen) < 2:
        answer = await call.read()
        seen += [one.event.id for one in answer.events]
        position = answer.position
    await publish(feeds, tenant, event("c"))
    assert [one.event.id for one in (await call.read()).events] == ["c"]
    call.cancel()
    rest = await read(feeds, tenant, after_position=position)
    assert [one.event.id for one in rest] == ["c"]


async def test_a_reader_may_begin_at_a_time_and_ask_for_one_key(feeds, tenant):
    await publish(feeds, tenant, *(event(f"a{n}") for n in range(3)))
    (*_, last) = await read(feeds, tenant)
    later = Timestamp()
    later.FromMilliseconds(last.accept_time.ToMilliseconds() + 1)
    await publish(feeds, tenant, event("a3"))
    roads = [event(f"r{n}", {"road": f"B{n % 2}", "speed_kmh": 1}) for n in range(4)]
    await publish(feeds, tenant, *roads)
    found = await read(feeds, tenant, key="B1")
    assert [one.event.id for one in found] == ["r1", "r3"]
    since = pb.TailRequest(tenant=tenant, from_accept_time=last.accept_time)
    all_since = [one async for answer in feeds.Tail(since, timeout=30) for one in answer.events]
    assert all_since[-1].position == 8
    future = pb.TailRequest(tenant=tenant)
    future.from_accept_time.FromMilliseconds(later.ToMilliseconds() + 10**9)
    assert [one async for answer in feeds.Tail(future, timeout=30) for one in answer.events] == []


async def test_an_application_reads_what_it_consumes_and_is_shared(feeds, registry, tenant):
    await publish(feeds, tenant, event("a"))
    reader = {"application": "reader", "version": "1.0.0"}
    await registry.SubmitApplication(submission(text(reader), tenant=tenant), timeout=30)
    assert await read(feeds, tenant, application="reader") == []
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await read(feeds, tenant, application="reader", feeds=[SPEED])
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "does not say it consumes" in refused.value.details()
    reader |= {"version": "1.1.0", "consumes": [{"feed": SPEED, "purpose": "curiosity"}]}
    await registry.SubmitApplication(submission(text(reader), tenant=tenant), timeout=30)
    assert [one.event.id for one in await read(feeds, tenant, application="reader")] == ["a"]
    listed = await feeds.ListFeeds(
        pb.ListFeedsRequest(tenant=tenant, application="reader"), timeout=10
    )
    assert [(one.type, one.producer, list(one.readers)) for one in listed.feeds] == [
        (SPEED, "traffic", [])
    ]
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await read(feeds, tenant, application="nobody")
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


async def test_tenants_do_not_see_each_other(feeds, registry, tenant):
    await publish(feeds, tenant, event("a"))
    other = f"{tenant}-x"
    assert await read(feeds, other) == []
    (refused,) = await publish(feeds, other, event("b"))
    assert refused.error.code == "NOT_FOUND"
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await registry.GetApplication(
            registry_pb2.GetApplicationRequest(tenant=other, application="traffic"), timeout=10
        )
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND
