"""Load that is a multiple of what a server can do, and what the server makes of it.

What saturates a server is its event loop, which has one processor at most. Goodput is of good
answers for each second that it computes, and users arrive by the clock of those seconds: so neither
depends on what else a machine does. As many calls as keep it busy, each made when another has
ended, saturate it and no more.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from simulation.load.calls import Callers
from simulation.load.connections import LoadServers
from simulation.load.counts import LoadSecond
from simulation.load.processes import Followed, LoadJob, LoadProcesses
from simulation.load.processor_clock import used_s
from simulation.load.settings import LoadSettings
from simulation.load.user_kinds import UserKind

BUSY: Final = 256  # calls under way, by which a server is saturated and no more
SOME: Final = 8  # by which it computes at all, so that its clock goes
TOP_PER_S: Final = 12_000.0  # more than a server does in a second of a processor
PREPARED: Final = 20_000  # users who have a home before the clock starts
HTTP_PREPARED: Final = 4_000  # where each is asked for by itself
CONNECTIONS: Final = 32
HTTP_CONNECTIONS: Final = 4_000  # each has one request at a time
SETTLING_S: Final = 10  # that do not count


@dataclass(frozen=True, slots=True, kw_only=True)
class OverloadedServer:
    """address: host:port; pid: of its process, on this machine. http: what is there is HTTP and
    JSON."""

    address: str
    pid: int
    http: bool = False


@dataclass(slots=True, kw_only=True)
class OverloadSecond:
    """What users saw in a second; computed_s: how much of it the event loop had a processor;
    looked: what `look` said at its end."""

    seen: LoadSecond
    computed_s: float
    looked: float


def goodput(seconds: Sequence[OverloadSecond]) -> float:
    """Good answers for each second that the event loop computed."""
    computed_s = sum(one.computed_s for one in seconds)
    return sum(one.seen.good.total() for one in seconds) / computed_s


def saturated(
    server: OverloadedServer, for_s: float, *, look: Callable[[], float] = lambda: 0.0
) -> list[OverloadSecond]:
    """The seconds of a run that keeps a server busy, without those in which it settles. Raises
    LoadFailed."""
    followed = Followed(pid=server.pid, for_s=for_s, at_least=BUSY, speed=0.0)
    return _run(server, TOP_PER_S, followed, look)


def overloaded(
    server: OverloadedServer,
    per_computed_s: float,
    for_s: float,
    *,
    look: Callable[[], float] = lambda: 0.0,
) -> list[OverloadSecond]:
    """The same of a run of so many users for each second that the event loop computes."""
    followed = Followed(pid=server.pid, for_s=for_s, at_least=SOME)
    return _run(server, per_computed_s, followed, look)


def _run(
    server: OverloadedServer, rate_per_s: float, followed: Followed, look: Callable[[], float]
) -> list[OverloadSecond]:
    settings = LoadSettings(
        rate_per_s=rate_per_s,
        duration_s=followed.for_s,
        users=int(rate_per_s * followed.for_s / 2) + (HTTP_PREPARED if server.http else PREPARED),
        mix={UserKind.NEW: 50.0, UserKind.KNOWN: 50.0},
        connections=HTTP_CONNECTIONS if server.http else CONNECTIONS,
    )
    job = LoadJob(
        settings=settings,
        servers=LoadServers(addresses=[server.address]),
        callers=Callers(tenant="default", run=secrets.token_hex(4)),
        followed=followed,
        http=server.http,
    )
    seconds: list[OverloadSecond] = []
    with LoadProcesses(job) as processes:
        processes.prepare(lambda done: None)
        before_s = used_s(server.pid)
        for seen in processes.seconds():
            now_s = used_s(server.pid)
            seconds.append(OverloadSecond(seen=seen, computed_s=now_s - before_s, looked=look()))
            before_s = now_s
    return seconds[SETTLING_S : int(followed.for_s)]
