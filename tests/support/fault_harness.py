"""The harness of fault scenarios: a real store, real servers and real client processes, with the
judge watching.

async with fault_harness(folder, members=3) as on:
    on.traffic(processes=2, rate=400)
    ... the fault ...
    outcome = await on.verdict()
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console.local.etcd_process import EtcdCluster, free_ports
from control_plane.store.etcd import EtcdStore
from tests.support import servers
from tests.support.judge.recorder import Recorder, connected, recording
from tests.support.judge.verdict import Verdict
from tests.support.measurements import Measured, lines_of, measure
from tests.support.traffic import TrafficSettings, encode

STOP_S = 40.0  # a call under way may take its whole deadline
SEEN_S = 30.0
LEASE_S = 5
ROOM = {"dublin": 40_000, "virginia": 40_000, "singapore": 30_000, "mumbai": 20_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a scenario came to."""

    verdict: Verdict
    measured: Measured


class FaultServer(servers.Server):
    """With the short lease of the scenarios, and to be frozen."""

    def __init__(self, folder: Path, name: str, store: str, *arguments: str, **more: Any) -> None:
        ttl = f"--session-ttl-s={LEASE_S}"
        super().__init__(folder, name, store, ttl, *arguments, **more)

    def freeze(self) -> None:
        """SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)


@dataclass(slots=True)
class FaultHarness:
    """What runs. Everything started through it ends with it."""

    folder: Path
    url: str
    stack: ExitStack
    recorder: Recorder | None = None  # None: the store is embedded, judged at the end
    store: EtcdStore | None = None
    cluster: Any = None  # an EtcdCluster, or what has its members, endpoints and url
    servers: list[FaultServer] = field(default_factory=list)
    started: int = 0
    crowds: list[subprocess.Popen[bytes]] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)
    log_of: dict[subprocess.Popen[bytes], Path] = field(default_factory=dict)

    def spawn(self, *arguments: str, **more: Any) -> FaultServer:
        """Starts a server, which may never serve; it ends with the harness."""
        self.started += 1
        server = FaultServer(self.folder, f"server-{self.started}", self.url, *arguments, **more)
        self.stack.callback(_end, server.process)
        self.servers.append(server)
        return server

    async def serve(self, count: int = 1, *arguments: str, **more: Any) -> list[FaultServer]:
        """Starts servers, and returns them when they serve."""
        begun = [self.spawn(*arguments, **more) for _ in range(count)]
        for server in begun:
            await asyncio.to_thread(server.__enter__)
        return begun

    async def serve_one(self, *arguments: str, **more: Any) -> FaultServer:
        """One more server, serving."""
        (server,) = await self.serve(1, *arguments, **more)
        return server

    async def serve_at_one_port(self, *arguments: str) -> int:
        """A server at a port that its successors can take over; that port."""
        (port,) = free_ports(1)
        await self.serve_one(f"--listen=127.0.0.1:{port}", *arguments)
        return port

    async def fleet(self, room: Mapping[str, int] = ROOM) -> None:
        """Applies units at the first server and waits until every server places clients."""
        await servers.apply(self.servers[0].address, servers.units(**room))
        if self.recorder is not None:
            await self.until(lambda: set(self.judge.books.units) >= set(room), "the fleet")
        await asyncio.sleep(1.0)  # the servers' own watches; no harm where one is late

    @property
    def judge(self) -> Recorder:
        assert self.recorder is not None
        return self.recorder

    def traffic(
        self,
        *,
        processes: int = 2,
        rate: float = 400.0,
        at: Sequence[servers.Server] = (),
        environment: Mapping[str, str] | None = None,
        **more: Any,
    ) -> list[subprocess.Popen[bytes]]:
        """Starts client processes of `rate` calls per second in all."""
        begun = []
        chosen = [server.address for server in at or self.servers]
        for _ in range(processes):
            number = len(self.logs)
            log = self.folder / f"clients-{number}.ndjson"
            turn = 0 if at else number % len(chosen)  # `at`: the first is asked first
            settings = TrafficSettings(
                name=f"c{number}",
                servers=(*chosen[turn:], *chosen[:turn]),
                log=str(log),
                rate=rate / processes,
                seed=number,
                **more,
            )
            with (self.folder / f"clients-{number}.err").open("w") as sink:
                crowd = subprocess.Popen(
                    [sys.executable, "-m", "tests.support.traffic", encode(settings)],
                    stdout=sink, stderr=sink, env={**os.environ, **(environment or {})},
                )  # fmt: skip
            self.stack.callback(_end, crowd)
            begun.append(crowd)
            self.crowds.append(crowd)
            self.logs.append(log)
            self.log_of[crowd] = log
        return begun

    async def until(
        self, done: Callable[[], bool], what: str, *, within_s: float = SEEN_S
    ) -> float:
        """Waits for something another process does; the monotonic time at which it was seen."""
        end = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < end, f"waited {within_s:.0f} s for {what}"
            await asyncio.sleep(0.02)
        return time.monotonic()

    async def flowing(self, answers: int = 200) -> None:
        """Waits until this many more calls were answered."""
        had = self.answered()
        await self.until(lambda: self.answered() >= had + answers, f"{answers} answers")

    def answered(self) -> int:
        """Lines in the clients' logs."""
        return sum(log.read_bytes().count(b"\n") for log in self.logs if log.exists())

    async def quiet(self, crowds: Sequence[subprocess.Popen[bytes]] = ()) -> None:
        """Ends these client processes, or all; returns when their calls have had answers."""
        chosen = list(crowds or self.crowds)
        for crowd in chosen:
            # One that is still starting does not heed the signal yet, and would just die of it.
            await self.until(self.log_of[crowd].exists, "a client process to begin")
            crowd.send_signal(signal.SIGTERM)
        for crowd in chosen:
            code = await asyncio.to_thread(crowd.wait, STOP_S)
            words = [file.read_text()[-2_000:] for file in self.folder.glob("clients-*.err")]
            assert code == 0, "\n".join(words)
            self.crowds.remove(crowd)

    async def verdict(self) -> Outcome:
        """Ends the traffic and judges everything."""
        await self.quiet()
        assert self.store is not None
        verdict = await self.judge.finish(self.store, self.logs)
        return Outcome(verdict=verdict, measured=measure(self.logs))

    def leader(self) -> Any:
        """The member of the store that leads now."""
        return leader_of(self.cluster)

    def last_writes(self) -> int:
        """Writes acknowledged so far."""
        return sum(
            1 for line in lines_of(self.logs) if line.get("new") or line["outcome"] == "released"
        )


