"""Accounts in a unit: messages that are kept, and moving all of it to another unit.

Messages: requests of SendMessage, 64 under way, each kept for its sender and for one member in one
transaction: ticket checked, identifiers, members and audience looked at, durable. In this process,
on the event loop and with the collector of an agent, and without transport. The ceiling: bare
SQLite that inserts the same two rows a message, with the same indexes, in the best of two group
sizes.

Moving: one account of messages, exported, imported and committed, while another account of the
receiving unit is changed every five milliseconds; how long its changes take is beside it.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from bench.suite.measurement import Failed, Measurement, Ratio, Samples, Target, divisor
from bench.suite.processes import scratch
from control_plane.identity.admission import TicketVerifier
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from control_plane.process import run_on_uvloop
from control_plane.serving.gc_freeze import freeze_gc
from deployment_units.agent.keeping import PARTS, wall_ms
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations import kept
from deployment_units.services.conversations.arrivals import Arrivals
from deployment_units.services.conversations.card_checks import CardChecks
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.conversations.service import ConversationService
from deployment_units.services.gateway.agenda import Agenda
from deployment_units.services.gateway.sending import MessageSender
from deployment_units.services.state.accounts import AccountState
from deployment_units.services.state.database import UnitDatabase
from homeport.api.communication.v1 import conversation_pb2 as pb

TENANT = "bench"
MESSAGES = 20_000
UNDER_WAY = 64
GROUPS = (64, 1_024)
MOVED = 60_000  # messages of the account that moves: some 25 MiB
TEXT = "x" * 400
OTHERS_EVERY_S = 0.005
_CHUNK = 256 << 10
_USUAL = (0, b"", 1, "", "")  # time, and that of a message that is no revision


class _Call:
    """A call that shows a ticket."""

    def __init__(self, ticket: str) -> None:
        self._metadata = (("authorization", f"Bearer {ticket}"),)

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata


class Unit:
    """What serves accounts, without a server."""

    def __init__(self, folder: Path, issuer: TicketIssuer) -> None:
        self.database = UnitDatabase(folder, PARTS, monotonic=time.monotonic)
        self.state = AccountState(self.database, wall_ms=wall_ms)
        self.accounts = Accounts(self.database, wall_ms=wall_ms)
        verifier = TicketVerifier("u", issuer.keys_for("u"))
        callers = Callers("u", verifier, wall=time.time)
        arrivals = Arrivals()
        self.sender = MessageSender(self.accounts, arrivals, Agenda(), wall_ms=wall_ms)
        self.database.on_commit.append(self.sender.committed)
        self.checks = CardChecks()
        self.service = ConversationService(
            self.accounts, callers, arrivals, self.sender, self.checks, wall_ms=wall_ms
        )


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    freeze_gc()  # as an agent does
    for number in range(-1, rounds):
        keeping = Samples() if number < 0 else samples
        share = divisor(number, quick=quick)
        with scratch() as folder:
            rate = run_on_uvloop(_messages_per_s(folder / "messages", MESSAGES // share))
            keeping.add("messages_per_s", rate)
            tick()
            raw = max(_raw_per_s(folder, MESSAGES // share, group) for group in GROUPS)
            keeping.add("raw_messages_per_s", raw)
            tick()
            run_on_uvloop(_move(folder, MOVED // share, keeping))
            tick()


async def _messages_per_s(folder: Path, count: int) -> float:
    issuer = TicketIssuer(KeyRing(epochs=(new_epoch(1, now=time.time(), random=os.urandom),)))
    unit = Unit(folder, issuer)
    try:
        for name in ("anna", "ben"):
            resident = Resident(tenant=TENANT, account=name, epoch=1)
            await unit.accounts.change(resident, lambda db, owner: None)
        call = _Call(issuer.issue("u", TENANT, "anna", 1, time.time(), 3_600.0))
        requests = [
            pb.SendMessageRequest(
                conversation=bytes(16), id=number.to_bytes(16, "big"), members=["ben"],
                content=pb.Content(text=TEXT),
            )
            for number in range(1, count + 1)
        ]  # fmt: skip
        todo = iter(requests)

        async def one_after_another() -> None:
            for request in todo:
                answer = await unit.service.SendMessage(request, call)  # type: ignore[arg-type]
                if list(answer.kept_for) != ["ben"]:
                    raise Failed("a message was not kept at both ends")

        began = time.perf_counter()
        await asyncio.gather(*(one_after_another() for _ in range(UNDER_WAY)))
        return count / (time.perf_counter() - began)
    finally:
        await unit.database.close()


def _raw_per_s(folder: Path, count: int, group: int) -> float:
    """Messages a second into a table with the same columns and indexes, two rows each."""
    db = sqlite3.connect(folder / f"raw-{group}.db", isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        for statement in chain.from_iterable(kept.PART.schema.steps):
            db.execute(statement)
        content = pb.Content(text=TEXT).SerializeToString()
        rows = [
            (owner, number, number.to_bytes(16, "big"), bytes(16), "anna", content, *_USUAL)
            for number in range(1, count + 1)
            for owner in (1, 2)
        ]
        began = time.perf_counter()
        for start in range(0, len(rows), 2 * group):
            db.execute("BEGIN")
            db.executemany(
                f"INSERT INTO messages VALUES ({', '.join('?' * len(rows[0]))})",
                rows[start : start + 2 * group],
            )
            db.execute("COMMIT")
        return count / (time.perf_counter() - began)
    finally:
        db.close()


async def _move(folder: Path, count: int, samples: Samples) -> None:
    issuer = TicketIssuer(KeyRing(epochs=(new_epoch(1, now=time.time(), random=os.urandom),)))
    old, new = (Unit(folder / name, issuer) for name in ("old", "new"))
    try:
        await _fill(old, count)
        waits: list[float] = []
        others = asyncio.create_task(_change_others(new, waits))
        began, cpu_began = time.perf_counter(), time.process_time()
        size = 0
        incoming = await new.state.begin(TENANT, "anna", 2)
        async for piece in old.state.export(TENANT, "anna"):
            size += len(piece)
            for start in range(0, len(piece), _CHUNK):
                await incoming.append(piece[start : start + _CHUNK])
        await incoming.commit()
        incoming.abort()
        seconds = time.perf_counter() - began
        cpu_s = time.process_time() - cpu_began
        others.cancel()
        samples.add("account_move_mib_s", size / (1 << 20) / seconds)
        samples.add("account_move_mib_per_cpu_s", size / (1 << 20) / cpu_s)
        samples.add("account_move_others_p99_ms", sorted(waits)[len(waits) * 99 // 100] * 1_000)
    finally:
        await old.database.close()
        await new.database.close()


async def _fill(unit: Unit, count: int) -> None:
    resident = Resident(tenant=TENANT, account="anna", epoch=1)
    content = pb.Content(text=TEXT).SerializeToString()

    def some(start: int) -> Callable[[sqlite3.Connection, int], None]:
        def keep(db: sqlite3.Connection, owner: int) -> None:
            for message in _new(start, min(start + 500, count), content):
                kept.keep(db, owner, message, ["ben"], now_ms=0)

        return keep

    for start in range(0, count, 500):
        await unit.accounts.change(resident, some(start))


def _new(start: int, end: int, content: bytes) -> Iterator[NewMessage]:
    for number in range(start, end):
        yield NewMessage(
            id=number.to_bytes(16, "big"), conversation=bytes(16), sender="ben", content=content
        )


async def _change_others(unit: Unit, waits: list[float]) -> None:
    resident = Resident(tenant=TENANT, account="ben", epoch=1)
    content = pb.Content(text=TEXT).SerializeToString()
    number = 0
    while True:
        number += 1
        (message,) = _new(number, number + 1, content)
        began = time.perf_counter()
        await unit.accounts.change(
            resident,
            lambda db, owner: kept.keep(db, owner, message, ["anna"], now_ms=0),  # noqa: B023
        )
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(OTHERS_EVERY_S)


ACCOUNTS = Measurement(
    name="accounts",
    ratios=(
        Ratio(key="message_vs_sqlite", ours="messages_per_s", ceiling="raw_messages_per_s",
              target=0.15),
    ),
    units={
        "messages_per_s": "messages/s, kept at both ends", "raw_messages_per_s": "messages/s",
        "account_move_mib_s": "MiB/s", "account_move_others_p99_ms": "ms",
        "account_move_mib_per_cpu_s": "MiB for a second of processors, both units and the others",
    },
    run=measure,
    steps=lambda rounds: 3 * (rounds + 1),
    targets=(Target(figure="account_move_mib_s", target=5.0),),
)  # fmt: skip
