"""Greedy tenants: floods of a real data-sharing server, each of another kind of work, and what a
steady tenant beside them waits for its events to be decided.

A flood sends as much as it is let: several callers, each with its next call when the last one is
answered, and with back-off where it is told to come back. The steady tenant publishes some 100
events a second, at random times, each of which a rule fires on, over a connection of its own; the
answer says that it is decided.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import grpc

from homeport.api.cloudevents.v1 import cloudevents_pb2 as ce
from homeport.api.datasharing.v1 import decision_pb2, feed_pb2, rule_pb2
from tests.support.data_sharing_server import submission

PACKAGE = "/homeport.api.datasharing.v1."
STEADY, GREEDY = "steady", "greedy"
STEADY_CALLERS = 4
PAUSE_S = 0.04  # on average, between two events of one of them
CALLERS = 8  # of a flood; of each kind of reads
READS = 3  # kinds
LEAD_S = 0.5  # that a flood has before the steady tenant's events count
BACK_OFF_S = 0.1
FEED = "lab.readings"
OF_ITS_OWN = [("grpc.use_local_subchannel_pool", 1)]  # a connection that is not shared
MANIFEST = json.dumps(
    {
        "application": "lab", "version": "1.0.0",
        "produces": [
            {
                "type": FEED, "shared_with": "everyone",
                "schema": {
                    "type": "object",
                    "properties": {
                        "v": {"type": "number"}, "s": {"type": "string"},
                        "l": {"type": "array", "items": {"type": "number"}},
                    },
                },
                "samples": [{"subject": "a", "data": {"v": 1}}],
            }
        ],
    }
)  # fmt: skip
FIRES = "{{rule: fires-{}, watch: {{e: {{feed: lab.readings}}}}, when: e.data.v > {}.0, do: [{{invoke: {{application: lamp, action: blink}}}}]}}"  # noqa: E501
COUNTS = "{{rule: counts-{}, watch: {{e: {{feed: lab.readings}}}}, windows: {{w: {{feed: lab.readings, over: 1h}}}}, when: window.w.count > {}.0 + 3.0, do: [{{invoke: {{application: lamp, action: blink}}}}]}}"  # noqa: E501
LOOPS = "{{rule: loops-{}, watch: {{e: {{feed: lab.readings}}}}, when: 'e.data.l.exists(x, x > {}.0 + 100.0)', do: [{{invoke: {{application: lamp, action: blink}}}}]}}"  # noqa: E501
STEADY_RULE = "rules: [" + FIRES.format(0, 0) + "]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """name: what it is of. rules: the greedy tenant's. data: of an event, by its number; batch:
    events of a call; subjects: how many keys they have, 0: each its own. one_event_is_long: it
    takes longer than a transaction is to, and nothing can come between. reads: after so many calls
    the tenant reads what came of them, as often and as much as it is let. streams: it publishes
    over streams, whose next batch does not wait for an answer, and not by calls. most_ratio: of the
    steady tenant's p99 to what it is beside nothing."""

    name: str
    rules: str
    data: Callable[[int], dict[str, object]]
    batch: int
    subjects: int = 100
    one_event_is_long: bool = False
    reads: int = 0
    streams: bool = False
    most_ratio: float = 5.0


def _rules(template: str, count: int) -> str:
    return "rules: [" + ", ".join(template.format(n, n) for n in range(count)) + "]"


FLOODS = (
    Flood(
        name="small events", rules="rules: []", data=lambda n: {"v": n}, batch=500, most_ratio=3.0,
    ),
    Flood(
        name="streams of small events", rules="rules: []", data=lambda n: {"v": n}, batch=500,
        streams=True, most_ratio=3.0,
    ),
    Flood(
        name="events that many rules fire on", rules=_rules(FIRES, 50),
        data=lambda n: {"v": 1_000}, batch=50,
    ),
    Flood(
        name="costly rules", rules=_rules(LOOPS, 4),
        data=lambda n: {"l": [round(i / 7, 3) for i in range(5_000)]}, batch=4,
        one_event_is_long=True,
    ),
    Flood(
        name="huge events", rules=_rules(FIRES, 1),
        data=lambda n: {"v": -1, "s": "x" * 60_000}, batch=14,
    ),
    Flood(
        name="many keys of state", rules=_rules(COUNTS, 4), data=lambda n: {"v": n}, batch=100,
        subjects=0,
    ),
    Flood(
        name="lists, explanations and streams of events", rules=_rules(FIRES, 5),
        data=lambda n: {"v": 1_000}, batch=100, reads=20,
    ),
)  # fmt: skip


@dataclass(slots=True)
class Waited:
    """Of the steady tenant: how long each event took to be decided, s, and what failed; and how
    many events of the greedy one were taken meanwhile, and how many calls refused."""

    took: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    greedy: int = 0
    refused: int = 0

    @property
    def p99_s(self) -> float:
        """0 where nothing was decided."""
        took = sorted(self.took)
        return took[int(len(took) * 0.99)] if took else 0.0


def event(name: str, data: dict[str, object], subject: str) -> ce.CloudEvent:
    """Of the feed that both have."""
    return ce.CloudEvent(
        id=name, source="/lab", spec_version="1.0", type=FEED, text_data=json.dumps(data),
        attributes={"subject": ce.CloudEvent.CloudEventAttributeValue(ce_string=subject)},
    )  # fmt: skip


