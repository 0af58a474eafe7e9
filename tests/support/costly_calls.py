"""Sends attacks to a real data-sharing server, and measures what another tenant notices of them."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message

from homeport.api.datasharing.v1 import feed_pb2, plan_pb2, rule_pb2
from tests.support import costly_inputs
from tests.support.costly_inputs import Attack
from tests.support.data_sharing_server import submission
from tests.support.submissions import SPEED, event, text, traffic

PACKAGE = "/homeport.api.datasharing.v1."
PAUSE_S = 0.01  # between a call and the next of its kind
OF_ITS_OWN = [("grpc.use_local_subchannel_pool", 1)]  # a connection that is not shared
STEADY, HOSTILE = "steady", "hostile"
RULE = """
rules:
  - rule: slow
    watch: {e: {feed: city.traffic.speed}}
    when: e.data.speed_kmh < 20.0
    do: [{invoke: {application: lamp, action: blink}}]
"""
PLAN = "plan: p-{}\nowner: a\nat: 2027-01-01T07:00\nactions: {{x: {{application: a, action: b}}}}\n"


@dataclass(slots=True)
class Noticed:
    """Calls of the steady tenant: how long each took, s, by kind, and what failed."""

    took: dict[str, list[float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return sum(map(len, self.took.values())) + len(self.failed)

    def p99_s(self, kind: str) -> float:
        took = sorted(self.took.get(kind, ()))
        return took[int(len(took) * 0.99)] if took else 0.0


async def send(channel: grpc.aio.Channel, attack: Attack, tenant: str = HOSTILE) -> Any:
    """The status of one call, and its details."""
    return await send_bytes(channel, attack, encoded(attack, tenant))


def encoded(attack: Attack, tenant: str) -> list[bytes]:
    return [one.SerializeToString() for one in attack.make(tenant)]


async def send_bytes(
    channel: grpc.aio.Channel, attack: Attack, messages: Sequence[bytes]
) -> tuple[grpc.StatusCode, str]:
    try:
        if attack.method == costly_inputs.SUBMIT:
            await channel.stream_unary(PACKAGE + attack.method)(iter(messages), timeout=120)
        else:
            (message,) = messages
            await channel.unary_unary(PACKAGE + attack.method)(message, timeout=120)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


async def prepare(channel: grpc.aio.Channel) -> None:
    """What both tenants have to begin with: a feed each, and rules over it."""
    steady = list(submission(text(traffic()), tenant=STEADY))
    hostile = costly_inputs.sound(HOSTILE)
    for messages in (steady, hostile):
        call = channel.stream_unary(PACKAGE + costly_inputs.SUBMIT)
        await call(iter([one.SerializeToString() for one in messages]), timeout=60)
    loops = [
        costly_inputs.rule("e.data.l.map(x, x).size() > 1", "collects"),
        costly_inputs.rule("e.data.l.exists(x, x > 2.0 || x == 7.5)", "loops"),
        costly_inputs.rule("e.data.e.exists(x, x > 900.0)", "looks"),
    ]
    for tenant, document in ((STEADY, RULE), (HOSTILE, costly_inputs.document(*loops))):
        request = rule_pb2.ApplyRulesRequest(tenant=tenant, document=document)
        await channel.unary_unary(PACKAGE + costly_inputs.APPLY)(
            request.SerializeToString(), timeout=60
        )


async def probe(
    channel: grpc.aio.Channel, noticed: Noticed, until: float, ids: Iterator[int]
) -> None:
    """Publishes and has decided, tries rules and makes plans, each one call after another."""
    await asyncio.gather(*(_probe(channel, noticed, until, ids, kind) for kind in KINDS))


KINDS = ("publish", "rules", "plan")


async def _probe(
    channel: grpc.aio.Channel, noticed: Noticed, until: float, ids: Iterator[int], kind: str
) -> None:
    while True:
        method, request = _call(kind, next(ids))
        began = time.monotonic()
        try:
            await channel.unary_unary(PACKAGE + method)(request.SerializeToString(), timeout=30)
        except grpc.aio.AioRpcError as error:
            noticed.failed.append(f"{kind}: {error.code().name} {error.details()}")
        else:
            noticed.took.setdefault(kind, []).append(time.monotonic() - began)
        if time.monotonic() >= until:
            return
        await asyncio.sleep(PAUSE_S)


def _call(kind: str, number: int) -> tuple[str, Message]:
    if kind == "publish":
        made = event(f"e{number}")
        return costly_inputs.PUBLISH, feed_pb2.PublishEventRequest(tenant=STEADY, event=made)
    if kind == "rules":
        sample = json.dumps({"type": SPEED, "data": {"road": "A1", "speed_kmh": 9}})
        return costly_inputs.TEST, rule_pb2.TestRulesRequest(
            tenant=STEADY, document=RULE, events=[sample]
        )
    spec = PLAN.format(number)
    return costly_inputs.PLAN, plan_pb2.CreatePlanRequest(tenant=STEADY, spec=spec)


@asynccontextmanager
async def flood(
    channel: grpc.aio.Channel, attack: Attack, *, callers: int
) -> AsyncIterator[list[grpc.StatusCode]]:
    """So many callers repeat the attack; what they were answered so far."""
    messages, answers = encoded(attack, HOSTILE), list[grpc.StatusCode]()

    async def repeat() -> None:
        while True:
            code, _ = await send_bytes(channel, attack, messages)
            answers.append(code)
            await asyncio.sleep(0.01 if code is not grpc.StatusCode.RESOURCE_EXHAUSTED else 0.5)

    tasks = [asyncio.create_task(repeat()) for _ in range(callers)]
    try:
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def beside(
    address: str, attack: Attack | None, *, for_s: float, ids: Iterator[int], callers: int = 4
) -> Noticed:
    """What the steady tenant notices beside an attack, over channels of their own; None: beside
    nothing."""
    noticed = Noticed()
    async with (
        grpc.aio.insecure_channel(address) as ours,
        grpc.aio.insecure_channel(address, options=OF_ITS_OWN) as theirs,
    ):
        until = time.monotonic() + for_s
        if attack is None:
            await probe(ours, noticed, until, ids)
        else:
            async with flood(theirs, attack, callers=callers):
                await probe(ours, noticed, until, ids)
    return noticed


def numbers() -> Iterator[int]:
    return itertools.count(1)
