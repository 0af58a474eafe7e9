"""A bare etcd client that claims names: transactions over four keys, one claim each, pipelined.

Each compares four keys, those of a claim, of its account's record, of the account's assignment and
of a proof, and writes the first two: what has to be so for one claim by itself. Nothing is read
before, nothing is checked. Requests are serialised before the clock starts and answers are parsed
after it stopped. In a process of its own:

    python -m bench.ceilings.raw_claims HOST:PORT RUN COUNT IN_FLIGHT     prints claims/s
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
from etcd3aio._protobuf import Compare, PutRequest, RequestOp, TxnRequest, TxnResponse

from bench.workloads import client_id, handle
from control_plane import keys
from provisioner.directory.claims import DirectoryAccount, DirectoryClaim, Holder, Listed, encode

CALL_WITHIN_S = 30
RUN_WITHIN_S = 120
REQUEST = "0" * 32  # an id as the server makes them
FIRST_MS = 1_795_526_278_416


def transactions(run: str, count: int) -> list[bytes]:
    """`count` serialised transactions for accounts that nobody has asked for."""
    return [_transaction(client_id(run, 99, one), handle(run, 99, one)) for one in range(count)]


def _transaction(account: str, name: str) -> bytes:
    holder = Holder(account=account, life_ms=FIRST_MS, proved_ms=FIRST_MS, findable=True)
    claim = encode(DirectoryClaim(holders=(holder,), handle=name, request=REQUEST))
    stored = f"1.{name}"
    listed = Listed(key=stored, request=REQUEST, handle=name)
    record = encode(DirectoryAccount(listed=(listed,), epoch=1, life_ms=FIRST_MS))
    at = keys.handle_claim("default", stored)
    record_at = keys.directory_account("default", account)
    compared = (
        at, record_at, keys.assignment("default", account),
        keys.directory_proof("default", "tel", stored, account),
    )  # fmt: skip
    request = TxnRequest()
    for key in compared:
        request.compare.append(
            Compare(key=key, target=Compare.MOD, result=Compare.EQUAL, mod_revision=0)
        )
    for key, value in ((at, claim), (record_at, record)):
        request.success.append(RequestOp(request_put=PutRequest(key=key, value=value)))
    return bytes(request.SerializeToString())


async def claims_per_s(endpoint: str, run: str, count: int, in_flight: int) -> float:
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
        raise RuntimeError(f"etcd applied {done} of {count} claims")
    return count / elapsed_s


def measure(endpoint: str, count: int, in_flight: int) -> float:
    """The same in a process of its own."""
    words = [sys.executable, "-m", "bench.ceilings.raw_claims", endpoint, secrets.token_hex(4),
             str(count), str(in_flight)]  # fmt: skip
    run = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=RUN_WITHIN_S)
    return float(run.stdout)


if __name__ == "__main__":
    endpoint, run = sys.argv[1:3]
    print(uvloop.run(claims_per_s(endpoint, run, int(sys.argv[3]), int(sys.argv[4]))))
