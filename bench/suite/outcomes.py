"""From publishing an event to the recorded outcome of what it caused.

A server and a platform, processes of their own on this machine; each event makes a rule invoke
the sample command in its sandbox, and its outcome comes back as an event, which is read along.
First it is found how many a second they keep up with, then events are published at half that
rate, on a fixed schedule: an event that had to wait counts from when it was due.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc

from bench.suite.measurement import Failed, Measurement, Samples
from bench.suite.processes import process, scratch
from homeport.api.cloudevents.v1 import cloudevents_pb2
from homeport.api.datasharing.v1 import (
    feed_pb2,
    feed_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
    rule_pb2,
    rule_pb2_grpc,
)

COFFEE = Path("data-sharing/applications/coffee")
EVENTS = 1_000
WAIT_S = 120.0
RULES = """
rules:
  - rule: every
    watch: {t: {feed: city.traffic.speed}}
    when: t.data.speed_kmh >= 0.0
    do: [{invoke: {application: coffee, action: brew, config: {cups: 2}}}]
"""


def message(name: str) -> cloudevents_pb2.CloudEvent:
    event = cloudevents_pb2.CloudEvent(
        id=name,
        source="/traffic",
        spec_version="1.0",
        type="city.traffic.speed",
        text_data=json.dumps({"route": "r", "speed_kmh": 50, "minutes": 30}),
    )
    event.attributes["subject"].ce_string = name
    return event


class Bench:
    """A connection to the server; outcomes are seen by the event that caused them."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.feeds = feed_pb2_grpc.FeedServiceStub(channel)
        self.registry = registry_pb2_grpc.ApplicationRegistryStub(channel)
        self.rules = rule_pb2_grpc.RuleServiceStub(channel)
        self.ended: list[float] = []
        self._enough = asyncio.Event()
        self._wanted = 0

    async def set_up(self) -> None:
        traffic = (COFFEE.parent / "traffic" / "manifest.yaml").read_text()
        coffee = (COFFEE / "manifest.yaml").read_text()
        for manifest, artifact in (
            (traffic, b""),
            (coffee, (COFFEE / "coffee.wasm").read_bytes()),
        ):

            async def parts(
                manifest: str = manifest, artifact: bytes = artifact
            ) -> AsyncIterator[registry_pb2.SubmitApplicationRequest]:
                head = registry_pb2.SubmissionHead(manifest=manifest)
                yield registry_pb2.SubmitApplicationRequest(head=head)
                yield registry_pb2.SubmitApplicationRequest(artifact=artifact)

            verdict = await self.registry.SubmitApplication(parts(), timeout=WAIT_S)
            if verdict.WhichOneof("result") != "accepted":
                raise Failed(f"the sample is not accepted: {verdict}")
        await self.rules.ApplyRules(rule_pb2.ApplyRulesRequest(document=RULES), timeout=WAIT_S)

    async def follow(self) -> None:
        """Outcomes as they are recorded, until cancelled."""
        request = feed_pb2.TailRequest(feeds=["homeport.instruction.outcome"], follow=True)
        async for answer in self.feeds.Tail(request):
            now = time.perf_counter()
            for one in answer.events:
                if json.loads(one.event.text_data or one.event.binary_data)["status"] != "done":
                    raise Failed("an instruction did not end as done")
                self.ended.append(now)
            if len(self.ended) >= self._wanted:
                self._enough.set()

    async def all_of(self, count: int) -> None:
        self._wanted = count
        self._enough.clear()
        if len(self.ended) < count:
            async with asyncio.timeout(WAIT_S):
                await self._enough.wait()

    async def burst_per_s(self, count: int) -> float:
        """Outcomes a second when all events are there at once."""
        before, began = len(self.ended), time.perf_counter()
        for start in range(0, count, 500):
            some = [message(f"b{before}-{start + n}") for n in range(min(500, count - start))]
            await self.feeds.PublishBatch(feed_pb2.PublishBatchRequest(events=some), timeout=WAIT_S)
        await self.all_of(before + count)
        return count / (time.perf_counter() - began)

    async def latencies_ms(self, count: int, per_s: float) -> list[float]:
        """Of each event, in the order of outcomes, which is nearly that of events."""
        before, began = len(self.ended), time.perf_counter() + 0.1
        due = [began + number / per_s for number in range(count)]

        async def publish(number: int) -> None:
            await asyncio.sleep(max(0.0, due[number] - time.perf_counter()))
            request = feed_pb2.PublishEventRequest(event=message(f"l{before}-{number}"))
            await self.feeds.PublishEvent(request, timeout=WAIT_S)

        await asyncio.gather(*(publish(number) for number in range(count)))
        await self.all_of(before + count)
        ended = self.ended[before : before + count]
        return sorted((end - at) * 1_000 for end, at in zip(ended, due, strict=True))


async def run(samples: Samples, rounds: int, count: int, tick: Callable[[], None]) -> None:
    with scratch() as folder:
        server = [
            "--data-dir", str(folder / "server"), "--listen", "127.0.0.1:0",
            "--http-listen", "", "--metrics-listen", "",
        ]  # fmt: skip
        with process("data_sharing", server, folder) as serving:
            async with grpc.aio.insecure_channel(serving["grpc"]) as channel:
                bench = Bench(channel)
                await bench.set_up()
                platform = [
                    "--name", "bench", "--applications", "coffee", "--server", serving["grpc"],
                    "--data-dir", str(folder / "platform"),
                ]  # fmt: skip
                with process("data_sharing.platforms", platform, folder):
                    following = asyncio.create_task(bench.follow())
                    await asyncio.sleep(0.5)
                    await bench.burst_per_s(count // 4)  # warms everything up
                    for _ in range(rounds):
                        per_s = await bench.burst_per_s(count)
                        samples.add("outcomes_per_s", per_s)
                        taken = await bench.latencies_ms(count, per_s / 2)
                        samples.add("event_to_outcome_p50_ms", taken[len(taken) // 2])
                        samples.add("event_to_outcome_p99_ms", taken[len(taken) * 99 // 100])
                        tick()
                    following.cancel()


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Bursts and half load in turn."""
    asyncio.run(run(samples, rounds, EVENTS // (5 if quick else 1), tick))


OUTCOMES = Measurement(
    name="publishing to outcomes",
    ratios=(),
    units={
        "outcomes_per_s": "instructions/s, published to recorded",
        "event_to_outcome_p50_ms": "ms, at half load",
        "event_to_outcome_p99_ms": "ms, at half load",
    },
    run=measure,
    steps=lambda rounds: rounds,
)
