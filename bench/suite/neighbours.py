"""How long a tenant's events wait to be decided beside a greedy tenant, next to alone.

Both publish in one process, without transport, so that it is the server's turns that are measured
and not a client's: the steady one some 100 events a second at random times, each of which a rule
fires on; the greedy one batches of 500, eight under way at any time, of which one event in ten
makes five rules fire. From handing an event in to its durable answer.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.suite.deciding import FEED, MATCHING, rules
from bench.suite.measurement import Failed, Measurement, Ratio, Samples
from bench.suite.sharing import DECIDING_SCHEMAS, LAMP, SCHEMA, messages
from data_sharing.api.published_requests import read_batch
from data_sharing.clock import wall_ms
from data_sharing.database import Database
from data_sharing.decisions.instruction_factory import InstructionFactory
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.feed_key import KeyPath
from data_sharing.feeds.feed import Feed
from data_sharing.feeds.intake import Intake
from data_sharing.feeds.publisher import Publisher
from data_sharing.feeds.sqlite_log import SqliteFeedLog
from data_sharing.rules.ruleset import RuleSet
from homeport.api.cloudevents.v1 import cloudevents_pb2
from homeport.api.datasharing.v1 import feed_pb2

STEADY, GREEDY = "bench", "greedy"
CALLERS, PAUSE_S = 4, 0.04  # of the steady tenant: some 100 events a second
BATCH, IN_FLIGHT = 500, 8  # of the greedy one
MADE = 20  # of its batches; their ids are changed before each is sent
FOR_S, QUICK_S = 6.0, 2.0
LEAD_S = 0.3


class _Neighbours:
    """A worker with its log, in a database of its own."""

    def __init__(self, database: Database, worker: DecisionWorker) -> None:
        made = rules(MATCHING, 'e.data.road == "A100"')
        greedy = [dataclasses.replace(one, tenant=GREEDY) for one in made]
        worker.replace_rules(RuleSet([*made[:1], *greedy]))
        log = SqliteFeedLog(database, wall_ms=wall_ms, follower=worker.follow)
        feeds = {
            tenant: Feed(tenant, FEED, "bench", SCHEMA, KeyPath.parse("/subject"))
            for tenant in (STEADY, GREEDY)
        }
        intake = Intake(lambda tenant, type_: feeds[tenant] if type_ == FEED else None)
        self._publisher = Publisher(intake, log, wall_ms=wall_ms, clock=time.monotonic)
        self._numbers = iter(range(1 << 40))
        self.greedy = 0  # events of the greedy tenant that were decided

    async def steady(
        self, one: cloudevents_pb2.CloudEvent, rng: random.Random, until: float
    ) -> list[float]:
        """How long each event took, s."""
        took = []
        while time.monotonic() < until:
            event = cloudevents_pb2.CloudEvent()
            event.CopyFrom(one)
            event.id = f"steady-{next(self._numbers)}"
            request = feed_pb2.PublishBatchRequest(tenant=STEADY, events=[event])
            payload = request.SerializeToString()
            began = time.monotonic()
            await self._publish(STEADY, payload)
            took.append(time.monotonic() - began)
            await asyncio.sleep(rng.expovariate(1 / PAUSE_S))
        return took

    async def flood(self, payloads: Sequence[bytes], until: float) -> None:
        """Until then, and the last batch of it until it is decided."""
        while time.monotonic() < until:
            number = next(self._numbers)
            payload = payloads[number % len(payloads)].replace(b"@@@@@@@@", b"%08d" % number)
            await self._publish(GREEDY, payload)
            self.greedy += BATCH

    async def _publish(self, tenant: str, payload: bytes) -> None:
        envelopes = read_batch(payload).envelopes
        for answer in await self._publisher.publish(tenant, envelopes):
            if not hasattr(answer, "position"):
                raise Failed(f"an event was refused: {answer}")


async def p99_s(folder: Path, payloads: Sequence[bytes], *, flooded: bool, for_s: float) -> float:
    """Of the steady tenant's events. Raises Failed where nothing of the greedy one was decided."""
    database = await Database.open(folder / f"{flooded}.db", DECIDING_SCHEMAS)
    try:
        instructions = InstructionFactory(lambda tenant, application, version: LAMP)
        worker = DecisionWorker(database, instructions, wall_ms=wall_ms)
        await worker.start()
        neighbours = _Neighbours(database, worker)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)  # as the server does
        (one,) = messages(1)
        until = time.monotonic() + LEAD_S + for_s
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT if flooded else 0):
                group.create_task(neighbours.flood(payloads, until))
            await asyncio.sleep(LEAD_S)
            steady = [
                group.create_task(neighbours.steady(one, random.Random(n), until))
                for n in range(CALLERS)
            ]
        if flooded and not neighbours.greedy:
            raise Failed("nothing of the greedy tenant was decided")
        waited = sorted(one for those in steady for one in those.result())
        return waited[int(len(waited) * 0.99)]
    finally:
        await database.close()


def _payloads() -> list[bytes]:
    events = messages(BATCH * MADE)
    for number, one in enumerate(events):
        one.id = f"{number:06}-@@@@@@@@"
    return [
        feed_pb2.PublishBatchRequest(
            tenant=GREEDY, events=events[start : start + BATCH]
        ).SerializeToString()
        for start in range(0, len(events), BATCH)
    ]


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Alternates alone and beside, each on a fresh file."""
    payloads = _payloads()
    for number in range(-1, rounds):
        kept = samples if number >= 0 else Samples()  # round -1 warms everything up
        for_s = QUICK_S if quick or number < 0 else FOR_S
        with tempfile.TemporaryDirectory(dir=".") as folder:
            for name, flooded in (("neighbour_alone_p99_ms", False), ("neighbour_p99_ms", True)):
                run = p99_s(Path(folder), payloads, flooded=flooded, for_s=for_s)
                kept.add(name, 1_000 * asyncio.run(run))
        tick()


NEIGHBOURS = Measurement(
    name="neighbours",
    ratios=(
        Ratio(key="neighbour_p99_vs_alone", ours="neighbour_p99_ms",
              ceiling="neighbour_alone_p99_ms", target=2.0, at_least=False, paired=True),
    ),
    units={
        "neighbour_p99_ms": "ms from an event to its decision, p99, beside a greedy tenant",
        "neighbour_alone_p99_ms": "the same beside nobody",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
