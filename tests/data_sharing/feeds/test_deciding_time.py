"""A transaction of the feed log decides for so long and no longer; what it has not come to goes on
in the next one, in order and once, and other tenants are not made to wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_plane.sqlite.schema import Schema
from data_sharing.database import Database
from data_sharing.event import Event
from data_sharing.feeds.deciding_turns import ALONE_S, DECIDING_S, EVENTS_AT_ONCE, SHARED_S
from data_sharing.feeds.log_tables import SCHEMA
from data_sharing.feeds.port import Appended, Candidate
from data_sharing.feeds.publishing_tenants import SHARED_FOR_S
from data_sharing.feeds.sqlite_log import SqliteFeedLog
from tests.support.contracts.feed_log_contract import Clock, candidate, read_all

NOTES = Schema(part="notes", steps=(("CREATE TABLE notes (tenant TEXT, position INTEGER)",),))


class CostlyFollower:
    """Decides like a worker does; each event takes as long as its cost says, by a clock that
    stands still otherwise. costs: s, by name; `cheap` for all others."""

    def __init__(self, costs: dict[str, float] | None = None, cheap: float = 0.0) -> None:
        self.costs, self.cheap = costs or {}, cheap
        self.now = 0.0
        self.groups: list[list[str]] = []
        self.seconds: list[float] = []
        self.offered: list[int] = []
        self.fails_at = ""

    def monotonic(self) -> float:
        return self.now

    def follow(self, db, events: Sequence[Event], is_enough: Callable[[], bool]) -> int:
        began, names = self.now, []
        self.offered.append(len(events))
        for one in events:
            if one.id == self.fails_at:
                raise ZeroDivisionError(one.id)
            self.now += self.costs.get(one.id, self.cheap)
            db.execute("INSERT INTO notes VALUES (?, ?)", (one.tenant, one.position))
            names.append(one.id)
            if is_enough():
                break
        self.groups.append(names)
        self.seconds.append(self.now - began)
        return len(names)

    @property
    def decided(self) -> list[str]:
        return [name for group in self.groups for name in group]


@pytest.fixture
async def database(tmp_path: Path):
    opened = await Database.open(tmp_path / "sharing.db", [SCHEMA, NOTES])
    yield opened
    await opened.close()


def log_of(database: Database, follower: CostlyFollower) -> SqliteFeedLog:
    return SqliteFeedLog(
        database, wall_ms=Clock(), follower=follower.follow, monotonic=follower.monotonic
    )


def numbered(count: int, prefix: str = "e", tenant: str = "shop") -> list[Candidate]:
    return [candidate(f"{prefix}{n}", tenant=tenant) for n in range(count)]


async def test_costly_events_are_decided_some_at_a_time_in_order_and_once(database):
    follower = CostlyFollower(cheap=0.010)
    log = log_of(database, follower)
    answer = await log.append(numbered(200))
    assert [one.position for one in answer] == list(range(1, 201))
    assert follower.decided == [f"e{n}" for n in range(200)]
    assert max(follower.seconds) <= DECIDING_S + 0.010
    assert [one.position for one in await read_all(log, "shop")] == list(range(1, 201))
    assert log.waiting_bytes == 0
    assert (log.accepted, log.duplicates) == (200, 0)
    assert await log.append(numbered(3)) == [Appended(n, True) for n in (1, 2, 3)]


async def test_an_event_that_alone_takes_longer_is_decided_and_ends_its_transaction(database):
    follower = CostlyFollower({"e3": 0.5})
    await log_of(database, follower).append(numbered(8))
    assert follower.groups == [["e0", "e1", "e2", "e3"], ["e4", "e5", "e6", "e7"]]


async def test_what_there_is_no_time_for_is_hardly_written_for_nothing(database):
    follower = CostlyFollower(cheap=0.010)
    await log_of(database, follower).append(numbered(500))
    assert sum(follower.offered) <= 500 + 2 * 500


async def test_cheap_events_go_into_one_transaction(database):
    follower = CostlyFollower(cheap=DECIDING_S / EVENTS_AT_ONCE / 2)
    log = log_of(database, follower)
    before = database.groups
    await asyncio.gather(log.append(numbered(900)), log.append(numbered(900, "f")))
    assert database.groups == before + 1


async def test_after_costly_events_cheap_ones_gather_again(database):
    follower = CostlyFollower(dict.fromkeys((f"e{n}" for n in range(50)), 0.1))
    log = log_of(database, follower)
    await log.append(numbered(50))
    before = database.groups
    await log.append(numbered(1_000, "cheap"))
    assert database.groups <= before + 10
    before = database.groups
    await log.append(numbered(1_000, "more"))
    assert database.groups <= before + 2


async def test_another_tenant_does_not_wait_for_the_costly_events_of_one(database):
    follower = CostlyFollower(dict.fromkeys((f"e{n}" for n in range(100)), 0.020))
    log = log_of(database, follower)
    costly = log.append(numbered(90))
    more = log.append(numbered(100)[90:])
    other = log.append(numbered(2, "other", "bank"))
    third = log.append(numbered(2, "third", "town"))
    await asyncio.gather(costly, more, other, third)
    assert max(follower.decided.index(name) for name in ("other1", "third1")) < 10
    assert [name for name in follower.decided if name[0] == "e"] == [f"e{n}" for n in range(100)]


async def test_whoever_has_thousands_waiting_lets_others_in_with_the_next_transaction(database):
    follower = CostlyFollower(cheap=0.0005)
    log = log_of(database, follower)
    many = [log.append(numbered(500, f"e{n}-")) for n in range(20)]
    other = [log.append([candidate(f"other{n}", tenant="bank")]) for n in range(3)]
    await asyncio.gather(*other)
    before = len(follower.decided)
    await asyncio.gather(*many)
    assert before <= 2 * DECIDING_S / 0.0005
    assert max(follower.seconds) <= SHARED_S + 0.0005 + 1e-9, "short while others publish"


async def test_who_publishes_while_others_are_decided_is_in_that_transaction(database):
    """And it is not made longer: the greedy tenant alone would have decided for much longer."""
    follower = CostlyFollower(cheap=0.001)
    log = log_of(database, follower)
    before = database.groups
    greedy = log.append(numbered(1_000, tenant="greedy"))
    while not follower.groups:  # noqa: ASYNC110  # turns are what is counted
        await asyncio.sleep(0)
    await log.append([candidate("other", tenant="bank")])
    assert database.groups == before + 1
    assert follower.groups[1] == ["other"]
    assert len(follower.groups) == 2
    assert sum(follower.seconds) <= ALONE_S + 0.001 + 1e-9
    await greedy


async def test_tenants_have_shares_by_what_deciding_takes_and_by_their_weights(database):
    costs = {f"slow{n}": 0.001 for n in range(2_000)}
    follower = CostlyFollower(costs, cheap=0.0001)
    log = SqliteFeedLog(
        database, wall_ms=Clock(), follower=follower.follow, monotonic=follower.monotonic,
        weight_of={"shop": 1.0, "bank": 1.0, "town": 2.0}.__getitem__,
    )  # fmt: skip
    slow = log.append(numbered(2_000, "slow"))
    quick = log.append(numbered(9_000, "quick", "bank"))
    double = log.append(numbered(18_000, "double", "town"))
    await asyncio.wait([slow, quick, double], return_when=asyncio.FIRST_COMPLETED)
    spent = {
        prefix: sum(costs.get(one, 0.0001) for one in follower.decided if one.startswith(prefix))
        for prefix in ("slow", "quick", "double")
    }
    assert spent["quick"] == pytest.approx(spent["slow"], rel=0.1)
    assert spent["double"] == pytest.approx(2 * spent["slow"], rel=0.1)
    await asyncio.gather(slow, quick, double)


async def test_a_tenant_that_is_alone_has_all_the_time(database):
    follower = CostlyFollower(cheap=DECIDING_S / EVENTS_AT_ONCE)
    log = log_of(database, follower)
    await log.append(numbered(1, tenant="bank"))
    await log.append(numbered(1))
    follower.now += SHARED_FOR_S + 1
    before = database.groups
    await log.append(numbered(4_000, "alone"))
    assert database.groups <= before + 3


async def test_a_failure_behind_a_cut_fails_its_append_and_nobody_elses(database):
    follower = CostlyFollower(cheap=0.010)
    follower.fails_at = "e12"
    log = log_of(database, follower)
    failing, other = log.append(numbered(20)), log.append(numbered(20, "other", "bank"))
    with pytest.raises(ZeroDivisionError):
        await failing
    await other
    assert log.waiting_bytes == 0
    assert not any(waiting.events for waiting in log.backlog.waiting(0.0).values())
    follower.fails_at = ""
    again = await log.append(numbered(20))  # as its producer is told to
    assert [one.position for one in again] == list(range(1, 21))
    assert [name for name in follower.decided if name[0] == "e"] == [f"e{n}" for n in range(20)]


async def test_events_kept_inside_another_transaction_are_all_decided_there(database):
    follower = CostlyFollower(cheap=1.0)
    log = log_of(database, follower)
    await database.transact(lambda db: log.append_inside(db, numbered(5)))
    assert follower.groups == [[f"e{n}" for n in range(5)]]


_APPENDS = st.lists(
    st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 30)), min_size=1, max_size=25),
    min_size=1,
    max_size=8,
)
_COSTS = st.dictionaries(st.integers(0, 30), st.sampled_from([0.001, 0.02, 0.3]), max_size=31)


@given(_APPENDS, _COSTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_comes_is_kept_as_if_nothing_were_costly(appends, costs):
    """Appends with repeats and several tenants: positions, answers, rows, counts and what was
    decided are those of one long transaction, tenant by tenant."""

    async def run(costs: dict[str, float], folder: str):
        database = await Database.open(Path(folder) / "sharing.db", [SCHEMA, NOTES])
        try:
            follower = CostlyFollower(costs)
            log = log_of(database, follower)
            answers = await asyncio.gather(
                *(
                    log.append([candidate(f"{tenant}{n}", tenant=tenant) for tenant, n in one])
                    for one in appends
                )
            )
            rows = {tenant: await read_all(log, tenant) for tenant in "ABC"}
            bounds = {tenant: await log.bounds(tenant) for tenant in "ABC"}
            notes = {
                tenant: database.read(
                    lambda db, of=tenant: db.execute(
                        "SELECT position FROM notes WHERE tenant = ? ORDER BY rowid", (of,)
                    ).fetchall()
                )
                for tenant in "ABC"
            }
            told = [list(one) for one in answers]
            return told, rows, bounds, notes, log.accepted, log.duplicates, log.waiting_bytes
        finally:
            await database.close()

    costly = {f"{tenant}{n}": cost for n, cost in costs.items() for tenant in "ABC"}
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        assert asyncio.run(run(costly, one)) == asyncio.run(run({}, other))


async def test_who_has_got_all_is_answered_before_the_others_are_decided_further(database):
    """Those with more waiting are answered once their next transaction has begun."""
    follower = CostlyFollower(cheap=0.010)
    log = log_of(database, follower)
    order = list[str]()

    def note(name: str) -> Callable[[asyncio.Future[Sequence[Appended]]], None]:
        return lambda _: order.append(f"{name} after {len(follower.groups)}")

    waiting = [log.append([one]) for one in numbered(1, "g", "greedy")]
    waiting += [log.append(numbered(50, "h", "greedy"))]
    steady = log.append(numbered(1, "s", "steady"))
    steady.add_done_callback(note("steady"))
    waiting[0].add_done_callback(note("greedy"))
    await asyncio.gather(steady, *waiting)
    groups_with_steady = [place for place, one in enumerate(follower.groups) if "s0" in one]
    assert f"steady after {groups_with_steady[0] + 1}" in order
