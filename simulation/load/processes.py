"""The processes of a load: each has users of its own, and all start at one moment.

What they see comes second by second, and is put together here. A process that ends early ends the
load: its users would be missing, and nobody would know.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from provisioner.geo.countries import countries
from provisioner.geo.location import Location
from simulation.load.calls import CallEncoder, Callers
from simulation.load.connections import Connections, LoadServers
from simulation.load.counts import LoadSecond, together
from simulation.load.events.http_connection import HttpUserConnection
from simulation.load.events.outcomes import follow_outcomes
from simulation.load.events.publishing import EventJob, event_loop_of
from simulation.load.http_calls import HttpCallEncoder, HttpRecorder
from simulation.load.open_loop import OpenLoop
from simulation.load.plan import LoadPlan, Longitudes, plan_of
from simulation.load.processor_clock import ProcessorClock, used_s
from simulation.load.recorder import Recorder
from simulation.load.settings import LoadSettings
from simulation.population.population import Population, load_population

SILENT_S = 120.0  # a process that says nothing for so long is stuck
LEAVE_WITHIN_S = 5.0
READS_OUTCOMES = -1  # the number of the process that does
START_IN_S = 0.3  # from the word to the first arrival, so that all have heard it


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A server by whose event loop's processor time users arrive, for so many seconds at most; so
    many of their calls are always under way, or it would have nothing to do and time would stand
    still. speed: seconds of the plan for each second of that; 0.0: these calls are all there is."""

    pid: int
    for_s: float
    at_least: int
    speed: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadJob:
    """All that a process needs. geo: the database that users are spread over; None: the bundled
    one. followed: None: users arrive by the clock on the wall. events: users publish events in
    place of calling for a home; `callers` do not count then."""

    settings: LoadSettings
    servers: LoadServers
    callers: Callers
    geo: Path | None = None
    followed: Followed | None = None
    events: EventJob | None = None
    http: bool = False  # `servers` speak HTTP and JSON


class LoadFailed(Exception):
    """The load could not be made; the message says why."""


class LoadProcesses:
    """A context manager: inside it, the processes stand. `prepare`, then `seconds`."""

    def __init__(self, job: LoadJob) -> None:
        self._job = job
        self._members: list[tuple[BaseProcess, Connection]] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        numbers = list(range(self._job.settings.processes))
        if self._job.events is not None:
            numbers.append(READS_OUTCOMES)
        for number in numbers:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(self._job, number, theirs), daemon=True)
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

    def prepare(self, heard: Callable[[int], None]) -> tuple[int, int]:
        """Connects, and gives the known users a home; how many there are, and how many found none.
        heard: how many are done. Raises LoadFailed."""
        done: dict[Connection, int] = {}
        prepared, homeless, left = 0, 0, {pipe for _, pipe in self._members}
        for pipe, (word, value) in self._said(left):
            if word == "prepared":
                done[pipe] = value
                heard(sum(done.values()))
            else:
                users, none = value
                prepared, homeless = prepared + users, homeless + none
                left.discard(pipe)
        return prepared, homeless

    def seconds(self) -> Iterator[LoadSecond]:
        """Starts the clock; each second as it is over for all. Raises LoadFailed."""
        began_s = time.monotonic() + START_IN_S
        left = {pipe for _, pipe in self._members}
        last = {self._members[-1][1]} if self._job.events is not None else set()
        due = 0
        for pipe in left:
            pipe.send(began_s)
        parts: dict[int, list[LoadSecond]] = defaultdict(list)
        reached = dict.fromkeys(left, -1)
        following = 0
        for pipe, (word, value) in self._said(left):
            if word == "second":
                parts[value.second].append(value)
                reached[pipe] = value.second
                due += value.outcomes_due
            else:
                left.discard(pipe)
                del reached[pipe]
                if left == last:  # all is published: so many outcomes must come
                    for pipe in left:
                        pipe.send(due)
            upto = min(reached.values(), default=max(parts, default=-1))
            while following <= upto:
                yield together(parts.pop(following, []), following)
                following += 1

    def _said(self, left: set[Connection]) -> Iterator[tuple[Connection, tuple[str, Any]]]:
        """What processes say, until none is left of whom more is wanted."""
        while left:
            ready = wait(list(left), SILENT_S)
            if not ready:
                raise LoadFailed(f"a load process said nothing for {SILENT_S:.0f} s")
            for pipe in ready:
                assert isinstance(pipe, Connection)
                try:
                    word, value = pipe.recv()
                except (EOFError, ConnectionResetError) as error:
                    raise LoadFailed("a load process ended early") from error
                if word == "failed":
                    raise LoadFailed(value)
                yield pipe, (word, value)


