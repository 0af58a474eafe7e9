"""Feeds ProvisionMany from a process of its own: pre-encoded batches, a few in flight."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from bench.workloads import addresses, batches, hand_over
from homeport.api.provisioning.v1 import provisioning_pb2 as pb

METHOD = "/homeport.api.provisioning.v1.ProvisioningService/ProvisionMany"
AHEAD = 6
GIVE_UP_S = 60.0
LEAVE_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """What one run came to: distinct clients with a home, and a ticket where one was
    wanted; all others failed, also those that no answer spoke of."""

    clients_per_s: float
    clients: int
    failed: int


async def _feed(address: str, run: str, count: int, size: int, with_tickets: bool) -> Bulk:
    import grpc

    messages = batches(run, count, size=size, with_tickets=with_tickets)
    room = asyncio.Semaphore(AHEAD)

    async def requests() -> AsyncIterator[bytes]:
        for message in messages:
            await room.acquire()
            yield message

    options = [("grpc.max_receive_message_length", -1)]
    answers: list[bytes] = []
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        await channel.channel_ready()
        call: Any = channel.stream_stream(METHOD)
        began = time.perf_counter()
        async with asyncio.timeout(GIVE_UP_S):
            async for answer in call(requests()):
                answers.append(answer)
                room.release()
        elapsed_s = time.perf_counter() - began
    homes = {
        result.client_id
        for answer in answers
        for result in pb.ProvisionManyResponse.FromString(answer).results
        if result.HasField("provisioned")
        and result.provisioned.assignment.unit_id
        and bool(result.provisioned.ticket) == with_tickets
    }
    good = len(homes)
    return Bulk(clients_per_s=good / elapsed_s, clients=good, failed=count * size - good)


def _work(
    pipe: Connection,
    known: tuple[str, ...],
    address: str,
    run: str,
    count: int,
    size: int,
    with_tickets: bool,
) -> None:
    import uvloop

    hand_over(known)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    pipe.send(uvloop.run(_feed(address, run, count, size, with_tickets)))


def feed(
    address: str, run: str, count: int, *, size: int = 1_000, with_tickets: bool = False
) -> Bulk:
    """`count` batches of `size` distinct clients over one stream. Raises RuntimeError when
    the process fails."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_work,
        args=(theirs, addresses(), address, run, count, size, with_tickets),
        daemon=True,
    )
    process.start()
    theirs.close()
    try:
        if not ours.poll(2 * GIVE_UP_S):
            raise RuntimeError("the feeding process said nothing for minutes")
        bulk: Bulk = ours.recv()
        process.join(LEAVE_WITHIN_S)
    except EOFError as error:
        raise RuntimeError("the feeding process ended early; its traceback is above") from error
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        ours.close()
    return bulk
