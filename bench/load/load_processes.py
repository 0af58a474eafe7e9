"""Load processes: they stand by to make calls, and all start at once.

Each keeps its connections from one run to the next. Runs are fixed numbers of calls; the
clock runs from the first call of any process to the last answer of any. Over HTTP/1.1, which has
one request on a connection at a time, there are as many connections as calls in flight.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from bench.load.connection import LoadConnection
from bench.load.http_connection import HttpConnection
from bench.load.results import CallCounts, LoadResult, load_result, total
from bench.workloads import addresses, hand_over

CONNECT_WITHIN_S = 10.0
PREPARE_WITHIN_S = 60.0
SILENT_S = 30.0  # where no call has ended for so long, those under way get no answer
LONGEST_S = 600.0  # a run, on whatever machine
LEAVE_WITHIN_S = 10.0
SETTLE_S = 0.1  # settings go both ways on a new connection before the clock starts


AnyConnection: TypeAlias = LoadConnection | HttpConnection


class Workload(Protocol):
    """Which calls to make over gRPC. Made in each process, from its number; must be picklable."""

    @property
    def path(self) -> str: ...

    def payloads(self, worker: int) -> Sequence[bytes]:
        """Request messages, in order."""
        ...

    def shown(self, worker: int) -> Sequence[bytes]:
        """Header blocks of the calls, one for each message; none: they show nothing."""
        ...


@dataclass(frozen=True, slots=True)
class HttpWorkload:
    """Which requests to make over HTTP/1.1. requests(worker): whole ones, in order; made in each
    process, from its number; must be picklable."""

    requests: Callable[[int], Sequence[bytes]]


class LoadProcesses:
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
                args=(number, self._connections, self._in_flight, theirs, addresses()),
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

    def run(self, address: str, workload: Workload | HttpWorkload, *, ca: str = "") -> LoadResult:
        """Makes the calls of `workload` at host:port, over TLS where `ca` is the PEM file of the
        server's CA. Calls that fail are counted in the result. Raises RuntimeError when a load
        process fails."""
        try:
            for _, pipe in self._members:
                pipe.send((address, workload, ca))
            for _, pipe in self._members:
                _next(pipe, PREPARE_WITHIN_S)
            for _, pipe in self._members:
                pipe.send("go")
            within_s = LONGEST_S + SILENT_S + LEAVE_WITHIN_S
            counts = [_next(pipe, within_s) for _, pipe in self._members]
        except (EOFError, BrokenPipeError) as error:
            raise RuntimeError("a load process ended early; its traceback is above") from error
        return load_result([one for one in counts if one is not None])


def _next(pipe: Connection, within_s: float) -> CallCounts | None:
    if not pipe.poll(within_s):
        raise RuntimeError(f"a load process said nothing for {within_s:.0f} s")
    said: CallCounts | None = pipe.recv()
    return said


def _work(
    number: int,
    connections: int,
    in_flight: int,
    pipe: Connection,
    known: tuple[str, ...],
) -> None:
    """The life of one process. known: `addresses`, of its parent."""
    import uvloop

    hand_over(known)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    uvloop.run(_stand_by(number, connections, in_flight, pipe))


async def _stand_by(number: int, connections: int, in_flight: int, pipe: Connection) -> None:
    """Runs what it is told until the pipe ends."""
    kept: dict[str, list[AnyConnection]] = {}
    while True:
        try:
            address, workload, ca = await asyncio.to_thread(pipe.recv)
            standing = kept.get(address, [])
            http = isinstance(workload, HttpWorkload)
            count = connections * in_flight if http else connections
            opened = kept[address] = await _connected(standing, address, count, ca, http=http)
            _load(opened, address, workload, number, in_flight)
            pipe.send(None)
            await asyncio.to_thread(pipe.recv)
        except EOFError:
            break
        cpu_s = time.process_time()
        calls = [one.start() for one in opened]
        await _until_ended(calls, opened)
        counts = total([await call for call in calls])
        counts.cpu_s = time.process_time() - cpu_s
        pipe.send(counts)
    for opened in kept.values():
        for one in opened:
            one.close()


async def _until_ended(
    calls: Sequence[asyncio.Future[CallCounts]],
    opened: Sequence[AnyConnection],
    *,
    silent_s: float = SILENT_S,
    longest_s: float = LONGEST_S,
) -> None:
    """Waits for the calls, and gives up those that nothing is heard of. A run that is slow and
    goes on is none of them: its calls are answered."""
    loop = asyncio.get_running_loop()
    end, before = loop.time() + longest_s, -1
    while True:
        _, unfinished = await asyncio.wait(calls, timeout=silent_s)
        if not unfinished:
            return
        ended = sum(one.ended for one in opened)
        if ended == before or loop.time() >= end:
            why = "unanswered" if ended == before else f"no answer within {longest_s:g} s"
            for one in opened:
                one.give_up(why)
            return
        before = ended


async def _connected(
    opened: list[AnyConnection],
    address: str,
    connections: int,
    ca: str,
    *,
    http: bool,
) -> list[AnyConnection]:
    """The connections to an address that are still open, filled up with new ones."""
    standing = [one for one in opened if not one.closed]
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    secured: ssl.SSLContext | None = None
    if ca:
        secured = ssl.create_default_context(cafile=ca)
        secured.set_alpn_protocols(["http/1.1" if http else "h2"])
    made: Callable[[], AnyConnection] = HttpConnection if http else LoadConnection
    missing = connections - len(standing)
    async with asyncio.timeout(CONNECT_WITHIN_S):
        for _ in range(missing):
            _, one = await loop.create_connection(made, host, int(port), ssl=secured)
            standing.append(one)
    if missing:
        await asyncio.sleep(SETTLE_S)
    return standing


def _load(
    opened: Sequence[AnyConnection],
    address: str,
    workload: Workload | HttpWorkload,
    number: int,
    in_flight: int,
) -> None:
    """Deals a workload out to the connections."""
    if isinstance(workload, HttpWorkload):
        requests = workload.requests(number)
        for place, one in enumerate(opened):
            assert isinstance(one, HttpConnection), "an address speaks one protocol"
            one.load(requests[place :: len(opened)])
        return
    payloads, shown = workload.payloads(number), workload.shown(number)
    for place, one in enumerate(opened):
        mine = slice(place, None, len(opened))
        assert isinstance(one, LoadConnection), "an address speaks one protocol"
        one.load(workload.path, address, payloads[mine], in_flight, shown[mine])
