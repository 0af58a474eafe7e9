"""What decides is what the tables say, from the change itself on: in the same transaction, without
its caller, and not where it was undone."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_plane.errors import Conflict, ServiceError, StoreUnavailable
from data_sharing.database import Database
from data_sharing.decisions import rule_tables
from data_sharing.decisions import tables as decision_tables
from data_sharing.decisions.pauses import Pauses
from data_sharing.decisions.rollouts import Rollouts
from data_sharing.decisions.rule_registry import RuleRegistry
from data_sharing.feeds import log_tables
from tests.support.decisions_harness import CATALOGUE, TENANT, DecisionHarness, event
from tests.support.instructions import Clock
from tests.support.rule_services import Catalogues, document, replace_fields, rule_registry

OFF = "e.data.on == false"
ROLLED_OUT = document("r", when="e.data.on || !e.data.on").replace(
    "when:", "rollout: {steps: [{share: 99}]}\n    when:"
)
FORECAST = "forecasts: [{forecast: f, feed: switched, value: 'event.data.on ? %s : 0.0'}]\n"


class Gate:
    """A CommitGate that takes everything but for so many transactions."""

    def __init__(self) -> None:
        self.refusing = 0
        self.meanwhile: Callable[[], None] = lambda: None  # called in each

    async def ready(self, db: sqlite3.Connection) -> None:
        await asyncio.sleep(0)

    async def commit(self, db: sqlite3.Connection) -> None:
        await asyncio.sleep(0)
        self.meanwhile()
        if self.refusing:
            self.refusing -= 1
            raise StoreUnavailable("the changelog is away")


class Deciding:
    """One rule `r` that decides each event, and those that change it."""

    def __init__(self, database: Database, gate: Gate) -> None:
        self.gate = gate
        self.database = database
        self.harness = DecisionHarness(database, Clock())
        self.catalogues = Catalogues()
        self.registry: RuleRegistry = rule_registry(self.harness, self.catalogues)
        parts = database, self.registry, self.harness.worker
        self.pauses = Pauses(*parts, wall_ms=self.harness.clock)
        self.rollouts = Rollouts(*parts, wall_ms=self.harness.clock)
        self._sent = 0

    async def start(self) -> None:
        await self.harness.worker.start()
        await self.registry.apply(TENANT, document("r"))

    async def send(self) -> int:
        """An event; how many decisions there were of it."""
        before = len(self.harness.decisions())
        self._sent += 1
        await self.harness.publish(event({"on": True}, feed="switched", id=f"e{self._sent}"))
        return len(self.harness.decisions()) - before

    def said(self) -> set[tuple[str, int, Any]]:
        """What the tables say decides."""
        rows = self.harness.read(lambda db: rule_tables.deciding(db))
        return {(one.slot, one.version, one.activation) for one in rows}

    def decides(self) -> set[tuple[str, int, Any]]:
        rules = self.harness.worker.rules.rules.values()
        return {(one.slot, one.version, one.activation) for one in rules}


@pytest.fixture
async def deciding(tmp_path: Path) -> AsyncIterator[Deciding]:
    gate = Gate()
    database = await opened(tmp_path, gate)
    made = Deciding(database, gate)
    await made.start()
    yield made
    await database.close()


async def opened(folder: Path, gate: Gate) -> Database:
    return await Database.open(
        folder / "sharing.db", [log_tables.SCHEMA, *decision_tables.SCHEMAS], gate=gate
    )


async def directly_behind(deciding: Deciding, change: Awaitable[Any]) -> int:
    """Decisions of an event that is published while a change waits for its transaction."""
    waiting = asyncio.ensure_future(change)
    await asyncio.sleep(0)
    found = await deciding.send()
    await waiting
    return found


CHANGES: dict[str, Callable[[Deciding], Awaitable[Any]]] = {
    "retired": lambda one: one.registry.retire(TENANT, "r"),
    "paused": lambda one: one.pauses.pause(TENANT, "r", "", by="anna"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_an_event_directly_behind_a_change_is_decided_by_what_it_has_made(
    deciding: Deciding, change: Callable[[Deciding], Awaitable[Any]]
) -> None:
    """It is in the same transaction, and whoever made the change was not told yet."""
    assert await deciding.send() == 1
    assert await directly_behind(deciding, change(deciding)) == 0
    assert deciding.decides() == deciding.said()


async def test_an_event_directly_behind_the_end_of_a_rollout_is_decided_by_one_version(
    deciding: Deciding,
) -> None:
    await deciding.registry.apply(TENANT, ROLLED_OUT)
    await deciding.send()
    assert deciding.harness.decisions()[-1].rule_version == 2  # as for 99 keys of 100
    await directly_behind(deciding, deciding.rollouts.abort(TENANT, "r", "", by="anna"))
    assert deciding.harness.decisions()[-1].rule_version == 1
    assert deciding.decides() == deciding.said()


async def test_a_rule_is_retired_also_where_its_caller_gave_up(deciding: Deciding) -> None:
    waiting = asyncio.create_task(deciding.registry.retire(TENANT, "r"))
    await asyncio.sleep(0)
    waiting.cancel()
    assert (await asyncio.gather(waiting, return_exceptions=True))[0] is not None
    await deciding.database.transact(lambda db: None)  # behind it
    assert deciding.said() == set()
    assert await deciding.send() == 0


@pytest.mark.parametrize(
    ("times", "version"), [(1, 3), (2, 4), (3, None)], ids=["once", "twice", "each-time"]
)
async def test_a_version_that_came_in_between_is_not_taken_for_ours(
    deciding: Deciding, times: int, version: int | None
) -> None:
    """As of an apply whose caller has left, so that it holds no lock any more."""
    other = replace(deciding.registry.rule(TENANT, "r"), version=1)
    left = times

    def behind_another(
        work: Callable[[sqlite3.Connection], Any],
    ) -> Callable[[sqlite3.Connection], Any]:
        def whole(db: sqlite3.Connection) -> Any:
            nonlocal left, other
            if left:
                left -= 1
                other = replace(other, version=other.version + 1)
                rule_tables.write(db, TENANT, [other], (), {}, by="anna")
            return work(db)

        return whole

    deciding.database.around = behind_another
    if version is None:
        with pytest.raises(Conflict, match="apply them once more"):
            await deciding.registry.apply(TENANT, document("r", when=OFF))
        return
    applied = await deciding.registry.apply(TENANT, document("r", when=OFF))
    assert [one.version for one in applied.versions] == [version]
    kept = deciding.registry.rule(TENANT, "r", version)
    assert kept.spec == applied.versions[0].spec != other.spec


@pytest.mark.parametrize("alone", [False, True], ids=["with-its-transaction", "alone"])
async def test_a_change_that_is_undone_changes_nothing(deciding: Deciding, *, alone: bool) -> None:
    await deciding.registry.apply(TENANT, FORECAST % "1.0" + document("r"))
    before = deciding.harness.worker.rules
    newer = FORECAST % "2.0" + document("r", "s", when="forecast.f.count > 0")
    if alone:
        deciding.database.around = failing
    else:
        deciding.gate.refusing = 1
    for change in (
        deciding.registry.apply(TENANT, newer),
        deciding.registry.retire(TENANT, "r"),
    ):
        with pytest.raises(StoreUnavailable):
            await change
        after = deciding.harness.worker.rules
        assert deciding.decides() == deciding.said()
        assert after.forecasts[TENANT, "f"] is before.forecasts[TENANT, "f"]
        deciding.gate.refusing = 0 if alone else 1
    deciding.database.around, deciding.gate.refusing = None, 0
    assert await deciding.send() == 1


@pytest.mark.parametrize("refusing", [0, 1], ids=["kept", "undone"])
async def test_a_catalogue_that_changes_while_a_change_is_committed_counts_for_what_it_made(
    deciding: Deciding, refusing: int
) -> None:
    """`r` was of a feed without that field: then neither version of it compiles any more."""
    await deciding.registry.apply(TENANT, FORECAST % "1.0" + document("r"))

    def the_field_is_gone() -> None:
        deciding.catalogues.now = replace_fields(
            CATALOGUE, {"type": "object", "additionalProperties": False}
        )
        deciding.registry.in_force.follow(deciding.catalogues.now)

    deciding.gate.meanwhile, deciding.gate.refusing = the_field_is_gone, refusing
    changing = deciding.registry.apply(TENANT, FORECAST % "2.0" + document("r", "s"))
    await asyncio.gather(changing, return_exceptions=True)
    found = set(deciding.registry.suspended), deciding.decides()
    deciding.registry.in_force.load()
    assert found == (set(deciding.registry.suspended), deciding.decides())
    assert deciding.decides() == set()


def failing(work: Callable[[sqlite3.Connection], Any]) -> Callable[[sqlite3.Connection], Any]:
    """Work that is undone once it is done."""

    def whole(db: sqlite3.Connection) -> None:
        work(db)
        raise StoreUnavailable("what goes with it failed")

    return whole


MOVES: dict[str, Callable[[Deciding], Awaitable[Any]]] = {
    **CHANGES,
    "applied": lambda one: one.registry.apply(TENANT, document("r", "s")),
    "applied-anew": lambda one: one.registry.apply(TENANT, document("r", when=OFF)),
    "rolled-out": lambda one: one.registry.apply(TENANT, ROLLED_OUT),
    "promoted": lambda one: one.rollouts.promote(TENANT, "r", by="anna"),
    "aborted": lambda one: one.rollouts.abort(TENANT, "r", "", by="anna"),
    "rolled-back": lambda one: one.rollouts.rollback(TENANT, "r", by="anna"),
    "resumed": lambda one: one.pauses.resume(TENANT, "r"),
    "worked-off": lambda one: one.pauses.work_off(),
}
ENDS = ("kept", "cancelled", "undone-alone", "undone")


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.sampled_from(sorted(MOVES)), st.sampled_from(ENDS)), max_size=10))
async def test_whatever_became_of_a_change_what_decides_is_what_the_tables_say(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, str]]
) -> None:
    gate = Gate()
    database = await opened(tmp_path_factory.mktemp("rules"), gate)
    try:
        deciding = Deciding(database, gate)
        await deciding.start()
        for move, end in moves:
            database.around = failing if end == "undone-alone" else None
            gate.refusing = end == "undone"
            waiting = asyncio.ensure_future(MOVES[move](deciding))
            await asyncio.sleep(0)
            if end == "cancelled":
                waiting.cancel()
            try:
                await waiting
            except (ServiceError, asyncio.CancelledError):
                assert waiting.done()
            database.around, gate.refusing = None, 0
            await database.transact(lambda db: None)
            assert deciding.decides() == deciding.said()
    finally:
        await database.close()