def leader_of(cluster: Any) -> Any:
    """Asks the members' metrics; a cluster between leaders is asked again."""
    end = time.monotonic() + SEEN_S
    while time.monotonic() < end:
        for member in cluster.members:
            try:
                host = getattr(member, "metrics_host", "127.0.0.1")
                url = f"http://{host}:{member.metrics_port}/metrics"
                with urllib.request.urlopen(url, timeout=1.0) as answer:
                    if b"\netcd_server_is_leader 1" in answer.read():
                        return member
            except OSError:
                continue
        time.sleep(0.05)
    raise AssertionError("the cluster has no leader")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


@asynccontextmanager
async def fault_harness(
    folder: Path, *, members: int = 3, arguments: Sequence[str] = ()
) -> AsyncIterator[FaultHarness]:
    """Over an etcd of so many members with etcd's default timings, but for `arguments`."""
    with ExitStack() as stack:
        cluster = EtcdCluster(folder / "etcd", size=members, arguments=arguments)
        stack.callback(cluster.kill)
        await asyncio.to_thread(cluster.start)
        async with fault_harness_over(folder, cluster) as on:
            yield on


@asynccontextmanager
async def fault_harness_over(folder: Path, cluster: Any) -> AsyncIterator[FaultHarness]:
    """Over a store that runs already, and is empty: endpoints, url, members."""
    async with AsyncExitStack() as judging:
        # Two connections: the judge's watch, and its reads when all is over.
        watching = await judging.enter_async_context(connected(cluster.endpoints))
        reading = await judging.enter_async_context(connected(cluster.endpoints))
        recorder = await judging.enter_async_context(recording(watching, folder / "judge.db"))
        with ExitStack() as stack:
            yield FaultHarness(folder, cluster.url, stack, recorder, reading, cluster)


@asynccontextmanager
async def embedded_fault_harness(folder: Path, file: Path) -> AsyncIterator[FaultHarness]:
    """Over an embedded store, which only its server can read: judged when that has ended."""
    with ExitStack() as stack:
        yield FaultHarness(folder, f"embedded:{file}", stack)
