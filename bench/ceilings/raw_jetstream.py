"""Bare JetStream: events published in atomic batches, a few under way, each acknowledged once it is
durable on all replicas. Nothing is read, checked or expected."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence

from nats.aio.client import Client
from nats.errors import NoRespondersError

ANSWER_S = 60.0
PAUSE_S = 0.02
GROUPS = ((100, 10), (1_000, 2))  # events in a batch, and batches under way


async def events_per_s(
    client: Client, events: Sequence[bytes], size: int, under_way: int, replicas: int
) -> float:
    """Events a second into a stream that is made for it and removed; `size` a batch."""
    name = f"raw-{size}"
    await _api(client, f"STREAM.CREATE.{name}", {
        "name": name, "subjects": [name], "storage": "file", "num_replicas": replicas,
        "allow_atomic": True,
    })  # fmt: skip
    await _answered(client, name)
    starts = iter(range(0, len(events), size))

    async def publish() -> None:
        for start in starts:
            some = events[start : start + size]
            for number, event in enumerate(some, start=1):
                headers = {"Nats-Batch-Id": f"b{start}", "Nats-Batch-Sequence": str(number)}
                if number < len(some):
                    await client.publish(name, event, headers=headers)
                    continue
                headers["Nats-Batch-Commit"] = "1"
                answer = await client.request(name, event, headers=headers, timeout=ANSWER_S)
                found = json.loads(answer.data)
                if found.get("count", 1) != len(some):
                    raise ValueError(f"a batch was not kept: {found}")

    try:
        began = time.perf_counter()
        await asyncio.gather(*(publish() for _ in range(under_way)))
        return len(events) / (time.perf_counter() - began)
    finally:
        await _api(client, f"STREAM.DELETE.{name}", {})


async def _answered(client: Client, name: str) -> None:
    """Waits until the server that this client is connected to knows of the stream: another one has
    made it. Raises TimeoutError."""
    async with asyncio.timeout(ANSWER_S):
        while True:
            try:
                await client.request(name, b"first", timeout=ANSWER_S)
                return
            except NoRespondersError:
                await asyncio.sleep(PAUSE_S)


async def _api(client: Client, what: str, body: dict[str, object]) -> None:
    answer = await client.request(f"$JS.API.{what}", json.dumps(body).encode(), timeout=ANSWER_S)
    found = json.loads(answer.data)
    if "error" in found:
        raise ValueError(f"{what}: {found['error']['description']}")
