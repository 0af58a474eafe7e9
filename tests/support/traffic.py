"""Traffic of one client process: `python -m tests.support.traffic SETTINGS-AS-JSON`.

New, known, looking and leaving clients through the SDK at an even rate, until SIGTERM; then
what is under way is answered and the process ends. Every call goes into an NDJSON log with
its times and what became of it, in the words of tests/support/judge/journal.py. A client
belongs to one worker, which calls one at a time. Times are CLOCK_MONOTONIC, which all
processes of a machine share and libfaketime leaves alone here.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from homeport import AsyncClient
from homeport.errors import HomeportError, NoRoom, NotFound, Refused

OPERATIONS = {"new": 45, "known": 35, "get": 8, "release": 12}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSettings:
    """Of one process."""

    name: str  # in front of every client id
    servers: tuple[str, ...]
    log: str
    rate: float  # calls per second
    seed: int
    workers: int = 24
    tenant: str = "default"
    timeout_s: float = 15.0  # a call's, retries included
    known_only: bool = False  # no new clients, no releases; `clients` exist already
    clients: tuple[str, ...] = ()  # to begin with


def outcome_of(error: HomeportError) -> dict[str, Any]:
    """What an error says about the client's home."""
    if isinstance(error, NotFound):
        return {"outcome": "none"}
    denied = isinstance(error, NoRoom | Refused)
    return {
        "outcome": "denied" if denied else "error",
        "error": type(error).__name__,
        "message": error.message[:200],
        "attempts": error.attempts,
    }


class Worker:
    """One sequence of calls over clients of its own."""

    def __init__(
        self, settings: TrafficSettings, number: int, client: AsyncClient, log: TextIO
    ) -> None:
        self._settings = settings
        self._number = number
        self._client = client
        self._log = log
        self._rng = random.Random(settings.seed * 1_000 + number)
        self._mine = list(settings.clients[number :: settings.workers])
        self._born = 0

    async def run(self, stop: asyncio.Event) -> None:
        pause_s = self._settings.workers / self._settings.rate
        due = time.monotonic() + self._rng.random() * pause_s
        while not stop.is_set():
            try:
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await stop.wait()
            except TimeoutError:
                await self._one()
                due = max(due + pause_s, time.monotonic() - 2 * pause_s)

    async def _one(self) -> None:
        wanted = OPERATIONS if not self._settings.known_only else {"known": 90, "get": 10}
        kind = self._rng.choices(list(wanted), list(wanted.values()))[0]
        if kind == "new" or not self._mine:
            self._born += 1
            name = f"{self._settings.name}-{self._number}-{self._born}"
            self._mine.append(name)
            await self._call("provision", kind="new", client=name)
        elif kind == "release":
            name = self._mine.pop(self._rng.randrange(len(self._mine)))
            await self._call("release", kind=kind, client=name)
            if self._rng.random() < 0.3:
                self._mine.append(name)  # comes back some day
        else:
            op = "get" if kind == "get" else "provision"
            await self._call(op, kind=kind, client=self._rng.choice(self._mine))

    async def _call(self, op: str, *, kind: str, client: str) -> None:
        timeout_s = self._settings.timeout_s
        wall, began = time.time(), time.monotonic()
        try:
            if op == "release":
                gone = await self._client.release(client, timeout_s=timeout_s)
                told: dict[str, Any] = {"outcome": "released" if gone else "none"}
            else:
                if op == "get":
                    home = await self._client.get(client, timeout_s=timeout_s)
                else:
                    home = await self._client.provision(
                        client, address=self._address(client), timeout_s=timeout_s
                    )
                told = {
                    "outcome": "home",
                    "unit": home.unit_id,
                    "epoch": home.epoch,
                    "new": op == "provision" and not home.existing,
                }
                if home.stale:
                    told["stale"] = True
        except HomeportError as error:
            told = outcome_of(error)
        line = {
            "client": f"{self._settings.tenant}/{client}",
            "op": op,
            "kind": kind,
            "t0": began,
            "t1": time.monotonic(),
            "w0": wall,
            "w1": time.time(),
        }
        self._log.write(json.dumps(line | told) + "\n")

    def _address(self, client: str) -> str:
        rng = random.Random(client)
        return f"{rng.randint(1, 99)}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.7"


async def run(settings: TrafficSettings, open_log: Callable[[], TextIO]) -> None:
    """Until SIGTERM or SIGINT, which it heeds once its log is there."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with open_log() as log:
        async with (
            AsyncClient(settings.servers, tenant=settings.tenant) as client,
            asyncio.TaskGroup() as group,
        ):
            for number in range(settings.workers):
                group.create_task(Worker(settings, number, client, log).run(stop))


def main() -> None:
    settings = decode(sys.argv[1])
    # Line by line: whatever ends this process, what was answered is on record.
    asyncio.run(run(settings, partial(Path(settings.log).open, "w", buffering=1)))


def encode(settings: TrafficSettings) -> str:
    """For the command line."""
    return json.dumps(asdict(settings))


def decode(text: str) -> TrafficSettings:
    """Of the command line."""
    told = json.loads(text)
    return TrafficSettings(
        **told | {"servers": tuple(told["servers"]), "clients": tuple(told["clients"])}
    )


if __name__ == "__main__":
    main()
