"""A bare etcd client: batched create-if-absent of our key and value sizes, pipelined.

Requests are serialised before the clock starts and answers are parsed after it stopped, so
all the time is etcd's and gRPC's. In a process of its own:

    python -m bench.ceilings.raw_etcd HOST:PORT RUN COUNT IN_FLIGHT     prints clients/s
"""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc
import uvloop
from etcd3aio._protobuf import Compare, PutRequest, RangeRequest, RequestOp, TxnRequest, TxnResponse

from bench.workloads import bulk_client_id
from control_plane import keys
from provisioner.ledger.assignment_encoding import encode_assignment

BATCH = 120
CALL_WITHIN_S = 30
RUN_WITHIN_S = 120


def transactions(run: str, count: int) -> list[bytes]:
    """`count` serialised transactions of BATCH creates each, which read what is there when
    one of them fails, as ours do."""
    value = encode_assignment(
        "ap-northeast", 1, 1_795_526_278_416, "CN:25.4,118.5~121",
        why='["nearest","database",2234.3,123456]',
    )  # fmt: skip
    made = []
    for number in range(count):
        request = TxnRequest()
        for place in range(BATCH):
            key = keys.assignment("default", bulk_client_id(run, number * BATCH + place))
            request.compare.append(
                Compare(key=key, target=Compare.CREATE, result=Compare.EQUAL, create_revision=0)
            )
            request.success.append(RequestOp(request_put=PutRequest(key=key, value=value)))
            request.failure.append(RequestOp(request_range=RangeRequest(key=key)))
        made.append(request.SerializeToString())
    return made


async def clients_per_s(endpoint: str, run: str, count: int, in_flight: int) -> float:
    """The rate of `count` transactions. Raises RuntimeError when one was refused."""
    answers: list[bytes] = []

    async def send(work: Iterator[bytes], txn: Any) -> None:
        answers.extend([await txn(request, timeout=CALL_WITHIN_S) for request in work])

    async with grpc.aio.insecure_channel(endpoint) as channel:
        await asyncio.wait_for(channel.channel_ready(), CALL_WITHIN_S)
        txn: Any = channel.unary_unary("/etcdserverpb.KV/Txn")
        work = iter(transactions(run, count))
        began = time.perf_counter()
        async with asyncio.TaskGroup() as senders:
            for _ in range(in_flight):
                senders.create_task(send(work, txn))
        elapsed_s = time.perf_counter() - began
    done = sum(TxnResponse.FromString(answer).succeeded for answer in answers)
    if done != count:
        raise RuntimeError(f"etcd applied {done} of {count} transactions")
    return count * BATCH / elapsed_s


def measure(endpoint: str, count: int, in_flight: int) -> float:
    """The same in a process of its own."""
    words = [sys.executable, "-m", "bench.ceilings.raw_etcd", endpoint, secrets.token_hex(3),
             str(count), str(in_flight)]  # fmt: skip
    run = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=RUN_WITHIN_S)
    return float(run.stdout)


if __name__ == "__main__":
    endpoint, run = sys.argv[1:3]
    print(uvloop.run(clients_per_s(endpoint, run, int(sys.argv[3]), int(sys.argv[4]))))