def _work(job: LoadJob, number: int, pipe: Connection) -> None:
    """The life of one process."""
    import uvloop

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    try:
        if job.events is None:
            uvloop.run(_run(job, number, pipe))
        elif number == READS_OUTCOMES:
            uvloop.run(_follow(job, job.events, pipe))
        else:
            uvloop.run(_publish(job, job.events, number, pipe))
    except (BrokenPipeError, EOFError):
        pass  # nobody wants to know any more
    except (OSError, TimeoutError) as error:
        why = str(error) or "no answer"
        pipe.send(("failed", f"{', '.join(job.servers.addresses)} cannot be reached: {why}"))


async def _run(job: LoadJob, number: int, pipe: Connection) -> None:
    population = load_population(job.geo)
    plan = plan_of(job.settings, number, longitudes_of(population, job.settings))
    settings, servers = job.settings, job.servers
    make = HttpCallEncoder if job.http else CallEncoder
    encoder = make(
        job.callers,
        population,
        authority=servers.addresses[0],
        scheme=servers.scheme,
        seed=settings.seed,
        timeout_s=settings.timeout_s,
    )
    recorder = (HttpRecorder if job.http else Recorder)(time.process_time)
    loop = OpenLoop(
        servers,
        settings,
        encoder,
        recorder,
        clock=time.monotonic,
        tell=lambda second: pipe.send(("second", second)),
        pool=partial(Connections, servers, settings.connections, make=HttpUserConnection)
        if job.http
        else None,
        **_paced(job.followed),
    )
    await loop.connect()
    homeless = await loop.prepare(
        plan.prepared, encoder, lambda done: pipe.send(("prepared", done))
    )
    await _play(loop, plan, pipe, (len(plan.prepared), homeless))


async def _publish(job: LoadJob, events: EventJob, number: int, pipe: Connection) -> None:
    population = load_population(job.geo)
    loop, plan = event_loop_of(
        events,
        job.settings,
        job.servers,
        process=number,
        population=population,
        longitudes=longitudes_of(population, job.settings),
        tell=lambda second: pipe.send(("second", second)),
    )
    await loop.connect()
    await _play(loop, plan, pipe, (0, 0))


async def _play(
    loop: OpenLoop, plan: LoadPlan, pipe: Connection, standing: tuple[int, int]
) -> None:
    pipe.send(("standing", standing))
    began_s = await asyncio.to_thread(pipe.recv)
    gc.collect()
    gc.freeze()
    await loop.run(plan, began_s)
    pipe.send(("over", None))


async def _follow(job: LoadJob, events: EventJob, pipe: Connection) -> None:
    """The process that reads outcomes."""
    pipe.send(("standing", (0, 0)))
    await follow_outcomes(
        events,
        job.servers,
        begin=pipe.recv,
        expected=lambda: pipe.recv() if pipe.poll() else None,
        tell=lambda second: pipe.send(("second", second)),
    )
    pipe.send(("over", None))


def _paced(followed: Followed | None) -> dict[str, Any]:
    """What an OpenLoop is told of it."""
    if followed is None:
        return {}
    clock = ProcessorClock(partial(used_s, followed.pid), speed=followed.speed)
    return {"pace": clock, "for_s": followed.for_s, "at_least": followed.at_least}


def longitudes_of(population: Population, settings: LoadSettings) -> Longitudes:
    """Where users live, for plans: of the middle of their country, where the database knows no
    better."""
    known = countries()

    def of_place(place: Location | None) -> float:
        if place is None:
            return 0.0
        if place.longitude is not None:
            return place.longitude
        return known[place.country].longitude if place.country in known else 0.0

    def longitudes(users: NDArray[np.int64]) -> NDArray[np.float64]:
        found = np.array([of_place(place) for place in population.places])
        places = population.places_of(0, settings.users, settings.seed)
        return found[places[users]]

    return longitudes
