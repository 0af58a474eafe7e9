"""Runs a workload from several processes at once and adds up what came back."""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Protocol

from bench.load.blast import Blast

GIVE_UP_S = 120.0


class Workload(Protocol):
    """Which calls to make. Made in each process, from its number; must be picklable."""

    @property
    def path(self) -> str: ...

    def payloads(self, worker: int) -> Sequence[bytes]:
        """Request messages, in order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run came to."""

    per_s: float
    good: int
    failed: int
    p50_ms: float
    p99_ms: float
    kept: tuple[bytes, ...]  # some of the answers, for checking


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    good: int
    failed: int
    began_at: float
    ended_at: float
    latencies_s: tuple[float, ...]
    kept: tuple[bytes, ...]


async def _blast(
    address: str,
    workload: Workload,
    worker: int,
    connections: int,
    in_flight: int,
    pipe: Connection,
) -> _Part:
    payloads = workload.payloads(worker)
    share = len(payloads) // connections
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    blasts: list[Blast] = []
    for number in range(connections):
        part = payloads[number * share : (number + 1) * share]
        blast = Blast(workload.path, address, part, in_flight)
        await loop.create_connection(lambda blast=blast: blast, host, int(port))  # type: ignore[misc]
        blasts.append(blast)
    await asyncio.sleep(0.1)  # settings go both ways before the clock starts
    pipe.send("ready")
    await asyncio.to_thread(pipe.recv)
    for blast in blasts:
        blast.start()
    async with asyncio.timeout(GIVE_UP_S):
        await asyncio.gather(*(blast.finished.wait() for blast in blasts))
    for blast in blasts:
        blast.close()
    offset = time.time() - time.perf_counter()
    return _Part(
        good=sum(b.good for b in blasts),
        failed=sum(b.failed for b in blasts),
        began_at=min(b.began_at for b in blasts) + offset,
        ended_at=max(b.ended_at for b in blasts) + offset,
        latencies_s=tuple(value for b in blasts for value in b.latencies_s),
        kept=tuple(answer for b in blasts for answer in b.kept),
    )


def _work(
    address: str,
    workload: Workload,
    worker: int,
    connections: int,
    in_flight: int,
    pipe: Connection,
) -> None:
    import uvloop

    pipe.send(uvloop.run(_blast(address, workload, worker, connections, in_flight, pipe)))
    pipe.close()


def run(
    address: str,
    workload: Workload,
    *,
    processes: int = 2,
    connections: int = 2,
    in_flight: int = 64,
) -> Outcome:
    """Blasts `workload` at host:port: `processes` times `connections` times `in_flight`
    calls at once. Raises RuntimeError when a process fails."""
    context = multiprocessing.get_context("spawn")
    workers = []
    for number in range(processes):
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_work,
            args=(address, workload, number, connections, in_flight, theirs),
            daemon=True,
        )
        process.start()
        theirs.close()
        workers.append((process, ours))
    try:
        for _, pipe in workers:
            pipe.recv()
        for _, pipe in workers:
            pipe.send("go")
        parts: list[_Part] = [pipe.recv() for _, pipe in workers]
    except EOFError as error:
        raise RuntimeError("a load process ended early; its traceback is above") from error
    finally:
        for process, pipe in workers:
            process.join(GIVE_UP_S)
            pipe.close()
    latencies = sorted(value for part in parts for value in part.latencies_s) or [0.0]
    elapsed_s = max(p.ended_at for p in parts) - min(p.began_at for p in parts)
    good = sum(part.good for part in parts)
    return Outcome(
        per_s=good / elapsed_s,
        good=good,
        failed=sum(part.failed for part in parts),
        p50_ms=statistics.median(latencies) * 1e3,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1e3,
        kept=tuple(answer for part in parts for answer in part.kept),
    )
