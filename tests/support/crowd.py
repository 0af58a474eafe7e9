"""A crowd of clients that asks servers through ProvisionMany, with what each was answered."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator

import grpc

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from provisioner.geo.database import GeoDatabase
from provisioner.geo.sampling import sample_public_addresses

RETRY_FOR_S = 30.0  # what the refused may take to find the last slots
BATCH = 250


async def ask(
    address: str, clients: list[tuple[str, str]], answers: dict[str, list[pb.ProvisionResult]]
) -> None:
    """Sends clients through ProvisionMany and keeps every answer by client."""

    async def requests() -> AsyncIterator[pb.ProvisionManyRequest]:
        for start in range(0, len(clients), BATCH):
            part = clients[start : start + BATCH]
            yield pb.ProvisionManyRequest(
                without_tickets=True,
                clients=[pb.ClientOrigin(client_id=c, address=a) for c, a in part],
            )

    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.ProvisioningServiceStub(channel)
        async for response in stub.ProvisionMany(requests()):
            for result in response.results:
                answers.setdefault(result.client_id, []).append(result)


def home(result: pb.ProvisionResult) -> str:
    """The unit of an answer; empty for a refusal."""
    return result.provisioned.assignment.unit_id


async def crowd(addresses: list[str], count: int, room: int) -> dict[str, list[pb.ProvisionResult]]:
    """`count` clients, a third of them at two servers at once; the refused try again, at
    whichever server, until all `room` slots are taken or the time is over."""
    rng = random.Random(count)
    places = sample_public_addresses(GeoDatabase.open(), min(count, 20_000), 3)
    clients = [(f"client-{n:06d}", rng.choice(places)) for n in range(count)]
    shares: list[list[tuple[str, str]]] = [[] for _ in addresses]
    for number, client in enumerate(clients):
        first = rng.randrange(len(addresses))
        shares[first].append(client)
        if number % 3 == 0:
            shares[(first + 1) % len(addresses)].append(client)
    answers: dict[str, list[pb.ProvisionResult]] = {}
    end = time.monotonic() + RETRY_FOR_S
    while True:
        await asyncio.gather(*(ask(a, s, answers) for a, s in zip(addresses, shares, strict=True)))
        refused = [c for c in clients if not any(home(r) for r in answers[c[0]])]
        if time.monotonic() > end or len(clients) - len(refused) >= room:
            return answers
        rng.shuffle(refused)
        # A few at a time: what matters is whether a slot is still to be had somewhere.
        some = refused[: max(200, len(refused) // 20)]
        shares = [some[n :: len(addresses)] for n in range(len(addresses))]
