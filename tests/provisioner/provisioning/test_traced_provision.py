"""What is told of a call of Provision: its steps, and the transactions it was in."""

from __future__ import annotations

import asyncio

import pytest

from control_plane.errors import InvalidInput, ServiceError
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.serving.calls import HotCall
from control_plane.serving.traced_calls import TracedCall, traced_hot
from control_plane.store.embedded import EmbeddedStore
from tests.support.kept_spans import KeptSpans
from tests.support.provisioning_harness import IN_IRELAND, AwaitedSink, provisioning
from tests.support.servers import units

SPAN = "b7ad6b7169203331"
PATH = "/homeport.api.provisioning.v1.ProvisioningService/Provision"
STEPS = ["admit", "locate", "decide", "record", "answer"]


class FakeCall(HotCall):
    """With the metadata it is made with."""

    def __init__(self, trace_id: str) -> None:
        self.payload = b""
        self.sink = AwaitedSink()
        self._metadata = (("traceparent", f"00-{trace_id}-{SPAN}-01"),) if trace_id else ()

    def reply(self, response: bytes) -> None:
        self.sink.reply(response)

    def fail(self, error: ServiceError) -> None:
        self.sink.fail(error)

    def metadata(self):
        return self._metadata

    def peer(self) -> str:
        return "unix:"

    def peer_identity(self) -> None:
        return None

    def time_left_s(self) -> None:
        return None


@pytest.fixture
async def store(tmp_path):
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


@pytest.fixture
def spans() -> KeptSpans:
    return KeptSpans()


def method_of(harness, spans: KeptSpans):
    """Provision, as a server that traces has it; each call for the client of its number."""
    harness.provisioner.traces_calls = True
    harness.ledger.use_tracer(spans.tracer)

    def provision(call: HotCall) -> None:
        client_id = str(call.metadata()[0][1])[3:35] if call.metadata() else "untraced"
        try:
            harness.provisioner.provision(DEFAULT_TENANT, client_id, IN_IRELAND, None, call)
        except InvalidInput as error:
            call.fail(error)

    return traced_hot(PATH, provision, spans.tracer)


async def test_the_steps_of_a_new_client_and_its_transaction_are_within_its_call(store, spans):
    async with provisioning(store, units(dublin=10)) as harness:
        call = FakeCall("a" * 32)
        method_of(harness, spans)(call)
        assert isinstance(await call.sink.answer, bytes)
    for step in STEPS:
        assert spans.path(step) == [step, PATH[1:]]
    assert spans.path("store commit") == ["store commit", "record", PATH[1:]]
    ended = spans.one(PATH[1:])
    assert f"{ended.parent.span_id:016x}" == SPAN
    assert ended.attributes["rpc.grpc.status_code"] == 0
    assert ended.attributes["homeport.unit"] == "dublin"
    starts = [spans.one(step).start_time for step in STEPS]
    assert starts == sorted(starts)
    assert all(spans.one(step).end_time >= spans.one(step).start_time for step in STEPS)


async def test_a_transaction_is_linked_with_every_call_that_it_serves(store, spans):
    async with provisioning(store, units(dublin=100)) as harness:
        method = method_of(harness, spans)
        calls = [FakeCall(f"{number:032x}") for number in range(1, 41)]
        for call in calls:
            method(call)
        await asyncio.gather(*(call.sink.answer for call in calls))
    records = {one.context.span_id: one for one in spans.all() if one.name == "record"}
    commits = [one for one in spans.all() if one.name == "store commit"]
    assert len(records) == len(calls)
    assert len(commits) < len(calls)
    served = [one.parent.span_id for one in commits]
    for commit in commits:
        for link in commit.links:
            served.append(link.context.span_id)
            (back,) = records[link.context.span_id].links
            assert back.context.span_id == commit.context.span_id
    assert sorted(served) == sorted(records)


async def test_a_known_client_a_joined_one_and_a_refused_call_end_their_spans(store, spans):
    async with provisioning(store, units(dublin=10)) as harness:
        method = method_of(harness, spans)
        both = [FakeCall("a" * 32), FakeCall("a" * 32)]
        for call in both:
            method(call)
        await asyncio.gather(*(call.sink.answer for call in both))
        again = FakeCall("a" * 32)
        method(again)
        await again.sink.answer
    assert len([one for one in spans.all() if one.name == PATH[1:]]) == 3
    assert len([one for one in spans.all() if one.name == "answer"]) == 3


async def test_a_call_that_is_not_sampled_is_the_call_itself(spans):
    seen: list[HotCall] = []
    method = traced_hot(PATH, seen.append, spans.tracer)
    unsampled = FakeCall("b" * 32)
    unsampled._metadata = (("traceparent", f"00-{'b' * 32}-{SPAN}-00"),)
    method(unsampled)
    method(FakeCall("c" * 32))
    assert seen[0] is unsampled
    assert isinstance(seen[1], TracedCall)
    seen[1].fail(InvalidInput("x", "wrong"))
    (ended,) = spans.all()
    assert ended.attributes["rpc.grpc.status_code"] == 3
    assert ended.status.is_unset  # the caller's fault is no error of the server
