"""What clients were told, held against what the history says: P1, and P2 as clients see it.

Both sides go into a scratch SQLite file and come out client by client, so a run of millions
of calls needs no memory for them. A client's answers must fit its homes in order: each answer
is a home (or the lack of one) that the history shows, no older than what any call that ended
before this one began was told. What vanished must have been given back by somebody.
"""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.judge.books import Step
from tests.support.judge.verdict import Verdict

FLUSH = 5_000


class State(NamedTuple):
    """A client's home from one revision on; no unit: it has none."""

    revision: int
    unit: str
    epoch: int
    by_system: bool


class Call(NamedTuple):
    """One call as its client logged it; times are monotonic seconds of one machine.

    outcome: `home` (with unit and epoch), `none` (it has no home), `released`, `error` (what
    became of it is not known), `denied` (an answer that promises nothing)."""

    client: str
    op: str  # provision, get, release
    began: float
    ended: float
    outcome: str
    unit: str = ""
    epoch: int = 0
    stale: bool = False


class Journal:
    """On a scratch file, or in memory for small histories; a context manager."""

    def __init__(self, path: Path | None, verdict: Verdict) -> None:
        self.verdict = verdict
        self._steps: list[tuple[Any, ...]] = []
        self._base = sqlite3.connect(path or ":memory:")
        self._base.executescript(
            "PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF;"
            "CREATE TABLE steps(client, revision, unit, epoch, by_system);"
            "CREATE TABLE calls(client, began, ended, op, outcome, unit, epoch, stale);"
        )

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        self._base.close()

    def step(self, step: Step) -> None:
        """For Books.on_step."""
        unit, epoch = (step.home.unit, step.home.epoch) if step.home else ("", 0)
        self._steps.append((step.client, step.revision, unit, epoch, step.by_system))
        if len(self._steps) >= FLUSH:
            self._flush()

    def _flush(self) -> None:
        self._base.executemany("INSERT INTO steps VALUES (?,?,?,?,?)", self._steps)
        self._steps.clear()

    def read(self, log: Path) -> None:
        """One client process's NDJSON log; a torn last line is none."""
        with log.open() as lines:
            self.add(_call(json.loads(line)) for line in lines if line.endswith("\n"))

    def add(self, calls: Iterable[Call]) -> None:
        """Calls in any order."""
        self._base.executemany(
            "INSERT INTO calls VALUES (?,?,?,?,?,?,?,?)",
            ((c.client, c.began, c.ended, c.op, c.outcome, c.unit, c.epoch, c.stale)
             for c in calls),
        )  # fmt: skip

    def judge(self) -> None:
        """Every client that appears on either side, once."""
        self._flush()
        steps = self._grouped(
            "SELECT client, revision, unit, epoch, by_system FROM steps ORDER BY client, revision"
        )
        calls = self._grouped(
            "SELECT client, op, began, ended, outcome, unit, epoch, stale FROM calls"
            " ORDER BY client, began"
        )
        for client, told, asked in _merged(steps, calls):
            states = [State(0, "", 0, False), *(State(*row[1:]) for row in told)]
            self._client(client, states, [Call(*row) for row in asked])

    def _grouped(self, query: str) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
        for client, rows in groupby(self._base.execute(query), key=itemgetter(0)):
            yield client, list(rows)

    def _client(self, client: str, states: list[State], calls: list[Call]) -> None:
        self.verdict.calls += len(calls)
        began_again = sum(1 for old, new in pairwise(states[1:]) if new.unit and not old.unit)
        self.verdict.restarts += began_again
        asked = sum(1 for call in calls if call.op == "release")
        gone = [s for s in states[1:] if not s.unit and not s.by_system]
        if len(gone) > asked:
            self.verdict.accuse(
                "P1", gone[-1].revision, client,
                f"lost its home {len(gone)} times and gave it back {asked} times",
            )  # fmt: skip
        floor = 0
        ended: list[tuple[float, int]] = []
        for call in calls:
            while ended and ended[0][0] <= call.began:
                floor = max(floor, heapq.heappop(ended)[1])
            found = self._place(client, states, call, floor)
            if found is not None:
                heapq.heappush(ended, (call.ended, found))

    def _place(self, client: str, states: list[State], call: Call, floor: int) -> int | None:
        """Where in the client's history the answer fits first; None: it says nothing."""
        if call.outcome in ("error", "denied"):
            return None
        self.verdict.answers += 1
        if call.outcome == "home":
            fits = [i for i, s in enumerate(states) if (s.unit, s.epoch) == (call.unit, call.epoch)]
        else:
            least = 1 if call.outcome == "released" else 0
            fits = [i for i, s in enumerate(states) if i >= least and not s.unit]
        for index in fits:
            if index >= floor:
                return index
        if call.stale and fits:
            return None  # said to be old, and it is
        what = f"{call.op} was told {call.outcome} {call.unit} epoch {call.epoch}".strip()
        after = states[floor]
        if fits:
            self.verdict.accuse(
                "P2", states[fits[-1]].revision, client,
                f"{what} after it was told what revision {after.revision} says",
            )  # fmt: skip
        else:
            self.verdict.accuse("P1", 0, client, f"{what}, which the history never shows")
        return None


def _call(line: dict[str, Any]) -> Call:
    return Call(
        line["client"], line["op"], line["t0"], line["t1"], line["outcome"],
        line.get("unit", ""), line.get("epoch", 0), line.get("stale", False),
    )  # fmt: skip


Groups = Iterator[tuple[str, list[tuple[Any, ...]]]]
Rows = list[tuple[Any, ...]]


def _merged(left: Groups, right: Groups) -> Iterator[tuple[str, Rows, Rows]]:
    """Both sides of each client that is on either, in order of clients."""
    one, two = next(left, None), next(right, None)
    while one is not None or two is not None:
        if two is None or (one is not None and one[0] < two[0]):
            assert one is not None
            yield one[0], one[1], []
            one = next(left, None)
        elif one is None or two[0] < one[0]:
            yield two[0], [], two[1]
            two = next(right, None)
        else:
            yield one[0], one[1], two[1]
            one, two = next(left, None), next(right, None)