async def prepare(channel: grpc.aio.Channel, greedy_rules: str) -> None:
    """What both have to begin with. May be called again with other rules."""
    for tenant, rules in ((STEADY, STEADY_RULE), (GREEDY, greedy_rules)):
        messages = [one.SerializeToString() for one in submission(MANIFEST, tenant=tenant)]
        submit = channel.stream_unary(PACKAGE + "ApplicationRegistry/SubmitApplication")
        await submit(iter(messages), timeout=60)
        request = rule_pb2.ApplyRulesRequest(tenant=tenant, document=rules)
        await channel.unary_unary(PACKAGE + "RuleService/ApplyRules")(
            request.SerializeToString(), timeout=60
        )


class _Calls:
    """The messages of a flood, made once; ids are put in as bytes of the same length."""

    def __init__(self, flood: Flood, numbers: Iterator[int]) -> None:
        self._flood, self._numbers = flood, numbers
        events = [
            event(f"@{n:06}@@@@@@@@", flood.data(n), self._subject(n)) for n in range(flood.batch)
        ]
        request = feed_pb2.PublishBatchRequest(tenant=GREEDY, events=events)
        self._template = request.SerializeToString()

    def _subject(self, n: int) -> str:
        return f"s{n % self._flood.subjects}" if self._flood.subjects else f"#{n:06}@@@@@@@@"

    def next(self) -> bytes:
        return self._template.replace(b"@@@@@@@@", f"{next(self._numbers):08}".encode())


@asynccontextmanager
async def flooded(
    address: str, flood: Flood, waited: Waited, numbers: Iterator[int]
) -> AsyncIterator[None]:
    """While inside, the greedy tenant floods."""
    calls = _Calls(flood, numbers)

    async def repeat(publish: grpc.aio.UnaryUnaryMultiCallable) -> None:
        while True:
            try:
                await publish(calls.next(), timeout=60)
                waited.greedy += flood.batch
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                waited.refused += 1
                await asyncio.sleep(BACK_OFF_S)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield calls.next()

    async def stream(publish: grpc.aio.StreamStreamMultiCallable) -> None:
        while True:
            try:
                async for _ in publish(endless()):
                    waited.greedy += flood.batch
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                waited.refused += 1
                await asyncio.sleep(BACK_OFF_S)

    async with grpc.aio.insecure_channel(address, options=OF_ITS_OWN) as channel:
        publish = channel.unary_unary(PACKAGE + "FeedService/PublishBatch")
        for _ in range(flood.reads):
            await publish(calls.next(), timeout=60)
        if flood.reads:
            tasks = [
                asyncio.create_task(_read(channel, kind, waited))
                for kind in range(READS)
                for _ in range(CALLERS)
            ]
        elif flood.streams:
            publish_events = channel.stream_stream(PACKAGE + "FeedService/PublishEvents")
            tasks = [asyncio.create_task(stream(publish_events)) for _ in range(CALLERS)]
        else:
            tasks = [asyncio.create_task(repeat(publish)) for _ in range(CALLERS)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task


async def _read(channel: grpc.aio.Channel, kind: int, waited: Waited) -> None:
    """For ever: the tenant's decisions, page by page; all its events; or why one of them led to
    what it did. A read that is refused is made again later."""
    listing = channel.unary_unary(PACKAGE + "DecisionService/ListDecisions")
    explain = channel.unary_unary(PACKAGE + "DecisionService/ExplainDecision")
    tail = channel.unary_stream(PACKAGE + "FeedService/Tail")
    token = ""
    while True:
        try:
            if kind == 0:
                page = decision_pb2.ListDecisionsRequest(
                    tenant=GREEDY, page_size=1_000, page_token=token
                )
                answer = await listing(page.SerializeToString(), timeout=60)
                found = decision_pb2.ListDecisionsResponse.FromString(answer)
                token = found.next_page_token
            elif kind == 1:
                whole = feed_pb2.TailRequest(tenant=GREEDY, after_position=0)
                async for _ in tail(whole.SerializeToString(), timeout=60):
                    pass
            else:
                one = decision_pb2.ExplainDecisionRequest(tenant=GREEDY)
                one.event.position = 1
                await explain(one.SerializeToString(), timeout=60)
            waited.greedy += 1
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            waited.refused += 1
            await asyncio.sleep(BACK_OFF_S)


async def beside(
    address: str, flood: Flood | None, *, for_s: float, numbers: Iterator[int]
) -> Waited:
    """What the steady tenant waits beside a flood; None: beside nothing."""
    waited = Waited()
    async with grpc.aio.insecure_channel(address, options=OF_ITS_OWN) as channel:
        publish = channel.unary_unary(PACKAGE + "FeedService/PublishEvent")

        async def steady(until: float, rng: random.Random) -> None:
            while time.monotonic() < until:
                number = next(numbers)
                one = event(f"steady-{number}", {"v": 1}, f"s{number % 10}")
                request = feed_pb2.PublishEventRequest(tenant=STEADY, event=one)
                began = time.monotonic()
                try:
                    await publish(request.SerializeToString(), timeout=30)
                except grpc.aio.AioRpcError as error:
                    waited.failed.append(f"{error.code().name} {error.details()}")
                else:
                    waited.took.append(time.monotonic() - began)
                await asyncio.sleep(rng.expovariate(1 / PAUSE_S))

        async def all_steady() -> None:
            until = time.monotonic() + for_s
            await asyncio.gather(*(steady(until, random.Random(n)) for n in range(STEADY_CALLERS)))

        if flood is None:
            await all_steady()
        else:
            async with flooded(address, flood, waited, numbers):
                await asyncio.sleep(LEAD_S)
                await all_steady()
    return waited


def numbers() -> Iterator[int]:
    """For the ids of all events of one server."""
    return itertools.count(1)
