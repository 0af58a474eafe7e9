"""A bare etcd client: batched create-if-absent of our key and value sizes, pipelined.

Requests are serialised before the clock starts and answers are not parsed, so all the time
is etcd's and gRPC's. The best of several numbers in flight counts.

    python -m bench.ceilings.raw_etcd HOST:PORT RUN COUNT     prints clients/s
"""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import time
from typing import Any

import grpc
import uvloop
from etcd3aio._protobuf import Compare, PutRequest, RangeRequest, RequestOp, TxnRequest

from bench.workloads import client_id
from control_plane import keys
from provisioner.ledger.assignment import encode_assignment

BATCH = 120
IN_FLIGHT = (1, 2, 4, 8)


def transactions(run: str, count: int) -> list[bytes]:
    """`count` serialised transactions of BATCH creates each."""
    made = []
    for number in range(count):
        request = TxnRequest()
        for place in range(BATCH):
            key = keys.assignment("default", client_id(run, number % 100, number * BATCH + place))
            value = encode_assignment("ap-northeast", 1, 1_795_526_278_416, "CN:25.4,118.5~121")
            request.compare.append(
                Compare(key=key, target=Compare.CREATE, result=Compare.EQUAL, create_revision=0)
            )
            request.success.append(RequestOp(request_put=PutRequest(key=key, value=value)))
            request.failure.append(RequestOp(request_range=RangeRequest(key=key)))
        made.append(request.SerializeToString())
    return made


async def clients_per_s(endpoint: str, run: str, count: int) -> float:
    """The best rate over the numbers in flight; each writes its own `count` transactions."""
    best = 0.0
    async with grpc.aio.insecure_channel(endpoint) as channel:
        txn: Any = channel.unary_unary("/etcdserverpb.KV/Txn")
        await channel.channel_ready()
        for in_flight in IN_FLIGHT:
            work = iter(transactions(f"{run}{in_flight}", count))

            async def lane(work: object = work) -> None:
                for request in work:  # type: ignore[attr-defined]
                    await txn(request, timeout=30)

            began = time.perf_counter()
            await asyncio.gather(*(lane() for _ in range(in_flight)))
            best = max(best, count * BATCH / (time.perf_counter() - began))
    return best


def measure(endpoint: str, count: int) -> float:
    """The same in a process of its own."""
    run = secrets.token_hex(3)
    words = [sys.executable, "-m", "bench.ceilings.raw_etcd", endpoint, run, str(count)]
    return float(subprocess.run(words, capture_output=True, check=True, timeout=120).stdout)


if __name__ == "__main__":
    print(uvloop.run(clients_per_s(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
