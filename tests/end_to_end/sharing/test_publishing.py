"""Events over the wire, on both transports: kept, repeated, refused, in batches and streams."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from homeport.api.datasharing.v1 import feed_pb2 as pb
from tests.end_to_end.sharing.calls import publish, read, violation
from tests.support.submissions import event

BATCH = "/homeport.api.datasharing.v1.FeedService/PublishBatch"
STREAM = "/homeport.api.datasharing.v1.FeedService/PublishEvents"


async def test_an_event_is_kept_and_a_repeat_is_told(feeds, tenant):
    request = pb.PublishEventRequest(tenant=tenant, event=event("a"))
    first = await feeds.PublishEvent(request, timeout=10)
    again = await feeds.PublishEvent(request, timeout=10)
    assert (first.position, first.duplicate) == (1, False)
    assert (again.position, again.duplicate) == (1, True)
    (kept,) = await read(feeds, tenant)
    assert kept.key == "A1"
    assert (kept.event.id, kept.event.text_data) == ("a", event("a").text_data)


async def test_a_batch_is_answered_event_by_event(feeds, tenant):
    late = event("late")
    late.attributes["time"].ce_timestamp.CopyFrom(Timestamp(seconds=1))
    results = await publish(
        feeds, tenant, event("a"), event("b", {"road": "A1", "speed_kmh": "fast"}), event("a"),
        event("c", type="nobody.produces.this"), late, event("d", "{nonsense"), event("e"),
    )  # fmt: skip
    told = [(one.position, one.duplicate, one.error.code, one.error.field) for one in results]
    assert told == [
        (1, False, "", ""),
        (0, False, "INVALID_ARGUMENT", "data/speed_kmh"),
        (1, True, "", ""),
        (0, False, "NOT_FOUND", "type"),
        (0, False, "INVALID_ARGUMENT", "time"),
        (0, False, "INVALID_ARGUMENT", "data"),
        (2, False, "", ""),
    ]
    assert [one.event.id for one in await read(feeds, tenant)] == ["a", "e"]


async def test_a_text_that_is_not_utf8_spoils_its_event_alone(channel, feeds, tenant):
    message = pb.PublishBatchRequest(
        tenant=tenant, events=[event("a"), event("MARK"), event("b")]
    ).SerializeToString()
    call = channel.unary_unary(BATCH)
    answer = pb.PublishBatchResponse.FromString(
        await call(message.replace(b"MARK", b"\xff\xfe\xfd\xfc"), timeout=10)
    )
    assert [one.position for one in answer.results] == [1, 0, 2]
    assert "UTF-8" in answer.results[1].error.message


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        pytest.param(b"\xff\xff\xff", "request", id="bytes-that-are-no-message"),
        pytest.param(b"", "events", id="an-empty-batch"),
        pytest.param(b"\x12\x00" * 1001, "events", id="more-than-a-thousand"),
    ],
)
async def test_a_batch_that_is_wrong_as_a_whole_is_refused(channel, payload, field):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await channel.unary_unary(BATCH)(payload, timeout=10)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violation(refused.value) == field


async def test_a_single_refusal_is_a_status_that_names_the_field(feeds, tenant):
    for wrong, code, field in (
        (event("a", {"road": "A1", "speed_kmh": -1}), "INVALID_ARGUMENT", "data/speed_kmh"),
        (event("a", {"speed_kmh": 5}), "INVALID_ARGUMENT", "data"),
        (event("", None), "INVALID_ARGUMENT", "id"),
        (event("a", spec_version="0.3"), "INVALID_ARGUMENT", "specversion"),
        (event("a", type="x"), "NOT_FOUND", ""),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await feeds.PublishEvent(pb.PublishEventRequest(tenant=tenant, event=wrong), timeout=10)
        assert refused.value.code().name == code
        assert violation(refused.value) == field


async def test_a_stream_answers_each_batch_in_order_also_one_at_a_time(feeds, tenant):
    call = feeds.PublishEvents(timeout=60)
    for n in range(3):
        batch = [event(f"{n}-{m}") for m in range(10)]
        await call.write(pb.PublishBatchRequest(tenant=tenant, events=batch))
        answer = await call.read()
        assert [one.position for one in answer.results] == list(range(10 * n + 1, 10 * n + 11))
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF

    async def requests():
        for n in range(20):
            yield pb.PublishBatchRequest(
                tenant=tenant, events=[event(f"many-{n}-{m}") for m in range(100)]
            )

    positions = [
        one.position
        async for answer in feeds.PublishEvents(requests(), timeout=60)
        for one in answer.results
    ]
    assert positions == list(range(31, 2031))


async def test_a_stream_ends_with_the_error_of_its_batch(channel, feeds, tenant):
    good = pb.PublishBatchRequest(tenant=tenant, events=[event("a")]).SerializeToString()

    async def requests():
        yield good
        yield b"\xff\xff"

    call = channel.stream_stream(STREAM)(requests(), timeout=10)
    answer = pb.PublishBatchResponse.FromString(await call.read())
    assert [one.position for one in answer.results] == [1]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
