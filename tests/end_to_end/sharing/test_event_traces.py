"""One trace from a published event to the outcome of what it had performed, over two processes."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from homeport.api.datasharing.v1 import feed_pb2 as pb
from homeport.api.datasharing.v1 import feed_pb2_grpc, registry_pb2_grpc, rule_pb2, rule_pb2_grpc
from tests.support.data_sharing_server import SharingServer, submission
from tests.support.platforms import PlatformProcess
from tests.support.submissions import COFFEE, coffee, event, text, traffic
from tests.support.trace_collector import CollectedSpan, TraceCollector

SPAN = "b7ad6b7169203331"
BY_CALL, BY_EVENT = "1" * 32, "2" * 32
RULES = """
rules:
  - rule: brew
    watch: {r: {feed: city.traffic.speed}}
    when: r.data.speed_kmh > 0.0
    do: [{invoke: {application: coffee, action: brew, config: {cups: "3"}, deadline: 10m}}]
"""
PUBLISH = "homeport.api.datasharing.v1.FeedService/PublishEvent"


def parent(trace_id: str) -> str:
    return f"00-{trace_id}-{SPAN}-01"


def path(spans: list[CollectedSpan], name: str) -> list[str]:
    """The names from a span up to where its trace comes into this system."""
    of_id = {one.span_id: one for one in spans}
    (found,) = (one for one in spans if one.name == name)
    names = [found.name]
    while found.parent_id in of_id:
        found = of_id[found.parent_id]
        names.append(found.name)
    assert found.parent_id == SPAN
    return names


@pytest.mark.parametrize("transport", ["native", pytest.param("grpcio", marks=pytest.mark.slow)])
async def test_one_trace_from_the_event_to_the_outcome(tmp_path, transport):
    with TraceCollector() as collector:
        tracing = (f"--otlp-endpoint={collector.endpoint}", "--trace-ratio=0")
        with SharingServer(tmp_path, f"--transport={transport}", *tracing) as server:
            port = int(server.address.rpartition(":")[2])
            async with grpc.aio.insecure_channel(server.address) as channel:
                await _set_up(channel)
                hub = PlatformProcess(tmp_path, port, *tracing)
                try:
                    await hub.ready()
                    feeds = feed_pb2_grpc.FeedServiceStub(channel)
                    await feeds.PublishEvent(
                        pb.PublishEventRequest(event=event("by-call")),
                        metadata=[("traceparent", parent(BY_CALL)), ("tracestate", "a=1")],
                        timeout=30,
                    )
                    told = event("by-event")
                    told.attributes["traceparent"].ce_string = parent(BY_EVENT)
                    told.attributes["tracestate"].ce_string = "b=2"
                    await feeds.PublishEvent(pb.PublishEventRequest(event=told), timeout=30)
                    for trace_id, root in ((BY_CALL, [PUBLISH]), (BY_EVENT, [])):
                        await _check(collector, trace_id, root)
                    await _check_outcomes(feeds)
                finally:
                    assert await hub.stop() == 0


async def _check(collector: TraceCollector, trace_id: str, root: list[str]) -> None:
    wanted = {"sandbox", "record outcome", "send instruction", "perform instruction"}

    def enough(found: list[CollectedSpan]) -> bool:
        return wanted <= {one.name for one in found}

    spans = await asyncio.to_thread(collector.wait, enough, trace_id)
    performing = ["perform instruction", "send instruction", "decide", *root]
    decided = [one for one in spans if one.name == "decide"]
    by_event = [one for one in decided if one.attributes["homeport.feed"] == "city.traffic.speed"]
    kept = [one for one in spans if one.name != "decide" or one in by_event]
    assert path(kept, "sandbox") == ["sandbox", *performing]
    assert path(kept, "record outcome") == ["record outcome", "decide", *root]
    services = {one.name: one.service for one in kept}
    assert services["sandbox"] == services["perform instruction"] == "homeport-platform"
    assert services["decide"] == services["record outcome"] == "homeport-sharing"
    assert not any(one.failed for one in kept)


async def _check_outcomes(feeds: feed_pb2_grpc.FeedServiceStub) -> None:
    """The outcome's own event goes on with the trace."""
    call = feeds.Tail(
        pb.TailRequest(feeds=["homeport.instruction.outcome"], after_position=0, follow=True),
        timeout=30,
    )
    traces = set()
    while len(traces) < 2:
        response = await call.read()
        for one in response.events:
            traces.add(one.event.attributes["traceparent"].ce_string.split("-")[1])
    call.cancel()
    assert traces == {BY_CALL, BY_EVENT}


async def _set_up(channel: grpc.aio.Channel) -> None:
    registry = registry_pb2_grpc.ApplicationRegistryStub(channel)
    for one in (submission(text(traffic())), submission(text(coffee()), COFFEE)):
        answer = await registry.SubmitApplication(one, timeout=60)
        assert answer.WhichOneof("result") == "accepted", answer
    await rule_pb2_grpc.RuleServiceStub(channel).ApplyRules(
        rule_pb2.ApplyRulesRequest(document=RULES), timeout=30
    )
