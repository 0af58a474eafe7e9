"""Crew: processes that stand by to make calls, all starting at once.

Each keeps its connections from one run to the next. Runs are fixed numbers of calls; the
clock runs from the first call of any process to the last answer of any.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Protocol, Self

from bench.load.blast import Blast
from bench.load.tally import Outcome, Tally, outcome, total

CONNECT_WITHIN_S = 10.0
PREPARE_WITHIN_S = 60.0
GIVE_UP_S = 60.0  # calls that have no answer by then get none
LEAVE_WITHIN_S = 10.0
SETTLE_S = 0.1  # settings go both ways on a new connection before the clock starts


class Workload(Protocol):
    """Which calls to make. Made in each process, from its number; must be picklable."""

    @property
    def path(self) -> str: ...

    def payloads(self, worker: int) -> Sequence[bytes]:
        """Request messages, in order."""
        ...


class Crew:
    """`processes` times `connections` times `in_flight` calls at once. A context manager:
    inside it, the processes stand."""

    def __init__(self, *, processes: int = 2, connections: int = 2, in_flight: int = 64) -> None:
        self._processes = processes
        self._connections = connections
        self._in_flight = in_flight
        self._members: list[tuple[BaseProcess, Connection]] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        for number in range(self._processes):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_work,
                args=(number, self._connections, self._in_flight, theirs),
                daemon=True,
            )
            process.start()
            theirs.close()
            self._members.append((process, ours))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _, pipe in self._members:
            pipe.close()  # which is how they know
        for process, _ in self._members:
            process.join(LEAVE_WITHIN_S)
            if process.is_alive():
                process.kill()
                process.join()
        self._members.clear()

    def run(self, address: str, workload: Workload) -> Outcome:
        """Makes the calls of `workload` at host:port. Calls that fail are counted in the
        outcome. Raises RuntimeError when a process of the crew fails."""
        try:
            for _, pipe in self._members:
                pipe.send((address, workload))
            for _, pipe in self._members:
                _next(pipe, PREPARE_WITHIN_S)
            for _, pipe in self._members:
                pipe.send("go")
            tallies = [_next(pipe, GIVE_UP_S + LEAVE_WITHIN_S) for _, pipe in self._members]
        except (EOFError, BrokenPipeError) as error:
            raise RuntimeError("a load process ended early; its traceback is above") from error
        return outcome([tally for tally in tallies if tally is not None])


def _next(pipe: Connection, within_s: float) -> Tally | None:
    if not pipe.poll(within_s):
        raise RuntimeError(f"a load process said nothing for {within_s:.0f} s")
    said: Tally | None = pipe.recv()
    return said


def _work(number: int, connections: int, in_flight: int, pipe: Connection) -> None:
    """The life of one process."""
    import uvloop

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the crew's owner ends it
    uvloop.run(_stand_by(number, connections, in_flight, pipe))


async def _stand_by(number: int, connections: int, in_flight: int, pipe: Connection) -> None:
    """Runs what it is told until the pipe ends."""
    lines: dict[str, list[Blast]] = {}
    while True:
        try:
            address, workload = await asyncio.to_thread(pipe.recv)
            blasts = lines[address] = await _connected(lines.get(address, []), address, connections)
            _load(blasts, address, workload, number, in_flight)
            pipe.send(None)
            await asyncio.to_thread(pipe.recv)
        except EOFError:
            break
        cpu_s = time.process_time()
        calls = [blast.fire() for blast in blasts]
        _, unfinished = await asyncio.wait(calls, timeout=GIVE_UP_S)
        if unfinished:
            for blast in blasts:
                blast.give_up()
        tally = total([await call for call in calls])
        tally.cpu_s = time.process_time() - cpu_s
        pipe.send(tally)
    for blasts in lines.values():
        for blast in blasts:
            blast.close()


async def _connected(blasts: list[Blast], address: str, connections: int) -> list[Blast]:
    """The connections to an address that are still open, filled up with new ones."""
    standing = [blast for blast in blasts if not blast.closed]
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    missing = connections - len(standing)
    async with asyncio.timeout(CONNECT_WITHIN_S):
        for _ in range(missing):
            _, blast = await loop.create_connection(Blast, host, int(port))
            standing.append(blast)
    if missing:
        await asyncio.sleep(SETTLE_S)
    return standing


def _load(
    blasts: Sequence[Blast], address: str, workload: Workload, number: int, in_flight: int
) -> None:
    """Deals a workload out to the connections."""
    payloads = workload.payloads(number)
    for place, blast in enumerate(blasts):
        blast.load(workload.path, address, payloads[place :: len(blasts)], in_flight)
